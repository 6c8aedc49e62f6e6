"""Saying which file could not be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srntt_pipeline.errors import InputError


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Raise InputError that names `path` where the system refuses to write it (a full disk)."""
    # A full disk is told when a file is written to or closed, and such an error names no file.
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; when that is mended, run again: training goes on "
            "from its last state"
        ) from None
