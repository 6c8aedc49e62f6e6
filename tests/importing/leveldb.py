"""TensorFlow's checkpoints of version 1, written byte by byte by LevelDB's format."""

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

MAGIC = 0xDB4775248B80FB57
FLOAT, INT64 = 1, 9


def crc32c(content: bytes) -> int:
    """Bit by bit."""
    value = 0xFFFFFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries: Iterable[tuple[bytes, bytes]], every: int = 3) -> bytes:
    """A block: keys without what they share with the one before, but for each of `every`."""
    out, last, starts = b"", b"", []
    for number, (key, value) in enumerate(entries):
        same = 0
        if number % every == 0:
            starts.append(len(out))
        else:
            while same < min(len(key), len(last)) and key[same] == last[same]:
                same += 1
        out += varint(same) + varint(len(key) - same) + varint(len(value)) + key[same:] + value
        last = key
    return out + struct.pack(f"<{len(starts) + 1}I", *starts, len(starts))


def sealed(content: bytes, packed: int = 0) -> bytes:
    """A block with its trailer."""
    content += bytes([packed])
    value = crc32c(content)
    masked = ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return content + struct.pack("<I", masked)


def described(name: str, shape: Iterable[int], kind: int = FLOAT) -> bytes:
    sides = b"".join(field(2, field(1, side)) for side in shape)
    return field(1, name.encode()) + field(2, sides) + field(3, kind) + field(4, b"")


def saved(name: str, values: bytes, part: bytes = field(1, b"")) -> tuple[bytes, bytes]:
    data = field(1, name.encode()) + field(2, part) + field(3, field(5, values))
    return b"\0\1" + name.encode(), field(2, data)


def table(blocks: list[list[tuple[bytes, bytes]]], packed: int = 0) -> bytes:
    """A file of these blocks of entries."""
    out, index = b"", []
    for entries in blocks:
        content = block(entries)
        index.append((entries[-1][0] + b"\1", varint(len(out)) + varint(len(content))))
        out += sealed(content, packed)
    spans = b""
    for content in (block([]), block(index, 1)):
        spans += varint(len(out)) + varint(len(content))
        out += sealed(content)
    return out + spans.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write(path: Path, tensors: Mapping[str, np.ndarray], per_block: int = 4) -> Path:
    """Write tensors as TensorFlow's saver does, some in each block."""
    kinds = {"f": FLOAT, "i": INT64}
    meta = b"".join(
        field(1, described(n, v.shape, kinds[v.dtype.kind])) for n, v in tensors.items()
    )
    entries = [(b"", field(1, meta + field(2, field(1, 1))))]
    entries += [saved(name, values.tobytes()) for name, values in sorted(tensors.items())]
    parts = [entries[i : i + per_block] for i in range(0, len(entries), per_block)]
    path.write_bytes(table(parts))
    return path
