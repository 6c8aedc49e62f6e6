"""What a process takes, counted from the sizes of its images before one of them is decoded.

All that grows with an image is counted here in bytes for each of its pixels: by the sizes of
arrays, and decoding as measured (`benchmarks/max_memory.py` measures whole runs). What can be cut
to fit (windows, tiles, buffers) gets what is left of the bound.
"""

import ctypes
import math
from collections.abc import Sequence
from pathlib import Path

from srntt_pipeline.errors import InputError

Size = tuple[int, int]  # height and width, px

MAX_MEMORY = 2 << 30  # bytes, of a process
# Of these, what Python, PyTorch's CUDA build and an encoder at work on one window take (measured:
# 1.09 GiB), and what they take without an encoder at work (measured: 0.78 GiB).
FIXED_MEMORY = 5 << 28
START_MEMORY = 7 << 27
_LEAST_SHARE = 16 << 20

# Bytes for each pixel.
_ARRAY = 3
_PILLOW = 4
_DECODING = 15  # its array, and of a WebP image three more of four bytes, of a JPEG fewer
# The last Ref↓↑, the next version, and what scaling, turning, ↓4 and ↑4 take beside them.
_VERSION = 14
# Index, score and cosine of a patch, once in parts and once joined.
_MATCH, _JOINED = 32, 16
# To the pixel: of the largest version, which pixels a patch may begin at, with what that is summed
# of; and of one window of it, of 544×544 px at most, what dense maps take beside encoding
# (measured).
_MASK = 14
_DENSE, _DENSE_PX = 900, 544**2
# With optical flow whole relu3_1 maps of LR↑ and of Ref↓↑, the gathered patches, the flow itself.
_FLOW, _FLOW_REF = 260, 64


def share(max_memory: int) -> int:
    """Return the bytes for each of what can be cut to fit `max_memory`, that of a process.

    These are the maps of LR↑, the buffers of the search, and the maps of references remembered.
    """
    return max(_LEAST_SHARE, (max_memory - FIXED_MEMORY) // 3)


LEAST_TO_MATCH = FIXED_MEMORY + 3 * _LEAST_SHARE


def pixels(size: Size) -> int:
    """Return how many pixels an image has."""
    return size[0] * size[1]


def image_bytes(sizes: Sequence[Size]) -> int:
    """Return what images take as arrays."""
    return _ARRAY * sum(map(pixels, sizes))


def decoding_bytes(size: Size, path: Path) -> int:
    """Return what decoding the image in a file, or shrinking it, takes."""
    return _DECODING * pixels(size) + path.stat().st_size


def versions_bytes(refs: Sequence[Size], scale: float) -> int:
    """Return what making versions of references takes, one at a time, at most `scale` as large."""
    return int(_VERSION * max(map(pixels, refs), default=0) * max(1.0, scale) ** 2)


def matching_bytes(lr_up: Size) -> int:
    """Return what LR↑ and its correspondence take."""
    return (_ARRAY + _MATCH // 16) * pixels(lr_up)


def refined_bytes(refs: Sequence[Size], scale: float) -> int:
    """Return what matches to the pixel take beside that, with versions at most `scale` as large."""
    largest = max(map(pixels, refs), default=0) * max(1.0, scale) ** 2
    return int(_MASK * largest + _DENSE * min(largest, _DENSE_PX))


def flow_bytes(lr_up: Size, refs: Sequence[Size]) -> int:
    """Return what optical flow takes beside that."""
    return _FLOW * pixels(lr_up) + _FLOW_REF * max(map(pixels, refs), default=0)


def restored_bytes(sr: Size) -> int:
    """Return what SR and its correspondence take."""
    return (_ARRAY + _JOINED // 16) * pixels(sr)


def written_bytes(sr: Size) -> int:
    """Return what SR takes while it is written."""
    return (_ARRAY + _PILLOW) * pixels(sr)


def check(max_memory: int, least: int, what: str) -> None:
    """Raise InputError where `max_memory` is below `least`, what `what` needs, in bytes."""
    if max_memory < least:
        gib = math.ceil(least / 2**30 * 100) / 100
        raise InputError(f"--max-memory: too little for {what}, which needs {gib:g} GiB")


def release() -> None:
    """Give the system back what is free but kept, where the C library can."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another than glibc
        return
