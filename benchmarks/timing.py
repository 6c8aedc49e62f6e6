"""What the benchmarks share: timing in turns, and one way to print."""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2


def parse(description: str, *more: str) -> argparse.Namespace:
    """Return options that all benchmarks take, and `more`; they run on one thread of the CPU."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=5)
    for name in more:
        parser.add_argument(f"--{name}")
    options = parser.parse_args()
    import torch  # not on top: the benchmark of memory does without

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    return options


def seconds(run: Callable[[], object]) -> float:
    """Return how long `run` takes, once the threads of what ran before have gone to sleep.

    Those of OpenMP spin for some milliseconds, on the cores that `run` wants.
    """
    time.sleep(0.05)
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(title: str, ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Time the `ways` in turns, after one run that does not count; ours is the first.

    Prints the median of each and how many times as long as ours it takes; returns the medians, s.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, run in ways.items():
            taken = seconds(run)
            if turn:
                times[name].append(taken)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ours = next(iter(medians.values()))
    print(f"{title} (one thread, {processor()}, median of {repeats})")
    for name, median in medians.items():
        print(f"  {name:<44} {1000 * median:10.1f} ms   {median / ours:6.2f} × ours")
    return medians


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
