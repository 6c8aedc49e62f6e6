"""MATLAB's files (.mat, level 5), read as if a stranger had made them.

Not by SciPy, which damaged files crash. No code in a file is ever run, and nothing is allocated
that the file does not hold: numbers that are not packed stay where they lie until they are used.
"""

import math
import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from srntt_pipeline.errors import InputError, one_line
from srntt_pipeline.files import open_regular

_MOST = 1 << 30  # bytes of a file, and of what it unpacks to; the whole VGG19 has 575 MB
_HEAD, _TAG = 128, 8  # bytes
Element = tuple[int, memoryview]  # its type and its content
_LEVEL_5, _LEVEL_73 = b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"
_DEEPEST = 32  # arrays in cells in structs …
# Types of elements; of numbers and text their NumPy type.
_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
           13: "u8", 16: "u1", 17: "u2", 18: "u4"}  # fmt: skip
# Classes of arrays; of numbers their NumPy type, whatever smaller one they are stored in.
_CELL, _STRUCT, _TEXT, _COMPLEX = 1, 2, 4, 0x800
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8",
            15: "u8"}  # fmt: skip


def read_mat(path: Path) -> dict[str, Any]:
    """Return the variables of a .mat file by name.

    Numbers are arrays of their shape; text is a str; a cell array is a list, column by column; a
    struct is a dict, an array of structs a list of such; what else there is (objects, functions,
    sparse and complex numbers) is None. Raises InputError that names the file where it is missing,
    damaged, of another level, or larger than 1 GiB.
    """
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD)
            if head.startswith(_LEVEL_73):
                raise InputError(f"{path}: a .mat file of level 7.3 (HDF5); save it with -v7")
            if not head.startswith(_LEVEL_5) or head[126:128] not in (b"IM", b"MI"):
                raise InputError(f"{path}: not a .mat file of level 5")
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return dict(_variables(whole, "<" if head[126:128] == b"IM" else ">"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or one_line(str(error))}") from None
    except (ValueError, TypeError, struct.error, zlib.error) as error:
        raise InputError(f"{path}: a damaged .mat file ({one_line(str(error))})") from None


def _variables(whole: memoryview, order: str) -> Iterator[tuple[str, Any]]:
    room = _MOST - len(whole)
    if room < 0:
        raise ValueError("larger than 1 GiB")
    for kind, element in _elements(whole[_HEAD:], order):
        if kind == _MATRIX:
            yield _matrix(element, order)
        elif kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(element, room + 1)
            room -= len(unpacked)
            if room < 0:
                raise ValueError("unpacks to more than 1 GiB")
            inner, content = _next(_elements(memoryview(unpacked), order))
            if not unpacker.eof or inner != _MATRIX:
                raise ValueError("cut short")
            yield _matrix(content, order)


def _elements(content: memoryview, order: str) -> Iterator[Element]:
    """Yield type and content of the elements that follow each other."""
    place = 0
    while place + _TAG <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        start = place + _TAG
        # Packed elements follow each other at once, others at multiples of 8 bytes.
        following = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if kind >> 16:  # a short element: size and content stand in the tag
            kind, size, start, following = kind & 0xFFFF, kind >> 16, place + 4, start
        if start + size > min(len(content), following):
            raise ValueError("cut short")
        yield kind, content[start : start + size]
        place = following


def _next(parts: Iterator[Element]) -> Element:
    for part in parts:
        return part
    raise ValueError("cut short")


def _matrix(content: memoryview, order: str, depth: int = 0) -> tuple[str, Any]:
    """Return name and value of an array."""
    if not len(content):
        return "", np.zeros((0, 0))
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    parts = _elements(content, order)
    (_, flags), (_, shape), (_, name) = _next(parts), _next(parts), _next(parts)
    (flag,) = struct.unpack_from(f"{order}I", flags)
    dimensions = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    if not dimensions or min(dimensions) < 0:
        raise ValueError(f"an array of shape {dimensions}")
    of_class, value = flag & 0xFF, None  # type: int, Any
    if of_class == _CELL:
        value = [_matrix(part, order, depth + 1)[1] for _, part in parts]
        _check_count(len(value), dimensions)
    elif of_class == _STRUCT:
        value = _structs(parts, order, dimensions, depth)
    elif of_class == _TEXT:
        value = _text(_numbers(parts, order))
    elif of_class in _NUMBERS and not flag & _COMPLEX:
        numbers = _numbers(parts, order)
        _check_count(len(numbers), dimensions)
        kind = np.dtype(order + _NUMBERS[of_class])
        value = numbers.astype(kind.newbyteorder("="), copy=False).reshape(dimensions, order="F")
    return bytes(name).decode("latin-1"), value


def _numbers(parts: Iterator[Element], order: str) -> np.ndarray:
    """Return the numbers, in one row, of the element that comes next."""
    kind, content = next(parts, (1, memoryview(b"")))
    if kind not in _STORED:
        raise ValueError(f"numbers of type {kind}")
    return np.frombuffer(content, order + _STORED[kind])


def _text(numbers: np.ndarray) -> str:
    """Return the text of characters, one byte, two or four each."""
    codes = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}
    size = numbers.dtype.itemsize
    if size not in codes:
        raise ValueError("text of strange characters")
    return numbers.astype(f"<u{size}").tobytes().decode(codes[size], "replace")


def _structs(parts: Iterator[Element], order: str, dimensions: tuple[int, ...], depth: int) -> Any:
    (length,) = struct.unpack(f"{order}i", _next(parts)[1])
    text = bytes(_next(parts)[1])
    if length <= 0 or len(text) % length:
        raise ValueError("names of fields cut short")
    names = [text[i : i + length].split(b"\0")[0].decode("latin-1")
             for i in range(0, len(text), length)]  # fmt: skip
    values = [_matrix(part, order, depth + 1)[1] for _, part in parts]
    _check_count(len(values), (*dimensions, len(names)))
    structs = [
        dict(zip(names, values[i : i + len(names)], strict=True))
        for i in range(0, len(values), len(names) or 1)
    ]
    return structs[0] if math.prod(dimensions) == 1 and structs else structs


def _check_count(found: int, dimensions: tuple[int, ...]) -> None:
    if found != math.prod(dimensions):
        raise ValueError(f"{found} values in an array of shape {dimensions}")
