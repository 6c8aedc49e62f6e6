"""TensorFlow's checkpoints of version 1, read without TensorFlow.

Such a file is a table in LevelDB's format: blocks of keys and values in the order of keys, a block
that indexes them, and a footer that tells where that one is. The value of the empty key describes
all tensors; each other value holds one of them. Values are protocol buffers.

A file is read as if a stranger had made it: nothing is executed, lengths are compared with what is
there before anything is taken, and each block is compared with its checksum.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from srntt_pipeline.errors import InputError, one_line
from srntt_pipeline.files import open_regular
from srntt_pipeline.importing.crc32c import crc32c

_MOST = 1 << 30  # bytes of a file; ENet's has 3.4 MB
_FOOTER, _MAGIC = 48, 0xDB4775248B80FB57
_TRAILER = 5  # bytes behind a block: how it is packed, and its checksum
_MASK = 0xA282EAD8
# Wire types of protocol buffers.
_NUMBER, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
# Fields: SavedTensorSlices has (meta 1, data 2), its meta (tensor 1); of one tensor (name 1, shape
# 2, type 3, slice 4), a shape has (dimension 2), a dimension (size 1); data has (name 1, slice 2,
# values 3), values (floats 5), a slice (extent 1), and an extent fields where it is not whole.
_FLOAT = 1  # of the types of tensors

Span = tuple[int, int]  # offset and size of a block


def read_tf_table(path: Path) -> dict[str, np.ndarray]:
    """Return the float32 tensors of a checkpoint by name; those of other types are left out.

    Each is finite, of the shape that the file tells, and the caller's own. Raises InputError that
    names the file where it is missing, damaged, packed, larger than 1 GiB, of TensorFlow's second
    version, or where a tensor is in parts or holds NaN or infinity.
    """
    if path.name.endswith((".index", ".meta")) or ".data-" in path.name:
        raise InputError(f"{path}: of a checkpoint of version 2; save it as version 1, one file")
    try:
        with open_regular(path) as file:
            content = file.read(_MOST + 1)
        if len(content) > _MOST:
            raise ValueError("larger than 1 GiB")
        return _tensors(content)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or one_line(str(error))}") from None
    except (ValueError, struct.error, UnicodeDecodeError) as error:
        reason = one_line(str(error))
        raise InputError(
            f"{path}: damaged, or not a TensorFlow checkpoint of version 1 ({reason})"
        ) from None


def _tensors(content: bytes) -> dict[str, np.ndarray]:
    footer = content[-_FOOTER:]
    if len(footer) < _FOOTER or struct.unpack_from("<Q", footer, _FOOTER - 8)[0] != _MAGIC:
        raise ValueError("it has no footer")
    _, place = _span(footer, 0)  # of a block that says nothing of use
    index, _ = _span(footer, place)
    shapes: dict[str, tuple[int, ...]] = {}
    found: dict[str, np.ndarray] = {}
    for _, where in _entries(_block(content, index)):
        for key, value in _entries(_block(content, _span(where, 0)[0])):
            fields = _fields(value)
            if not key:
                shapes = _shapes(fields)
                continue
            data = _fields(_one(fields, 2))
            name = bytes(_one(data, 1)).decode()
            if name not in shapes:
                continue
            if name in found or any(_one_or_none(_fields(s), 1) for s in data.get(2, [])):
                raise ValueError(f"{name} is in parts")
            found[name] = _floats(name, _fields(_one(data, 3)), shapes[name])
    if missing := sorted(shapes.keys() - found.keys()):
        raise ValueError(f"{missing[0]} is missing")
    return found


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return a number, seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(content):
            break
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("cut short")


def _span(content: bytes, place: int) -> tuple[Span, int]:
    """Return offset and size of a block, and where they end."""
    offset, place = _varint(content, place)
    size, place = _varint(content, place)
    return (offset, size), place


def _block(content: bytes, span: Span) -> bytes:
    """Return a block; raise ValueError unless it is there, not packed, and of its checksum."""
    start, size = span
    end = start + size + _TRAILER
    if end > len(content) - _FOOTER or size < 4:
        raise ValueError("cut short")
    packed, checksum = struct.unpack_from("<BI", content, start + size)
    if packed:
        raise ValueError("its blocks are packed")
    found = crc32c(content[start : start + size + 1])
    if ((found >> 15 | found << 17) + _MASK) & 0xFFFFFFFF != checksum:
        raise ValueError("a block is not of its checksum")
    return content[start : start + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a block; a key tells how much of the one before it begins with."""
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end = len(block) - 4 - 4 * restarts
    place, key = 0, b""
    while place < end:
        same, place = _varint(block, place)
        more, place = _varint(block, place)
        length, place = _varint(block, place)
        if same > len(key) or place + more + length > end:
            raise ValueError("cut short")
        key = key[:same] + block[place : place + more]
        place += more
        yield key, block[place : place + length]
        place += length


def _fields(message: bytes) -> dict[int, list[Any]]:
    """Return the values of a protocol buffer by field: numbers, or bytes."""
    found: dict[int, list[Any]] = {}
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == _NUMBER:
            value, place = _varint(message, place)
            found.setdefault(tag >> 3, []).append(value)
            continue
        if kind == _BYTES:
            length, place = _varint(message, place)
        elif kind in (_FOUR_BYTES, _EIGHT_BYTES):
            length = 4 if kind == _FOUR_BYTES else 8
        else:
            raise ValueError(f"a field of kind {kind}")
        if place + length > len(message):
            raise ValueError("cut short")
        found.setdefault(tag >> 3, []).append(message[place : place + length])
        place += length
    return found


def _one_or_none(fields: dict[int, list[Any]], number: int) -> bytes | None:
    values = fields.get(number, [])
    if not values:
        return None
    if not isinstance(values[-1], bytes):
        raise ValueError(f"field {number} is a number")
    return values[-1]


def _one(fields: dict[int, list[Any]], number: int) -> bytes:
    value = _one_or_none(fields, number)
    if value is None:
        raise ValueError(f"field {number} is missing")
    return value


def _shapes(fields: dict[int, list[Any]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the float tensors that the file describes, by name."""
    found: dict[str, tuple[int, ...]] = {}
    for tensor in _fields(_one(fields, 1)).get(1, []):
        described = _fields(tensor)
        if described.get(3) != [_FLOAT]:
            continue
        sides = _fields(_one_or_none(described, 2) or b"").get(2, [])
        shape = tuple(_fields(side).get(1, [0])[-1] for side in sides)
        if not all(isinstance(side, int) for side in shape):
            raise ValueError("a shape is damaged")
        found[_one(described, 1).decode()] = shape
    return found


def _floats(name: str, values: dict[int, list[Any]], shape: tuple[int, ...]) -> np.ndarray:
    content = _one_or_none(values, 5) or b""
    if len(values.get(5, [])) > 1 or len(content) != 4 * math.prod(shape):
        raise ValueError(f"{name} does not hold as many values as its shape says")
    found = np.frombuffer(content, "<f4").reshape(shape).astype(np.float32)
    if not np.isfinite(found).all():
        raise ValueError(f"{name} is not finite: it holds NaN or infinity")
    return found
