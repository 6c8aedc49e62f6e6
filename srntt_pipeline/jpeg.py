"""Whether a JPEG's data is whole.

Pillow hides the warnings of libjpeg and paints grey, or the rest of the photo in wrong colours.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import simplejpeg

_PADDING = 4  # bytes that some cameras leave before the end of a JPEG, after all its data
_HOLE = bytes(64)  # far more zeros in a row than any photo's coefficients are coded by
_DAMAGE = re.compile("Corrupt JPEG data|Premature end|Inconsistent progression")
_HARMLESS = re.compile("Invalid SOS parameters|Adobe color|JFIF revision|bad ICC marker")
_EXTRA = re.compile(r"(\d+) extraneous bytes before marker 0xd9")

_TABLES, _END, _SCAN, _COMMENT = 0xC4, 0xD9, 0xDA, 0xFE
_SEQUENTIAL, _APP = (0xC0, 0xC1), range(0xE0, 0xF0)
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def jpeg_damage(content: bytes) -> str | None:
    """Return what is wrong with the data of a JPEG, in libjpeg's words if it has any, or None.

    What is an error to libjpeg, not a warning, is not told: Pillow raises it.
    """
    warning = _warning(content)
    if warning and _HARMLESS.search(warning):
        # The check ends at the first warning: without what this one is of, it sees the rest.
        warning = _warning(_bare(content))
    if warning and _DAMAGE.search(warning):
        extra = _EXTRA.search(warning)
        if not extra or int(extra[1]) > _PADDING:
            return warning
    # After a small hole the decoder can fall into step again without a word.
    return "a hole of zeros in its data" if _has_hole(content) else None


def _warning(content: bytes) -> str | None:
    """Return the first warning or error of libjpeg, or None."""
    try:
        # All data is read, but only an eighth of each side is computed.
        simplejpeg.decode_jpeg(
            content, "GRAY", fastdct=True, fastupsample=True,
            min_height=1, min_width=1, min_factor=8, strict=True,
        )  # fmt: skip
    except ValueError as error:
        return str(error)
    return None


@dataclass(frozen=True)
class _Segment:
    """A marker with what follows it: `body` after the length, and `data` of a scan."""

    marker: int
    body: bytes
    data: bytes
    whole: bytes


def _segments(content: bytes) -> Iterator[_Segment]:
    """Yield the segments of a JPEG up to its end, or to what is none."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # fill
            place += 1
            continue
        if marker == _END:
            return
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        after = end
        if marker == _SCAN:
            found = _NEXT_MARKER.search(content, end)
            after = found.start() if found else len(content)
        body, data = content[place + 4 : end], content[end:after]
        yield _Segment(marker, body, data, content[place:after])
        place = after


def _bare(content: bytes) -> bytes:
    """Return a JPEG without application data and with the scan parameters its kind must have."""
    parts, sequential = [content[:2]], False
    for segment in _segments(content):
        sequential = sequential or segment.marker in _SEQUENTIAL
        if segment.marker == _SCAN and sequential:
            head = len(segment.whole) - len(segment.data) - 3
            parts.append(segment.whole[:head] + b"\0\x3f\0" + segment.data)
        elif segment.marker not in _APP and segment.marker != _COMMENT:
            parts.append(segment.whole)
    return b"".join(parts) + (b"\xff\xd9" if content.rfind(b"\xff\xd9") > 0 else b"")


def _has_hole(content: bytes) -> bool:
    """Tell whether a scan holds zeros that no coefficients of a photo are coded by.

    A zero bit after the other codes the first symbol of a table again and again. Where that one
    means "no more in this block" for every component, a plain area is coded so, and nothing can be
    told.
    """
    if _HOLE not in content:
        return False
    plain: dict[int, bool] = {}  # by AC table: whether zeros code plain blocks
    sequential = False
    for segment in _segments(content):
        sequential = sequential or segment.marker in _SEQUENTIAL
        if segment.marker == _TABLES:
            plain |= _plain_tables(segment.body)
        elif segment.marker == _SCAN and _HOLE in segment.data:
            # Progressive files have scans of DC alone, of a bit a block: plain areas are zeros.
            codes_blocks = sequential or segment.body[-2:-1] > b"\0"
            used = [byte & 15 for byte in segment.body[2:-3:2]]
            if codes_blocks and not all(plain.get(table, True) for table in used):
                return True
    return False


def _plain_tables(body: bytes) -> dict[int, bool]:
    """Return by number, for the AC tables in a segment, whether their first symbol ends a block."""
    tables, place = {}, 0
    while place + 17 < len(body):
        kind, number = divmod(body[place], 16)
        symbol = body[place + 17]  # its code is zeros
        if kind == 1:
            tables[number] = symbol & 15 == 0 and symbol != 0xF0  # 0xF0: sixteen zeros, and more
        place += 17 + sum(body[place + 1 : place + 17])
    return tables
