"""From matches to an image: each patch lays the sharp pixels of its source over its own place."""

from typing import Any

import numpy as np

from srntt_pipeline.selfex.compiled import compiled
from srntt_pipeline.selfex.field import Field
from srntt_pipeline.selfex.pyramid import Image
from srntt_pipeline.selfex.sampling import (
    RADIUS,
    SIDE,
    Level,
    clamped,
    place,
    source_level,
    source_scale,
    transform,
    within,
)


def vote(field: Field, level: Level, sharp: Image) -> Image:
    """Return the image, float32 [h, w, 3], that the patches of `field` vote for.

    Each pixel is the mean, with a patch's Gaussian weights, of what the 25 patches over it have
    there: the pixel of the sharp source, plus the colour bias of the patch. `sharp`: of `Pyramid`.
    Sources are interpolated bicubically here, which keeps more of their detail (our choice).
    """
    height, width = field.costs.shape
    sums = np.zeros((height + 2 * RADIUS, width + 2 * RADIUS, 3), np.float32)
    weights = np.zeros(sums.shape[:2], np.float32)
    _vote(field, level, sharp, sums, weights)
    sums /= weights[..., None]
    return sums[RADIUS:-RADIUS, RADIUS:-RADIUS]


@compiled
def _vote(field: Any, level: Any, sharp: Any, sums: Any, sum_of_weights: Any) -> None:
    places = np.empty((2, SIDE * SIDE), np.float32)
    pixels = np.empty(SIDE * SIDE, np.float32)
    height, width = field.costs.shape
    for y in range(height):
        for x in range(width):
            match, line = field.matches[y, x], level.lines[field.planes[y, x]]
            scale = source_scale(x, y, match, line)
            start, rows, columns = level.shapes[source_level(len(level.shapes), scale)]
            place(x, y, transform(x, y, match, line), columns / width, rows / height, places)
            for channel in range(3):
                mean = np.float32(0)
                for at in range(SIDE * SIDE):
                    row, column = at // SIDE, at % SIDE
                    given = places[0, at], places[1, at], start, rows, columns, channel
                    pixels[at] = bicubic_at(sharp, *given)
                    gap = level.target[y + row, x + column, channel] - bicubic_at(
                        level.images, *given
                    )
                    mean += level.weights[row, column] * gap
                bias = clamped(mean)
                for at in range(SIDE * SIDE):
                    row, column = at // SIDE, at % SIDE
                    voted = level.weights[row, column] * (pixels[at] + bias)
                    sums[y + row, x + column, channel] += voted
            for row in range(SIDE):
                for column in range(SIDE):
                    sum_of_weights[y + row, x + column] += level.weights[row, column]


@compiled
def bicubic_at(
    images: Any, x: float, y: float, start: int, rows: int, columns: int, channel: int
) -> Any:
    """Return the value at (x, y), px, of a level of a flat pyramid, by Keys' cubic (a = -0.5).

    `start`, `rows`, `columns`: its entry of `Pyramid.shapes`. Its border is repeated beyond it.
    """
    p_x, p_y = within(x, np.float32(columns - 1)), within(y, np.float32(rows - 1))
    left, top = int(p_x), int(p_y)
    across, down = _taps(p_x - np.float32(left)), _taps(p_y - np.float32(top))
    found = np.float32(0)
    for j in range(4):
        at = start + min(max(top + j - 1, 0), rows - 1) * columns
        line = np.float32(0)
        for i in range(4):
            line += across[i] * images[at + min(max(left + i - 1, 0), columns - 1), channel]
        found += down[j] * line
    return found


@compiled
def _taps(f: Any) -> Any:
    half, two = np.float32(0.5), np.float32(2)
    return (
        half * (-f + two * f * f - f * f * f),
        half * (two - np.float32(5) * f * f + np.float32(3) * f * f * f),
        half * (f + np.float32(4) * f * f - np.float32(3) * f * f * f),
        half * (f * f * f - f * f),
    )
