"""Saying which file could not be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srntt_pipeline.errors import InputError


@contextmanager
def naming(path: Path | None = None) -> Iterator[None]:
    """Raise InputError that names the file where the system refuses to write it (a full disk).

    `path`: the file, where an error may not name it, as those of other libraries do not.
    """
    try:
        yield
    except OSError as error:
        name = path or error.filename or "input/output"
        raise InputError(
            f"{name}: {error.strerror or error}; when that is mended, run again: training goes on "
            "from its last state"
        ) from None
