"""What a run leaves: checkpoint, model card, curves and metrics."""

import logging
from pathlib import Path

import torch
from torch import nn

from srntt_pipeline.checkpoints import CheckpointInfo, save_checkpoint
from srntt_pipeline.files import csv_bytes, write_bytes, write_json
from srntt_pipeline.text import tally
from srntt_pipeline.training.card import write_card
from srntt_pipeline.training.curves import SUMMARY, pictures, tables
from srntt_pipeline.training.earlier import BEST, CARD
from srntt_pipeline.training.job import Job
from srntt_pipeline.training.state import VALIDATION_COLUMNS, Progress, planned_states, state_files

log = logging.getLogger(__name__)


def write_results(
    out: Path,
    job: Job,
    network: nn.Module,
    best: nn.Module,
    state: Progress,
    metrics: dict[str, float],
    device: torch.device,
    begun: int,
) -> None:
    """Write the checkpoint `MODEL.safetensors`, that of the best validation, and what lies beside.

    `network`: as it is after the last step, of these `metrics`; `best`: as it was in the best
    validation of `state`, if there was one; `begun`: the step that this process went on from.
    """
    path = out / f"{job.model}.safetensors"
    info = CheckpointInfo(
        model=job.model,
        recipe=job.params.recipe,
        sizes=job.sizes,
        step=state.step,
        encoder=job.sources.shards.encoder if job.sources.shards else None,
        swaps=job.sources.shards.params if job.sources.shards else None,
        networks=job.sources.shards.networks if job.sources.shards else {},
        train=job.params,
        dataset=job.sources.data_hash,
        metrics=metrics,
    )
    save_checkpoint(path, network, info)
    best_path, best_info = out / BEST / path.name, info
    if row := state.best:
        found = {**metrics, "validation_psnr_db": float(str(row["psnr_db"]))}
        step = int(str(row["step"]))
        best_info = info.model_copy(update={"step": step, "metrics": found})
    save_checkpoint(best_path, best if state.best else network, best_info)
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    write_card(out, path, job, info, (best_path, best_info), device=kind)
    write_bytes(out / "loss.csv", csv_bytes(job.columns, state.losses))
    write_bytes(out / "validation.csv", csv_bytes(VALIDATION_COLUMNS, state.validations))
    write_json(out / "metrics.json", metrics)
    log.info(
        "Wrote %s: validation %.2f dB, bicubic %.2f dB; %s",
        path, *metrics.values(), tally("steps", state.step - begun, state.step),
    )  # fmt: skip
    psnr, bicubic = metrics.values()
    if psnr < bicubic:
        log.warning(
            "This network is worse than bicubic on the validation pairs, by %.2f dB: "
            "docs/training.md#worse-than-bicubic says what to look at",
            bicubic - psnr,
        )


def planned_files(job: Job) -> list[Path]:
    """Return every file that a run can write, relative to its folder."""
    checkpoint = [f"{job.model}.safetensors", f"{job.model}.json"]
    beside = [CARD, "card.md", "loss.csv", "validation.csv", "metrics.json"]
    return [
        *(Path(name) for name in (*checkpoint, *beside)),
        *(BEST / name for name in checkpoint),
        *(folder / name for folder in planned_states(job) for name in state_files()),
        SUMMARY,
        *tables(),
        *pictures(job.schedule),
    ]
