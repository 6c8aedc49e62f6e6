"""One writer at a time in a folder: who holds its lock, and what others are told of them.

The lock is a file that `flock` holds, so a process that ends, however it ends, lets go of it.
"""

import json
import os
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK, write_json

LOCK, WRITER = "lock", "writer.json"
_PATIENCE_S = 2  # parts that start at once hold the lock for a moment, to see whether it is free


def lock(stack: ExitStack, folder: Path, part: ArrayPart | None) -> None:
    """Keep other writers out until the stack is closed; raise InputError when there is one.

    Parts of an array job lock each other out only where they are the same. Each takes its own lock
    first and then looks at the others, so of two that start at once at least one sees the other.
    """
    mark = folder / MARK
    own = f"{LOCK}-{part.k}-of-{part.n}" if part else LOCK
    writer = _writer_file(mark, own)
    _acquire(stack, mark, own, folder)
    others = [mark / LOCK] if part else [path for path in part_files(folder) if not path.suffix]
    for other in others:
        with ExitStack() as probe:
            _acquire(probe, mark, other.name, folder)
    stack.callback(writer.unlink, missing_ok=True)
    write_json(
        writer,
        {
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]]),
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        },
    )


def _acquire(stack: ExitStack, mark: Path, name: str, folder: Path) -> None:
    try:
        stack.enter_context(FileLock(mark / name, timeout=_PATIENCE_S))
    except Timeout:
        raise InputError(
            f"{folder} is being written by {_writer(mark, name)}; wait until it has ended, or name "
            "another folder"
        ) from None


def _writer_file(mark: Path, lock: str) -> Path:
    return mark / (WRITER if lock == LOCK else f"{lock}.json")


def _writer(mark: Path, lock: str) -> str:
    try:
        who = json.loads(_writer_file(mark, lock).read_text(encoding="utf-8"))
        return f"{who['command']} (process {who['process']} on {who['host']}, since {who['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"


def part_files(folder: Path) -> list[Path]:
    """Return the locks of parts in `folder`, and what says who held them, by name."""
    return sorted((folder / MARK).glob(f"{LOCK}-*-of-*"))
