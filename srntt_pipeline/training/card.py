"""The model card beside a checkpoint: what the weights are and what they came from.

It holds no times, so that equal runs write equal cards.
"""

import subprocess
from pathlib import Path
from typing import Any

from srntt_pipeline.checkpoints import CheckpointInfo
from srntt_pipeline.config import LoopParams, TrainParams
from srntt_pipeline.files import file_sha256, fingerprint, write_bytes, write_json
from srntt_pipeline.text import markdown
from srntt_pipeline.training.job import Job
from srntt_pipeline.variants import VARIANTS


def write_card(
    out: Path, checkpoint: Path, job: Job, params: LoopParams, info: CheckpointInfo, **facts: Any
) -> None:
    """Write `card.json` and `card.md` to `out`; `facts` are shown as they are."""
    variant = VARIANTS.get(job.model)
    card = {
        "method": variant.method if variant else "SISR (content extractor)",
        "model": job.model,
        "checkpoint": checkpoint.name,
        "weights_sha256": file_sha256(checkpoint),
        "software": info.software,
        "git_commit": git_commit(),
        "step": info.step,
        "phases_end_at_step": {phase.name: phase.stop for phase in job.phases},
        "training_pairs": len(job.training),
        "validation_pairs": len(job.validation),
        "made_from": job.made_from_sha256,
        "manifest_sha256": _manifest_hash(job.dataset),
        "data_sha256": job.data_hash,
        "swaps": _swaps(job),
        "content_sha256": job.content.info.weights_sha256 if job.content else None,
        "params": _params(params),
        "sizes": info.model_dump(mode="json")["sizes"],
        "metrics": info.metrics,
        **facts,
    }
    write_json(out / "card.json", card)
    write_bytes(out / "card.md", _markdown(card).encode())


def git_commit() -> str | None:
    """Return the commit of the working directory, with `-dirty` where tracked files differ."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _swaps(job: Job) -> dict[str, Any] | None:
    if job.shards is None:
        return None
    return {
        "made_from": job.shards.made_from,
        "index_sha256": file_sha256(job.shards.folder / "index.json"),
        "encoder": job.shards.encoder.as_dict(),
        "params": job.shards.params.model_dump(mode="json"),
    }


def _markdown(card: dict[str, Any]) -> str:
    lines = [f"# {markdown(card['method'])}", "", f"Weights: `{card['checkpoint']}`.", ""]
    lines += ["| | |", "|---|---|"]
    for name, value in card.items():
        if isinstance(value, dict):
            lines += [f"| {name}.{key} | {_shown(inner)} |" for key, inner in value.items()]
        else:
            lines.append(f"| {name} | {_shown(value)} |")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return markdown(", ".join(f"{key} {inner}" for key, inner in value.items()))
    return "–" if value in (None, "") else markdown(str(value))


def _manifest_hash(dataset: Path) -> str | None:
    """Return the hash of a data set's manifests/ folder; None where there is none."""
    files = sorted((dataset / "manifests").glob("*.*"))
    return fingerprint([[path.name, file_sha256(path)] for path in files]) if files else None


def _params(params: LoopParams) -> dict[str, Any]:
    """Return params as the model card shows them, the variant's defaults filled in."""
    shown = params.model_dump(mode="json")
    if isinstance(params, TrainParams):
        variant = params.resolved
        shown |= {key: getattr(variant, key) for key in shown if hasattr(variant, key)}
    return shown
