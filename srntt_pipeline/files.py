"""Writing files whole or not at all, and telling their contents apart by hash."""

import csv
import errno
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from srntt_pipeline.errors import InputError

_PARTIAL = ".partial"
_OURS = re.compile(r"\..+-[0-9a-f]{8}\.partial(\.\w+)?", re.DOTALL)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` only when the block succeeds.

    A job killed inside the block leaves the old file (or none) and a hidden `.partial` file, which
    `remove_partials` clears. Works for a folder as well, if `path` does not exist yet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: Pillow, pandas and matplotlib choose the format by it.
    partial = path.with_name(f".{path.stem}-{_token()}{_PARTIAL}{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)  # noqa: PTH105 - atomic for files and folders alike
    except BaseException:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
        raise


def _token() -> str:
    """Return what no other job has in its names, be it a thread or on another machine."""
    return secrets.token_hex(4)


def remove_partials(folder: Path) -> None:
    """Clear what killed jobs left under `folder`."""
    for partial in folder.rglob(f".*{_PARTIAL}*"):
        if not _OURS.fullmatch(partial.name):
            continue
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder such that a kill in the middle leaves no half of it under its name."""
    doomed = folder.with_name(f".{folder.name}-{_token()}{_PARTIAL}")
    folder.rename(doomed)
    shutil.rmtree(doomed)


def output_folder(path: Path, *, clear: bool = True) -> Path:
    """Make `path` a folder ready to be written to, or raise InputError.

    `clear` removes what killed jobs left there; not where others may be writing now.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; name a folder to write to")
    path.mkdir(parents=True, exist_ok=True)
    if clear:
        remove_partials(path)
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


def open_regular(path: Path) -> BinaryIO:
    """Open a file to be read; raise OSError where it is none, be it a folder, a pipe or a device.

    A pipe without a writer would else be waited for, and some devices never end.
    """
    place = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return os.fdopen(place, "rb")
    except BaseException:
        os.close(place)
        raise


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the file at `path` as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(content: Any) -> str:
    """Return a hash of JSON-able `content`: equal content, equal fingerprint."""
    return sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode())
