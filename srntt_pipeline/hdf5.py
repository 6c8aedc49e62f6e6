"""HDF5 files with a seal: a checksum that is looked at before HDF5 opens the file.

HDF5 checks its data but not its metadata, and a single flipped bit there can crash the library or
send it into an endless loop. So the user block, 512 bytes that HDF5 leaves to us at the head of the
file, holds the SHA-256 of all that follows.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import h5py

from srntt_pipeline.files import whole_file

USER_BLOCK = 512


@contextmanager
def sealed_file(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file to fill; it is sealed and renamed to `path` when the block succeeds."""
    with whole_file(path) as partial:
        with h5py.File(partial, "w", userblock_size=USER_BLOCK) as file:
            yield file
        with partial.open("r+b") as raw:
            seal = _seal(raw)
            raw.seek(0)
            raw.write(seal)


def add_dataset(group: h5py.Group, name: str, data: Any, **options: Any) -> None:
    """Write a dataset at once.

    HDF5 gives a chunk its place in the file when it is written, at the latest when the last Python
    reference to the dataset goes. On a Dask worker that can be any time, for its profiler holds
    references: without this, the same content would give other bytes.
    """
    group.create_dataset(name, data=data, **options).flush()


def sealed_hash(path: Path) -> str | None:
    """Return the hash that the seal of `path` names, unchecked; None where there is no seal."""
    try:
        with path.open("rb") as raw:
            words = raw.read(USER_BLOCK).rstrip(b"\0").split()
    except OSError:
        return None
    sealed = len(words) == 3 and words[:2] == [b"srntt_pipeline", b"sha256"]
    return words[2].decode("ascii", "replace") if sealed else None


def is_intact(path: Path) -> bool:
    """Tell whether `path` is a file that `sealed_file` wrote, unchanged since."""
    try:
        with path.open("rb") as raw:
            return raw.read(USER_BLOCK) == _seal(raw)
    except OSError:
        return False


def _seal(raw: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    raw.seek(USER_BLOCK)
    while block := raw.read(1 << 20):
        digest.update(block)
    return f"srntt_pipeline\nsha256 {digest.hexdigest()}\n".encode().ljust(USER_BLOCK, b"\0")
