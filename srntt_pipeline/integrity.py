"""Whether an image file's data is whole. Pillow paints what it can of a damaged file, in silence.

JPEG, in TIFF too: the warnings of libjpeg count (`jpeg`). PNG and deflated TIFF: the compressed
data must have all rows and right checksums. WebP, AVIF, HEIC, BMP and other TIFF have no checksums:
what their decoders don't notice cannot be told.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from srntt_pipeline.jpeg import jpeg_damage

_BLOCK = 1 << 16  # bytes unpacked at a time
_ROOM = 64 << 20  # bytes that tiles may unpack to beyond the pixels
# TIFF tags.
_COMPRESSION, _PLACES, _SIZES, _TILES, _TILE_SIZES, _TABLES = 259, 273, 279, 324, 325, 347
_OLD_JPEG, _JPEG, _DEFLATE = 6, 7, (8, 32946)


# Files found whole, by Python's hash of their bytes: training reads the same ones at every step.
_whole: set[int] = set()
_MOST_WHOLE = 1 << 20


def damage(content: bytes, image: Any) -> str | None:
    """Return what is wrong with the data of the file `content`, or None.

    `image` is what Pillow opened from it: its format and a TIFF's tags are used. A process looks at
    the same bytes once.
    """
    key = hash(content)
    if key in _whole:
        return None
    found = _damage(content, image)
    if found is None and len(_whole) < _MOST_WHOLE:
        _whole.add(key)
    return found


def _damage(content: bytes, image: Any) -> str | None:
    if image.format in ("JPEG", "MPO"):
        return jpeg_damage(content)
    if image.format == "PNG":
        return png_damage(content)
    if image.format == "TIFF":
        return tiff_damage(content, image)
    return None


def png_damage(content: bytes) -> str | None:
    """Return what is wrong with the pixel data of a PNG, or None."""
    inflate, size, wanted = zlib.decompressobj(), 0, None
    for kind, body, check in _chunks(content):
        if check != zlib.crc32(body, zlib.crc32(kind)):
            return f"wrong checksum in {kind.decode('latin-1')}"
        if kind == b"IHDR":
            if len(body) != 13:
                return "broken header"
            wanted = _png_bytes(*struct.unpack(">IIBBBBB", body))
        elif kind == b"IDAT":
            try:
                # More than the rows is no damage, and may be without end.
                size += _inflated(inflate, body, (wanted or 0) - size)
            except zlib.error as error:
                return f"its data cannot be unpacked ({error})"
        elif kind == b"IEND":
            whole = wanted is not None and (size > wanted or (size == wanted and inflate.eof))
            return None if whole else "its data ends early"
    return "the file ends early"


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yield kind, body and checksum of each whole chunk of a PNG."""
    view, place = memoryview(content), 8
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(view[place : place + 4], "big")
        if end + 4 > len(content):
            return
        kind, body = bytes(view[place + 4 : place + 8]), view[place + 8 : end]
        yield kind, body, int.from_bytes(view[end : end + 4], "big")
        place = end + 4


def _png_bytes(
    width: int, height: int, depth: int, colour: int, _method: int, _filter: int, interlaced: int
) -> int:
    """Return how many bytes the rows of a PNG unpack to, a filter byte before each."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 1)

    def rows(width: int, height: int) -> int:
        return height * (1 + (width * bits + 7) // 8) if width else 0

    if not interlaced:
        return rows(width, height)
    # Adam7: (first column, first row, step across, step down) of its seven passes.
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    passes.append((0, 1, 1, 2))
    return sum(
        rows(-((x - width) // across), -((y - height) // down)) for x, y, across, down in passes
    )


def _inflated(inflate: Any, body: bytes | memoryview, most: int) -> int:
    """Return how many bytes `body` unpacks to, at most some more than `most`.

    No more than a block of them is held at a time.
    """
    size, rest = 0, body
    while len(rest) and not inflate.eof and size <= most:
        size += len(inflate.decompress(rest, _BLOCK))
        rest = inflate.unconsumed_tail
    return size


def tiff_damage(content: bytes, image: Any) -> str | None:
    """Return what is wrong with the strips or tiles of the TIFF that Pillow opened, or None."""
    tags = image.tag_v2
    compression = tags.get(_COMPRESSION, 1)
    if compression == _OLD_JPEG:
        return "JPEG in TIFF of the old kind, which cannot be checked; save it anew"
    if compression != _JPEG and compression not in _DEFLATE:
        return None  # Pillow finds what ends early; no more can be told
    places, sizes = (_TILES, _TILE_SIZES) if _TILES in tags else (_PLACES, _SIZES)
    starts, lengths = _numbers(tags.get(places)), _numbers(tags.get(sizes))
    if sum(lengths) > len(content):
        return "the file ends early"
    # The tables are a JPEG of their own, whose end is left out, and the start of what follows.
    tables = bytes(tags.get(_TABLES, b""))[:-2]
    room = 4 * image.width * image.height + _ROOM
    for start, length in zip(starts, lengths, strict=False):
        part = content[start : start + length]
        if compression == _JPEG:
            found = jpeg_damage(tables + part[2:] if tables else part)
        else:
            size, found = _unpacked(part, room)
            room -= size
        if found:
            return found
    return None


def _unpacked(part: bytes, room: int) -> tuple[int, str | None]:
    """Return how many bytes a strip unpacks to, and what is wrong with it or None."""
    inflate = zlib.decompressobj()
    try:
        size = _inflated(inflate, part, room)
    except zlib.error as error:
        return 0, f"its data cannot be unpacked ({error})"
    return size, None if inflate.eof or size > room else "its data ends early"


def _numbers(value: Any) -> Sequence[int]:
    """Return a TIFF tag's value, one or many, as numbers from 0 on; what is none is left out."""
    values = value if isinstance(value, tuple) else (value,)
    return [number for number in values if isinstance(number, int) and number >= 0]
