"""What one match means: where each pixel of a target patch lies in the source, and how well it fits.

A match is a source position, an affine part (scale, rotation, two shears) and a plane, all in
pixels of the target's level. Offsets o from the centre t of the target patch are turned and scaled
by the affine part A, and moved along the plane from t to the source position s: T = H⁻¹·D·H·A, where
H rectifies the plane and D moves t to s in it (paper, Eq. 3–4). With the vanishing line (a, b, 1)
seen from t, and d = (s − t) / (1 + (a, b)·(s − t)), this is
T(o) = t + (Ao + d·e) / (1 − (a, b)·d·e), where e = 1 + (a, b)·Ao.
A plane that faces the camera has a = b = 0, and the map is affine.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from srntt_pipeline.selfex.compiled import compiled
from srntt_pipeline.selfex.pyramid import ALPHA, LEVELS_PER_OCTAVE

SIDE = 5  # px of a patch
RADIUS = SIDE // 2
X, Y, SCALE, ANGLE, SHEAR_X, SHEAR_Y = range(6)  # the numbers of a match
MIN_SCALE, MAX_SCALE = 1 / ALPHA, 8.0
_LEAST_SCALE = 1.0  # below MIN_SCALE a source patch costs more, below this there is none
_MAX_BIAS = np.float32(0.25)
_SCALE_WEIGHT = 1e-3
_SIGMA = 3.0  # px
INFINITE = np.float32(np.inf)
_ZERO = np.float32(0)


def patch_weights() -> npt.NDArray[np.float32]:
    """Return the Gaussian weights of a patch's pixels, float32 [5, 5], of sum 1."""
    line = np.exp(-((np.arange(SIDE) - RADIUS) ** 2) / (2 * _SIGMA**2))
    weights = np.outer(line, line)
    return (weights / weights.sum()).astype(np.float32)


@compiled
def source_scale(x: float, y: float, match: Any, line: Any) -> float:
    """Return how many times as large as the target patch at (x, y) the source patch is.

    The root of the map's Jacobian at the centre; 0 where target or source is on the plane's
    vanishing line, or where that line is between them. `line`: float64 [3], the vanishing line.
    """
    here = line[0] * x + line[1] * y + line[2]
    there = line[0] * match[X] + line[1] * match[Y] + line[2]
    ratio = there / here
    if not ratio > 0:
        return 0.0
    return match[SCALE] * math.sqrt(1 - match[SHEAR_X] * match[SHEAR_Y]) * ratio * math.sqrt(ratio)


@compiled
def source_level(level: int, scale: float) -> int:
    """Return the level whose pixels are as large as those of a patch of `scale` on `level`.

    It is coarser than `level` by one at least, and at most the coarsest.
    """
    steps = int(math.floor(LEVELS_PER_OCTAVE * math.log2(scale) + 0.5))
    return max(0, level - max(1, steps))


@compiled
def place(x: int, y: int, match: Any, line: Any, ratio_x: float, ratio_y: float, out: Any) -> None:
    """Write the places of a patch's 25 pixels into `out`, float32 [2, 25]: x and y.

    They are in pixels of the source level, of which there are `ratio_x` and `ratio_y` for one of
    the target's level.
    """
    here = line[0] * x + line[1] * y + line[2]
    a, b = line[0] / here, line[1] / here
    move_x, move_y = match[X] - x, match[Y] - y
    far = 1 + a * move_x + b * move_y
    d_x, d_y = move_x / far, move_y / far
    bend = a * d_x + b * d_y
    cos, sin = match[SCALE] * math.cos(match[ANGLE]), match[SCALE] * math.sin(match[ANGLE])
    xx, xy = cos - sin * match[SHEAR_Y], cos * match[SHEAR_X] - sin
    yx, yy = sin + cos * match[SHEAR_Y], sin * match[SHEAR_X] + cos
    for row in range(SIDE):
        for column in range(SIDE):
            i, j = column - RADIUS, row - RADIUS
            o_x, o_y = xx * i + xy * j, yx * i + yy * j
            e = 1 + a * o_x + b * o_y
            divisor = 1 - bend * e
            source_x = x + (o_x + d_x * e) / divisor
            source_y = y + (o_y + d_y * e) / divisor
            at = row * SIDE + column
            out[0, at] = np.float32((source_x + 0.5) * ratio_x - 0.5)
            out[1, at] = np.float32((source_y + 0.5) * ratio_y - 0.5)


@compiled
def cost_of(
    target: Any,
    x: int,
    y: int,
    match: Any,
    line: Any,
    plane_cost: float,
    images: Any,
    shapes: Any,
    weights: Any,
    places: Any,
) -> float:
    """Return the cost of a match of the patch at (x, y); infinite where there is no source patch.

    The Gaussian-weighted squared difference of all three channels, less a colour bias of each that
    is clamped to ±0.25; 1e-3 for each unit by which the scale is below 1/α; and `plane_cost`.

    `target`: float32 [h + 4, w + 4, 3], the level with 2 px of border; `images` and `shapes`: the
    levels below, of `Pyramid`; `weights`: float32 [5, 5]; `places`: float32 [2, 25], written to.
    """
    height, width = target.shape[0] - 2 * RADIUS, target.shape[1] - 2 * RADIUS
    if not (0 <= match[X] <= width - 1 and 0 <= match[Y] <= height - 1):
        return INFINITE
    scale = source_scale(x, y, match, line)
    if not _LEAST_SCALE <= scale <= MAX_SCALE:
        return INFINITE
    level = source_level(len(shapes), scale)
    start, rows, columns = shapes[level]
    place(x, y, match, line, columns / width, rows / height, places)
    sum_0 = sum_1 = sum_2 = squares = _ZERO
    for at in range(SIDE * SIDE):
        row, column = at // SIDE, at % SIDE
        p_x = min(max(places[0, at], _ZERO), np.float32(columns - 1))
        p_y = min(max(places[1, at], _ZERO), np.float32(rows - 1))
        left, top = int(p_x), int(p_y)
        f_x, f_y = p_x - np.float32(left), p_y - np.float32(top)
        a = start + top * columns + left
        b = a + (1 if left < columns - 1 else 0)
        down = columns if top < rows - 1 else 0
        c, d = a + down, b + down
        one = np.float32(1)
        w_a, w_b = (one - f_x) * (one - f_y), f_x * (one - f_y)
        w_c, w_d = (one - f_x) * f_y, f_x * f_y
        weight = weights[row, column]
        source = w_a * images[a, 0] + w_b * images[b, 0] + w_c * images[c, 0] + w_d * images[d, 0]
        gap = target[y + row, x + column, 0] - source
        sum_0 += weight * gap
        squares += weight * gap * gap
        source = w_a * images[a, 1] + w_b * images[b, 1] + w_c * images[c, 1] + w_d * images[d, 1]
        gap = target[y + row, x + column, 1] - source
        sum_1 += weight * gap
        squares += weight * gap * gap
        source = w_a * images[a, 2] + w_b * images[b, 2] + w_c * images[c, 2] + w_d * images[d, 2]
        gap = target[y + row, x + column, 2] - source
        sum_2 += weight * gap
        squares += weight * gap * gap
    for mean in (sum_0, sum_1, sum_2):
        bias = clamped(mean)
        squares += bias * bias - np.float32(2) * bias * mean
    return squares + np.float32(_SCALE_WEIGHT * max(0.0, MIN_SCALE - scale) + plane_cost)


@compiled
def clamped(mean: float) -> float:
    """Return the colour bias of a patch: the mean difference, clamped to ±0.25."""
    return min(max(mean, -_MAX_BIAS), _MAX_BIAS)
