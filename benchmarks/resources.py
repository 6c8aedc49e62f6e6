"""What the machine has to give, measured: memory taken, rate of products, rate of copying."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from timing import seconds


def memory(key: str) -> int:
    """Return VmRSS or VmHWM of this process, bytes; 0 where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))


def peak(run: Callable[[], object]) -> int:
    """Return how many bytes `run` takes at most beside what there is; 0 where it cannot be told."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is freed but kept would hide the next peak
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets VmHWM
    except OSError:
        run()
        return 0
    before = memory("VmRSS")
    run()
    return memory("VmHWM") - before


def product_rate() -> float:
    """Return operations a second of a matrix product as matching has them, the better of NumPy's
    and PyTorch's, best of three.
    """
    a, b = np.ones((4000, 256), np.float32), np.ones((256, 2000), np.float32)
    pair = torch.from_numpy(a), torch.from_numpy(b)
    times = [
        seconds(run)
        for run in (lambda: np.matmul(a, b), lambda: torch.matmul(*pair))
        for _ in range(3)
    ]
    return 2 * a.size * b.shape[1] / min(times)


def copy_rate() -> float:
    """Return bytes a second, read and written, of a copy that no cache holds, best of three."""
    source = np.ones(1 << 26, np.float32)  # 256 MiB
    target = np.zeros_like(source)
    return 2 * source.nbytes / min(seconds(lambda: np.copyto(target, source)) for _ in range(3))
