"""Writing files whole or not at all, and telling their contents apart by hash."""

import csv
import errno
import hashlib
import io
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from srntt_pipeline.errors import InputError

MARK, PARTIAL = ".srntt_pipeline", "partial"
_LONGEST_SUFFIX = 16  # bytes; longer ones are no file types


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path for `path`; rename it to `path` only when the block succeeds.

    A job killed inside the block leaves the old file, or none. In a folder that `outputs` keeps,
    the temporary path lies in its hidden folder, which the next run clears; elsewhere beside
    `path`. Works for a folder as well, if `path` does not exist yet. An OSError of the block comes
    out naming `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        yield partial
        os.replace(partial, path)  # noqa: PTH105 - atomic for files and folders alike
    except BaseException as error:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(partial)):
            raise _named(error, path) from None
        raise


def _partial(path: Path) -> Path:
    """Return a path that no other job has, be it a thread or on another machine.

    It does not grow with the name. The suffix stays: some libraries choose a format by it.
    """
    suffix = path.suffix if len(path.suffix.encode()) <= _LONGEST_SUFFIX else ""
    token = secrets.token_hex(8)
    for folder in path.parents:
        if (folder / MARK).is_dir():
            place = folder / MARK / PARTIAL
            place.mkdir(exist_ok=True)
            return place / f"{token}{suffix}"
    return path.with_name(f".{token}.{PARTIAL}{suffix}")


def _named(error: OSError, path: Path) -> OSError:
    """Return `error` with the name of the file that was being written."""
    if error.errno is None:  # some libraries put all into the message
        return OSError(errno.EIO, str(error), str(path))
    return OSError(error.errno, os.strerror(error.errno), str(path))


def discard(folder: Path) -> None:
    """Remove a folder such that a kill in the middle leaves no half of it under its name."""
    doomed = _partial(folder)
    folder.rename(doomed)
    shutil.rmtree(doomed)


def output_folder(path: Path, *, clear: bool = True) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def json_bytes(content: Any) -> bytes:
    """Return `content` as JSON with sorted keys and a last newline, so that git diffs read well."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode()


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as `json_bytes` has it, whole or not at all."""
    write_bytes(path, json_bytes(content))


def read_json(path: Path, fix: str) -> Any:
    """Read a JSON file; raise InputError that names it and says `fix` when it is not one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; {fix}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is not readable JSON ({error}); {fix}") from None


def csv_bytes(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    r"""Return `rows` as CSV: UTF-8, header, \n line ends, None as an empty cell."""
    lines = []
    for row in ({column: column for column in columns}, *rows):
        text = io.StringIO()
        # csv quotes what holds a character of the line end; a lone \r must be quoted too.
        csv.DictWriter(text, fieldnames=list(columns), lineterminator="\r\n").writerow(row)
        lines.append(text.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines).encode()


def folders_with(path: Path, pattern: str) -> list[Path]:
    """Return `path`, or if it is a folder without such files, those folders in it that have any.

    In the order of their names; `path` again if there are none.
    """
    if path.is_dir() and not any(path.glob(pattern)):
        return sorted(f for f in path.iterdir() if any(f.glob(pattern))) or [path]
    return [path]


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the file at `path` as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(content: Any) -> str:
    """Return a hash of JSON-able `content`: equal content, equal fingerprint."""
    return sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode())
