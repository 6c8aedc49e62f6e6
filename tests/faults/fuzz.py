"""Reads spoilt files of one kind. Runs in a child process.

`main` prints as JSON how many inputs were tried, how many of them refused, and what broke: any
exception but InputError, more than TIME_S seconds, or more than MEMORY bytes above the other reads.
"""

import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzz_files
import fuzz_networks
import fuzz_swaps
from commands import Inputs
from hypothesis import HealthCheck, Phase, given, settings
from mutations import CANARY
from target import Target

from srntt_pipeline.errors import InputError

TIME_S = 20
MEMORY = 1 << 30

TARGETS: dict[str, Callable[[Inputs, Path], Target]] = {
    make.__name__: make
    for make in (
        fuzz_files.images,
        fuzz_files.manifests,
        fuzz_files.labels,
        fuzz_files.results,
        fuzz_files.params,
        fuzz_files.cluster_config,
        fuzz_swaps.swap_index,
        fuzz_swaps.shards,
        fuzz_swaps.shard_bytes,
        fuzz_networks.checkpoints,
        fuzz_networks.encoder_weights,
        fuzz_networks.training_states,
    )
}


class TooSlow(BaseException):
    """Raised out of a read that takes too long."""


def _too_slow(*_: object) -> None:
    raise TooSlow(f"more than {TIME_S} s")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Fuzz the target named first on as many inputs as named second; print what came of it."""
    _, _, name, count, root, scratch = sys.argv
    place = Path(scratch)
    os.chdir(place)
    target = TARGETS[name](Inputs(Path(root)), place)
    signal.signal(signal.SIGALRM, _too_slow)
    # What would take the whole machine fails instead, and is told as what broke.
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 4 * MEMORY, size + 4 * MEMORY))
    found: dict[str, Any] = {"tried": 0, "refused": 0, "broken": 0, "kinds": {}}
    peaks: list[int] = []

    @settings(
        max_examples=max(3, round(int(count) * target.share)),
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.files)
    def attempt(file: Any) -> None:
        read(file)

    def read(file: Any) -> None:
        found["tried"] += 1
        (place / "last input").write_text(repr(file)[:100_000])
        signal.alarm(TIME_S)
        try:
            target.read(file)
        except InputError:
            found["refused"] += 1
        except (Exception, TooSlow) as error:
            _note(found, _kind(error), file)
        finally:
            signal.alarm(0)
        peaks.append(_peak())
        if peaks[-1] - peaks[max(0, len(peaks) - 2)] > MEMORY:
            grown = (peaks[-1] - peaks[-2]) >> 20
            _note(found, f"took {grown} MiB more than all before", file)

    for file in target.always:
        read(file)
    attempt()
    if any(place.rglob(CANARY)):
        _note(found, "code in an input was executed", "")
    found["mib"] = (max(peaks) - peaks[0]) >> 20
    sys.__stdout__.write(json.dumps(found))  # type: ignore[union-attr]


def _note(found: dict[str, Any], kind: str, file: Any) -> None:
    found["broken"] += 1
    times, example = found["kinds"].get(kind, (0, repr(file)[:300]))
    found["kinds"][kind] = times + 1, example


def _kind(error: BaseException) -> str:
    """Return what an error is and where in the package it came from."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "/srntt_pipeline/" in f.filename
    ]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} in {where}: {str(error)[:120]!r}"
