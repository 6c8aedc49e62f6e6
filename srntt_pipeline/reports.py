"""What jobs report while they run: each unit of work that is done, to the bar of whoever waits.

A job may take minutes (a shard, all SR images of a test group); a bar that moves within seconds
counts what it is made of.
"""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from srntt_pipeline.text import short_name

_POLL_S = 0.5
_WORDS = 60  # characters shown behind a bar

_tell: ContextVar[Callable[[str], None] | None] = ContextVar("tell", default=None)


def report(words: str = "") -> None:
    """Say that one more unit of the job at hand is done; `words`: which, shown behind the bar.

    Outside of a job, and in one of a cluster elsewhere, nothing hears it.
    """
    tell = _tell.get()
    if tell:
        tell(short_name(words, _WORDS))


@contextmanager
def told_by(tell: Callable[[str], None] | None) -> Iterator[None]:
    """Hand what is reported in this block to `tell`."""
    before = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(before)


def to_file(path: Path, index: int) -> Callable[[str], None]:
    """Return how job `index` reports from another process: a line in the file at `path`."""

    def tell(words: str) -> None:
        line = f"{index} {words}\n".encode()
        with contextlib.suppress(OSError):  # the job is worth more than its bar
            handle = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)

    return tell


class Reports:
    """Counts on a progress bar what jobs report, and the rest of each when it is done.

    `sizes`: how many units each job is. `path`: where jobs of other processes write, after `open`;
    None where no file can be made.
    """

    def __init__(self, bar: Any, sizes: Sequence[int]) -> None:
        self._bar, self._left, self._lock = bar, list(sizes), threading.Lock()
        self._read, self._done = 0, threading.Event()
        self._thread: threading.Thread | None = None
        self.path: Path | None = None

    def __enter__(self) -> "Reports":
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        if self._thread:
            self._thread.join()
        if self.path:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def open(self) -> None:
        """Make the file, and watch it from now on."""
        with contextlib.suppress(OSError):
            # A run that is killed leaves it behind, under a name that tells whose it is.
            handle, name = tempfile.mkstemp(prefix="srntt-pipeline-reports-")
            os.close(handle)
            self.path = Path(name)
            self._thread = threading.Thread(target=self._watch, name="reports", daemon=True)
            self._thread.start()

    def here(self, index: int) -> Callable[[str], None]:
        """Return how job `index` reports from this process."""
        return lambda words: self._count(index, words)

    def finish(self, index: int) -> None:
        """Count what job `index` has not reported."""
        with self._lock:
            left, self._left[index] = self._left[index], 0
            self._bar.update(left)

    def _count(self, index: int, words: str) -> None:
        with self._lock:
            if self._left[index]:  # else it is done, and counted
                self._left[index] -= 1
                if words:
                    self._bar.set_postfix_str(words, refresh=False)
                self._bar.update()

    def _watch(self) -> None:
        while not self._done.wait(_POLL_S):
            self._look()

    def _look(self) -> None:
        assert self.path
        with contextlib.suppress(OSError, ValueError, IndexError), self.path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                index, _, words = line.decode().rstrip("\n").partition(" ")
                self._count(int(index), words)
