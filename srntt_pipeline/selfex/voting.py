"""From matches to an image: every patch lays the sharp pixels of its source over its own place."""

from typing import Any

import numpy as np
import numpy.typing as npt

from srntt_pipeline.selfex.compiled import compiled
from srntt_pipeline.selfex.field import Field
from srntt_pipeline.selfex.pyramid import Image, Pyramid
from srntt_pipeline.selfex.sampling import (
    RADIUS,
    SIDE,
    clamped,
    patch_weights,
    place,
    source_level,
    source_scale,
)


def vote(target: Image, pyramid: Pyramid, field: Field, lines: npt.NDArray[np.float64]) -> Image:
    """Return the image, float32 [h, w, 3], that the patches of `field` vote for.

    Each pixel is the mean, with a patch's Gaussian weights, of what the 25 patches over it hold: the
    sharp pixels of the source, and the colour bias between target and blurred source. Pixels of the
    source are interpolated bicubically (our choice; costs are compared bilinearly).

    `target`: float32 [h + 4, w + 4, 3], the level with a border of 2 px.
    """
    sums = np.zeros((*target.shape[:2], 4), np.float32)
    _vote(
        target, pyramid.sharp, pyramid.blurred, pyramid.shapes, field.matches, field.planes, lines,
        patch_weights(), sums,
    )  # fmt: skip
    inner = sums[RADIUS:-RADIUS, RADIUS:-RADIUS]
    voted: Image = inner[..., :3] / inner[..., 3:]
    return voted


@compiled
def _vote(
    target: Any, sharp: Any, blurred: Any, shapes: Any, matches: Any, planes: Any, lines: Any,
    weights: Any, sums: Any,
) -> None:  # fmt: skip
    height, width = planes.shape
    places = np.empty((2, SIDE * SIDE), np.float32)
    pixels = np.empty((SIDE * SIDE, 3), np.float32)
    for y in range(height):
        for x in range(width):
            line = lines[planes[y, x]]
            scale = source_scale(x, y, matches[y, x], line)
            level = source_level(len(shapes), scale)
            start, rows, columns = shapes[level]
            place(x, y, matches[y, x], line, columns / width, rows / height, places)
            for channel in range(3):
                mean = np.float32(0)
                for at in range(SIDE * SIDE):
                    row, column = at // SIDE, at % SIDE
                    given = places[0, at], places[1, at], start, rows, columns, channel
                    found = bicubic_at(blurred, *given)
                    pixels[at, channel] = bicubic_at(sharp, *given)
                    mean += weights[row, column] * (target[y + row, x + column, channel] - found)
                bias = clamped(mean)
                for at in range(SIDE * SIDE):
                    row, column = at // SIDE, at % SIDE
                    weight = weights[row, column]
                    sums[y + row, x + column, channel] += weight * (pixels[at, channel] + bias)
            for at in range(SIDE * SIDE):
                row, column = at // SIDE, at % SIDE
                sums[y + row, x + column, 3] += weights[row, column]


@compiled
def bicubic_at(
    images: Any, x: float, y: float, start: int, rows: int, columns: int, channel: int
) -> float:
    """Return the value at (x, y) of a level of a flat pyramid, by Keys' cubic (a = -0.5).

    Beyond the level its border is repeated.
    """
    p_x, p_y = min(max(x, np.float32(0)), np.float32(columns - 1)), min(
        max(y, np.float32(0)), np.float32(rows - 1)
    )
    left, top = int(p_x), int(p_y)
    across, down = _taps(p_x - left), _taps(p_y - top)
    found = np.float32(0)
    for j in range(4):
        at = start + min(max(top + j - 1, 0), rows - 1) * columns
        line = np.float32(0)
        for i in range(4):
            line += across[i] * images[at + min(max(left + i - 1, 0), columns - 1), channel]
        found += down[j] * line
    return found


@compiled
def _taps(f: float) -> tuple[float, float, float, float]:
    f = np.float32(f)
    half, two = np.float32(0.5), np.float32(2)
    return (
        half * (-f + two * f * f - f * f * f),
        half * (two - np.float32(5) * f * f + np.float32(3) * f * f * f),
        half * (f + np.float32(4) * f * f - np.float32(3) * f * f * f),
        half * (f * f * f - f * f),
    )
