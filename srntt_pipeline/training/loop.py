"""Training as commands and stages call it: SRNTT, and the upscaler (paper sections 3.3–3.4)."""

import functools
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from srntt_pipeline.config import TrainParams, UpscalerParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.files import output_folder
from srntt_pipeline.training import CACHE_GIB
from srntt_pipeline.training.job import srntt_job, upscaler_job
from srntt_pipeline.training.launch import launch
from srntt_pipeline.training.trainer import Trainer


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
) -> dict[str, float]:
    """Train on the pairs of `dataset` with the swaps in `swaps`; return the validation metrics.

    Writes `out/VARIANT.safetensors` and `.json`, its card (`card.json`, `card.md`), `loss.csv`,
    `validation.csv`, `metrics.json`, curves and pictures in `dvclive/`, and under `resume/` the
    state from which a killed run, or one with more steps, goes on. `content`: a `sisr` checkpoint
    in place of the warm-up. Neither `devices` nor `loader_workers` changes a batch. Raises
    InputError, also when training diverges.
    """
    output_folder(out, clear=False)
    run = functools.partial(
        _train, dataset=dataset, swaps=swaps, out=out, params=params, device=device,
        loader_workers=loader_workers, encoder_weights=encoder_weights, content=content,
        cache_bytes=cache_bytes,
    )  # fmt: skip
    metrics: dict[str, float] = launch(run, device, devices, params.precision)
    return metrics


def _train(
    fabric: Fabric,
    *,
    dataset: Path,
    swaps: Path,
    out: Path,
    params: TrainParams,
    device: str,
    loader_workers: int,
    cache_bytes: int,
    **options: Any,
) -> dict[str, float]:
    choose_device(device)  # for its settings of arithmetic, in this process
    job = srntt_job(
        dataset, swaps, params, fabric.device, on_cpu=loader_workers > 0,
        cache_bytes=cache_bytes // fabric.world_size, **options,
    )  # fmt: skip
    return Trainer(fabric, out, params, job, loader_workers).run()


def train_upscaler(
    dataset: Path,
    out: Path,
    params: UpscalerParams,
    *,
    device: str = "auto",
    devices: int = 1,
    loader_workers: int = 0,
) -> dict[str, float]:
    """Train the upscaler `sisr` on the HR images of `dataset`; return the validation metrics.

    Writes what `train` does, the checkpoint as `sisr.safetensors`. Raises InputError.
    """
    output_folder(out, clear=False)
    run = functools.partial(
        _train_upscaler, dataset=dataset, out=out, params=params, device=device,
        loader_workers=loader_workers,
    )  # fmt: skip
    metrics: dict[str, float] = launch(run, device, devices, params.precision)
    return metrics


def _train_upscaler(
    fabric: Fabric,
    *,
    dataset: Path,
    out: Path,
    params: UpscalerParams,
    device: str,
    loader_workers: int,
) -> dict[str, float]:
    choose_device(device)
    return Trainer(fabric, out, params, upscaler_job(dataset, params), loader_workers).run()
