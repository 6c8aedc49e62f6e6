"""Choosing the device that tensors are computed on."""

import ctypes
import functools
import multiprocessing
import os
from typing import TYPE_CHECKING

from srntt_pipeline.errors import InputError

if TYPE_CHECKING:
    import torch


def device_name(name: str) -> str:
    """Return the name of the device that `choose_device` would choose.

    Where no NVIDIA driver is, it is found without loading PyTorch, which takes seconds.
    """
    if name == "auto":
        name = os.environ.get("SRNTT_DEVICE", name)
    if name == "cpu" or (name == "auto" and not _has_driver()):
        return "cpu"
    return str(choose_device(name))


@functools.cache
def _has_driver() -> bool:
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return True
    return False


def choose_device(name: str) -> "torch.device":
    """Return the device called `name`: `auto`, `cpu`, `cuda`, `cuda:1`…

    `auto` is what SRNTT_DEVICE says, or CUDA where there is one, or the CPU. CUDA is
    asked for full float32: TF32 would round the features that matching compares.
    Raises InputError for an unknown device, or one that this machine lacks.
    """
    import torch

    if name == "auto":
        name = os.environ.get("SRNTT_DEVICE", name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device {name}: unknown; use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: only cpu and cuda are supported")
    if device.type == "cpu":
        return torch.device("cpu")  # a number means nothing here, and Fabric stumbles over it
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise InputError(f"--device {name}: PyTorch finds no CUDA device; use --device cpu")
        if (device.index or 0) >= torch.cuda.device_count():
            raise InputError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return device


def device_workers(device: str, workers: int) -> int:
    """Return how many of `workers` processes to use on `device`: one for each GPU.

    `cuda` means all GPUs of this machine, `cuda:1` that one.
    """
    if device == "cpu":
        return workers
    import torch

    return min(workers, torch.cuda.device_count()) if device == "cuda" else 1


def worker_device(device: str) -> "torch.device":
    """Return the device for this process: where `cuda` means several GPUs, worker i has cuda:i.

    A worker that takes the place of one that died has a number of its own, so may share a GPU.
    """
    import torch

    count = torch.cuda.device_count() if device == "cuda" else 0
    if count < 2:
        return choose_device(device)
    # The number that multiprocessing gave this process, from 1 on; the main process has none.
    number = (getattr(multiprocessing.current_process(), "_identity", ()) or (1,))[-1]
    return choose_device(f"cuda:{(number - 1) % count}")
