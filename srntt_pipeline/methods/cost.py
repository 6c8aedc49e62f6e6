"""What a method costs: weights, multiply-adds, seconds and memory, measured where it runs."""

import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from srntt_pipeline import memory
from srntt_pipeline.methods.method import Method
from srntt_pipeline.methods.scene import Scene


@dataclass(frozen=True)
class Cost:
    """What SR of one image with one reference took; None: not known.

    `parameters`: weights of the network. `multiply_adds_per_pixel`: of SR, as PyTorch counts them
    over all that it computes for the image, encoder and tiles' halos too; what runs outside of
    PyTorch, as the search does on a CPU, is not in it. `seconds_per_image`: of one run alone, with
    the network loaded before. `peak_memory_mib`: above what the process held before, the weights
    among that. `cost_device`: the processor, and the threads it ran on.
    """

    parameters: int | None = None
    multiply_adds_per_pixel: float | None = None
    seconds_per_image: float | None = None
    peak_memory_mib: float | None = None
    cost_device: str = ""


def measure_cost(method: Method, scene: Scene, reference: str) -> Cost:
    """Return the cost of `method` on a scene that no method has seen, so that nothing is shared.

    Raises CannotRun as the method does.
    """
    method.prepare(scene, reference)
    scene.images(reference)
    memory.release()
    peak = _Peak(scene.device)
    with FlopCounterMode(display=False) as counted:
        started = time.perf_counter()
        sr = method.super_resolve(scene, reference)
        if scene.device != "cpu":
            torch.cuda.synchronize(scene.device)
        seconds = time.perf_counter() - started
    flops, bytes_ = counted.get_total_flops(), peak.bytes()
    return Cost(
        method.parameters(),
        round(flops / 2 / (sr.shape[0] * sr.shape[1]), 1) if flops else None,
        float(f"{seconds:.3g}"),
        None if bytes_ is None else round(bytes_ / 2**20),
        device_words(scene.device),
    )


class _Peak:
    """The most memory above what is held when it is made: of a GPU, or of this process."""

    def __init__(self, device: str) -> None:
        self._device = device
        if device != "cpu":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")  # Linux: begin to watch anew
        except OSError:
            self._before = -1
        else:
            self._before = _status("VmRSS")

    def bytes(self) -> int | None:
        """Return the most so far; None where the system does not tell."""
        if self._before < 0:
            return None
        if self._device != "cpu":
            return int(torch.cuda.max_memory_allocated(self._device)) - self._before
        return max(0, _status("VmHWM") - self._before)


def _status(field: str) -> int:
    """Return a field of this process's status, bytes; Linux alone."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[field].split()[0]) << 10


def device_words(device: str) -> str:
    """Return the name of a device for people: the GPU's, or the processor's with its threads."""
    if device != "cpu":
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' * (threads > 1)}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:  # another system than Linux
        pass
    return platform.processor() or platform.machine() or "CPU"
