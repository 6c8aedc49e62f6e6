"""Writing files whole or not at all, and telling their contents apart by hash."""

import codecs
import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from srntt_pipeline.errors import InputError
from srntt_pipeline.text import shortened

MARK, PARTIAL = ".srntt_pipeline", "partial"
_LONGEST_SUFFIX = 16  # bytes; longer ones are no file types

_MOST_JSON, _MOST_CSV = 128 * 2**20, 256 * 2**20  # bytes
_MOST_VALUES = 4_000_000  # in JSON: about half a gigabyte of Python's objects
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
# How cells begin that spreadsheets take for formulas, behind any number of our own marks; a number
# that was written as text is none.
_FORMULA = re.compile(
    r"(?!'*[+-](?:[0-9.]+(?:e[+-]?[0-9]+)?|inf|nan)\Z)"
    r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]",
    re.IGNORECASE,
)


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
        if isinstance(error, OSError) and _is_within(error.filename, partial):
            raise _named(error, path) from None
        raise


def _is_within(name: object, partial: Path) -> bool:
    """Tell whether an error is of the temporary path, or what is in it; errors may name no file."""
    return name is None or (isinstance(name, str) and Path(name).is_relative_to(partial))


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


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def json_bytes(content: Any) -> bytes:
    """Return `content` as JSON with sorted keys and a last newline, so that git diffs read well.

    Raises ValueError that names the place of a number that is not finite: JSON knows no NaN and no
    infinity. Who writes such numbers says so, by `finite`.
    """
    for place, number in _not_finite(content, ""):
        raise ValueError(f"JSON has no {number}, which stands at {place or 'the top'}")
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def _not_finite(content: Any, place: str) -> Iterator[tuple[str, float]]:
    if isinstance(content, float):
        if not math.isfinite(content):
            yield place, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _not_finite(value, f"{place}.{key}" if place else f"{key}")
    elif isinstance(content, list | tuple):
        for number, value in enumerate(content):
            yield from _not_finite(value, f"{place}[{number}]")


def finite(content: Any) -> Any:
    """Return JSON-able `content` with None for each number that is not finite."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as `json_bytes` has it, whole or not at all."""
    write_bytes(path, json_bytes(content))


def read_json(path: Path, fix: str) -> Any:
    """Read a JSON file; raise InputError that names it and says `fix` when it is not one.

    Refused are also what JSON has no word for (NaN, infinity), keys that stand twice in an object,
    and what would take too much memory: a file above 128 MiB, or of too many values.
    """
    try:
        text = read_content(path, _MOST_JSON).decode()
        if sum(map(text.count, ",[{")) > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES:,} values")
        content = json.loads(
            text, object_pairs_hook=_object, parse_float=_number, parse_constant=_number
        )
        if _SURROGATE.search(text):
            json.dumps(content, ensure_ascii=False).encode()  # half of a character is no text
        if _NUL.search(text):
            raise ValueError("it holds a NUL")
    except FileNotFoundError:
        raise InputError(f"{path} is missing; {fix}") from None
    except RecursionError:
        raise InputError(f"{path} is not readable JSON (nested too deeply); {fix}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not readable JSON ({error}); {fix}") from None
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {shortened(twice, 40)!r} stands twice in one object")
    return content


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{shortened(text, 40)} is no number of JSON's")
    return number


def read_content(path: Path, most: int) -> bytes:
    """Return the bytes of a text file without its byte order mark.

    Raises OSError, and ValueError for what is no file, has more than `most` bytes, or holds a NUL,
    which no text has and file names cannot have.
    """
    with open(path, "rb", opener=_opener) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a file")
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most / 2**20:.3g} MiB")
    if b"\0" in content:
        raise ValueError(f"it holds a NUL, byte {content.index(0)}")
    return content.removeprefix(codecs.BOM_UTF8)


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a FIFO would make it wait


def csv_bytes(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    r"""Return `rows` as CSV: UTF-8, header, \n line ends, None as an empty cell.

    A text that a spreadsheet would take for a formula gets a `'` before it, which `read_csv` takes
    away again. Numbers are left as they are.
    """
    lines = []
    for row in ({column: column for column in columns}, *rows):
        text = io.StringIO()
        guarded = {column: _guarded(cell) for column, cell in row.items()}
        # csv quotes what holds a character of the line end; a lone \r must be quoted too.
        csv.DictWriter(text, fieldnames=list(columns), lineterminator="\r\n").writerow(guarded)
        lines.append(text.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines).encode()


def _guarded(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def read_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file as `csv_bytes` got them, each with the number of its last line.

    Raises OSError, ValueError (as `read_content` for what is above 256 MiB, and for what is not
    UTF-8) and csv.Error.
    """
    content = io.BytesIO(read_content(path, _MOST_CSV))
    reader = csv.reader(io.TextIOWrapper(content, encoding="utf-8", newline=""), strict=True)
    for cells in reader:
        guarded = (cell[:1] == "'" and _FORMULA.match(cell) for cell in cells)
        yield (
            reader.line_num,
            [cell[1:] if has else cell for cell, has in zip(cells, guarded, strict=True)],
        )


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
