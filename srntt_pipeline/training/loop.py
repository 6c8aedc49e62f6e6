"""Training as commands and stages call it: SRNTT, and the upscaler (paper sections 3.3–3.4)."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from srntt_pipeline.config import TrainParams, UpscalerParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.outputs import check_place, open_output
from srntt_pipeline.training import CACHE_GIB
from srntt_pipeline.training.job import Job, srntt_job, upscaler_job
from srntt_pipeline.training.launch import launch
from srntt_pipeline.training.products import planned_files
from srntt_pipeline.training.trainer import Trainer
from srntt_pipeline.training.writing import naming


def train(
    dataset: Path,
    swaps: Path,
    out: Path,
    params: TrainParams,
    *,
    device: str = "auto",
    devices: int = 1,
    loader_workers: int = 0,
    encoder_weights: str | None = None,
    content: Path | None = None,
    cache_bytes: int = int(CACHE_GIB * 2**30),
    overwrite: bool = False,
) -> dict[str, float]:
    """Train on the pairs of `dataset` with the swaps in `swaps`; return the validation metrics.

    Writes `out/VARIANT.safetensors` and `.json`, its card (`card.json`, `card.md`), `loss.csv`,
    `validation.csv`, `metrics.json`, curves and pictures in `dvclive/`, and under `resume/` the
    state from which a killed run, or one with more steps, goes on. `content`: a `sisr` checkpoint
    in place of the warm-up. `overwrite`: replace what another run left in `out`; it stays until
    this one has saved its own. Neither `devices` nor `loader_workers` changes a batch. Raises
    InputError, also when training diverges, or for another run in `out` without `overwrite`.
    """
    make = functools.partial(
        _srntt_job, dataset=dataset, swaps=swaps, params=params, on_cpu=loader_workers > 0,
        encoder_weights=encoder_weights, content=content, cache_bytes=cache_bytes,
    )  # fmt: skip
    return _run(make, out, params, device, devices, loader_workers, overwrite)


def _srntt_job(fabric: Fabric, cache_bytes: int, **options: Any) -> Job:
    cache_bytes //= fabric.world_size
    return srntt_job(device=fabric.device, cache_bytes=cache_bytes, **options)


def train_upscaler(
    dataset: Path,
    out: Path,
    params: UpscalerParams,
    *,
    device: str = "auto",
    devices: int = 1,
    loader_workers: int = 0,
    overwrite: bool = False,
) -> dict[str, float]:
    """Train the upscaler `sisr` on the HR images of `dataset`; return the validation metrics.

    Writes what `train` does, the checkpoint as `sisr.safetensors`. Raises InputError.
    """
    make = functools.partial(_upscaler_job, dataset=dataset, params=params)
    return _run(make, out, params, device, devices, loader_workers, overwrite)


def _upscaler_job(fabric: Fabric, dataset: Path, params: UpscalerParams) -> Job:
    return upscaler_job(dataset, params)


def _run(
    make: Callable[[Fabric], Job],
    out: Path,
    params: TrainParams | UpscalerParams,
    device: str,
    devices: int,
    loader_workers: int,
    overwrite: bool,
) -> dict[str, float]:
    """Train in as many processes, each on the job that it makes; return the first one's metrics."""
    check_place(out, "model")  # said before anything is loaded
    run = functools.partial(
        _train, make=make, out=out, params=params, device=device, loader_workers=loader_workers,
        overwrite=overwrite,
    )  # fmt: skip
    metrics: dict[str, float] = launch(run, device, devices, params.precision)
    return metrics


def _train(
    fabric: Fabric,
    *,
    make: Callable[[Fabric], Job],
    out: Path,
    params: TrainParams | UpscalerParams,
    device: str,
    loader_workers: int,
    overwrite: bool,
) -> dict[str, float]:
    choose_device(device)  # for its settings of arithmetic, in this process
    job = make(fabric)
    trainer = Trainer(fabric, out, params, job, loader_workers, overwrite)
    if not fabric.is_global_zero:
        return trainer.run()
    with open_output(out, "model", reads=[job.dataset, *job.reads]) as output:
        output.claim(planned_files(job))
        # Of a process that `launch` started, an OSError would be told with its traceback.
        with naming():
            return trainer.run()
