"""Training as commands and stages call it: any recipe on any data set (paper 3.3–3.4)."""

import functools
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from srntt_pipeline.device import choose_device
from srntt_pipeline.outputs import check_place, open_output
from srntt_pipeline.recipes import Recipe
from srntt_pipeline.training import CACHE_GIB
from srntt_pipeline.training.job import make_job
from srntt_pipeline.training.launch import launch
from srntt_pipeline.training.products import planned_files
from srntt_pipeline.training.trainer import Trainer, check_shares
from srntt_pipeline.training.writing import naming


def train(
    params: Recipe,
    dataset: Path,
    out: Path,
    swaps: Path | None = None,
    *,
    device: str = "auto",
    devices: int = 1,
    loader_workers: int = 0,
    encoder_weights: str | None = None,
    content: Path | None = None,
    cache_bytes: int = int(CACHE_GIB * 2**30),
    overwrite: bool = False,
    code: str | None = None,
) -> dict[str, float]:
    """Train by a recipe on the pairs of `dataset`; return the validation metrics.

    `swaps`: for recipes whose network is fed with swapped maps, kept in memory up to `cache_bytes`.
    Writes `out/MODEL.safetensors` and `.json` of the last step, the same of the best validation in
    `out/best/`, their card (`card.json`, `card.md`), `loss.csv`,
    `validation.csv`, `metrics.json`, curves and pictures in `dvclive/`, and under `resume/` the
    state from which a killed run, or one with more steps, goes on. `content`: a checkpoint to start
    from. `encoder_weights`: where VGG19's lie now. `overwrite`: replace what another run left in
    `out`; it stays until this one has saved its own. Neither `devices` nor `loader_workers` changes
    a batch. `code`: a hash of the code, where a run of other code is to be another run; otherwise a
    run goes on with the code as it is. Raises InputError, also when training diverges, or for
    another run in `out` without `overwrite`.
    """
    # Said before anything is loaded, or a process started; torchrun's number is known only then.
    check_place(out, "model")
    check_shares(params.batch_size, devices)
    run = functools.partial(
        _train, params=params, dataset=dataset, out=out, swaps=swaps, device=device,
        loader_workers=loader_workers, encoder_weights=encoder_weights, content=content,
        cache_bytes=cache_bytes, overwrite=overwrite, code=code,
    )  # fmt: skip
    metrics: dict[str, float] = launch(run, device, devices, params.precision)
    return metrics


def _train(
    fabric: Fabric,
    *,
    params: Recipe,
    dataset: Path,
    out: Path,
    swaps: Path | None,
    device: str,
    loader_workers: int,
    cache_bytes: int,
    overwrite: bool,
    **options: Any,
) -> dict[str, float]:
    choose_device(device)  # for its settings of arithmetic, in this process
    job = make_job(
        params, dataset, swaps, fabric.device,
        cache_bytes=cache_bytes // fabric.world_size, on_cpu=loader_workers > 0, **options,
    )  # fmt: skip
    trainer = Trainer(fabric, out, job, loader_workers, overwrite)
    if not fabric.is_global_zero:
        return trainer.run()
    with open_output(out, "model", reads=[job.dataset, *job.reads]) as output:
        output.claim(planned_files(job))
        # Of a process that `launch` started, an OSError would be told with its traceback.
        with naming():
            return trainer.run()
