"""What one match means: where a target patch's pixels lie in the source, and how well it fits.

A match is a source position s, an affine part A (scale, rotation, two shears) and a plane, all in
pixels of the target's level. An offset o from the centre t of the target patch is scaled and turned
by A, and moved with its plane from t to s (paper, section 3.2): T = H⁻¹·D·H·A, where H rectifies
the plane, and D moves t to s in it. Seen from t, with the plane's vanishing line (a, b, 1) and
d = (s − t) / (1 + (a, b)·(s − t)), this is
T(o) = t + (Ao + d·e) / (1 − (a, b)·d·e), where e = 1 + (a, b)·Ao.
A plane that faces the camera has a = b = 0: T(o) = s + Ao.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from srntt_pipeline.selfex.compiled import compiled
from srntt_pipeline.selfex.pyramid import ALPHA, LEVELS_PER_OCTAVE, Image

SIDE = 5  # px of a patch
RADIUS = SIDE // 2
X, Y, SCALE, ANGLE, SHEAR_X, SHEAR_Y = range(6)  # the numbers of a match
NUMBERS = 6
MIN_SCALE, MAX_SCALE = 1 / ALPHA, 8.0
_LEAST_SCALE = 1.0  # below MIN_SCALE a match costs more, below this there is none; our choice
_MAX_BIAS = np.float32(0.25)
_SCALE_WEIGHT = 1e-3
_SIGMA = 3.0  # px
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)


class Level(NamedTuple):
    """What the matches of one level [h, w] are measured in.

    `target`: float32 [h + 4, w + 4, 3] in [0, 1], the level with a border of 2 px; `images`,
    `shapes`: the blurred levels below, as `Pyramid` has them; `lines`: float64 [planes, 3], the
    planes' vanishing lines in px of the level; `plane_costs`: float32 [planes, h', w'], of
    an LR image [h', w']; `weights`: those of `patch_weights`.
    """

    target: Image
    images: Image
    shapes: npt.NDArray[np.int64]
    lines: npt.NDArray[np.float64]
    plane_costs: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


def patch_weights() -> npt.NDArray[np.float32]:
    """Return the Gaussian weights (σ 3) of a patch's pixels, float32 [5, 5], of sum 1."""
    line = np.exp(-((np.arange(SIDE) - RADIUS) ** 2) / (2 * _SIGMA**2))
    weights = np.outer(line, line)
    return (weights / weights.sum()).astype(np.float32)


@compiled
def source_scale(x: int, y: int, match: Any, line: Any) -> float:
    """Return how many times as large as the target patch at (x, y) its source patch is.

    It is the root of the map's Jacobian at the centre; 0 where the vanishing line `line`, float64
    [3], lies between target and source, or on one of them.
    """
    here = line[0] * x + line[1] * y + line[2]
    there = line[0] * match[X] + line[1] * match[Y] + line[2]
    ratio = there / here
    if not ratio > 0:
        return 0.0
    sheared = 1 - match[SHEAR_X] * match[SHEAR_Y]
    return match[SCALE] * math.sqrt(sheared) * ratio * math.sqrt(ratio)


@compiled
def source_level(levels: int, scale: float) -> int:
    """Return which of `levels` below has pixels as large as those of a source patch of `scale`.

    The finest one is the target's reduced by α; it is taken for smaller scales too.
    """
    steps = math.floor(LEVELS_PER_OCTAVE * math.log2(scale) + 0.5)
    return min(max(levels - steps, 0), levels - 1)


@compiled
def transform(x: int, y: int, match: Any, line: Any) -> Any:
    """Return a match's map, as `source_of` takes it: A (four numbers), a, b, and d (two)."""
    here = line[0] * x + line[1] * y + line[2]
    a, b = line[0] / here, line[1] / here
    move_x, move_y = match[X] - x, match[Y] - y
    far = 1 + a * move_x + b * move_y
    cos, sin = match[SCALE] * math.cos(match[ANGLE]), match[SCALE] * math.sin(match[ANGLE])
    xx, xy = cos - sin * match[SHEAR_Y], cos * match[SHEAR_X] - sin
    yx, yy = sin + cos * match[SHEAR_Y], sin * match[SHEAR_X] + cos
    return xx, xy, yx, yy, a, b, move_x / far, move_y / far


@compiled
def source_of(x: int, y: int, made: Any, i: int, j: int) -> tuple[float, float]:
    """Return where the map `made` of the patch at (x, y) takes its pixel (x + i, y + j)."""
    xx, xy, yx, yy, a, b, d_x, d_y = made
    o_x, o_y = xx * i + xy * j, yx * i + yy * j
    e = 1 + a * o_x + b * o_y
    divisor = 1 - (a * d_x + b * d_y) * e
    return x + (o_x + d_x * e) / divisor, y + (o_y + d_y * e) / divisor


@compiled
def place(x: int, y: int, made: Any, ratio_x: float, ratio_y: float, places: Any) -> None:
    """Write where a patch's 25 pixels lie in the source level, px, to `places`, float32 [2, 25].

    The source level has `ratio_x` and `ratio_y` pixels for one of the target's level.
    """
    for at in range(SIDE * SIDE):
        source_x, source_y = source_of(x, y, made, at % SIDE - RADIUS, at // SIDE - RADIUS)
        places[0, at] = np.float32((source_x + 0.5) * ratio_x - 0.5)
        places[1, at] = np.float32((source_y + 0.5) * ratio_y - 0.5)


@compiled
def cost_of(level: Any, x: int, y: int, match: Any, plane: int, places: Any) -> Any:
    """Return the cost of a match of the patch at (x, y) of a `Level`; infinite where it has none.

    That is the Gaussian-weighted squared difference, summed over channels, less a colour bias of
    each that is clamped to ±0.25; 1e-3·(1/α − scale) where that is positive; and what the plane
    costs at target and source. The source is interpolated bilinearly, its border repeated; its
    centre must lie in the image. `places`: float32 [2, 25], written to.
    """
    target, images, weights = level.target, level.images, level.weights
    height, width = target.shape[0] - 2 * RADIUS, target.shape[1] - 2 * RADIUS
    if not (0 <= match[X] <= width - 1 and 0 <= match[Y] <= height - 1):
        return np.float32(np.inf)
    line = level.lines[plane]
    scale = source_scale(x, y, match, line)
    if not _LEAST_SCALE <= scale <= MAX_SCALE:
        return np.float32(np.inf)
    start, rows, columns = level.shapes[source_level(len(level.shapes), scale)]
    place(x, y, transform(x, y, match, line), columns / width, rows / height, places)
    sum_0 = sum_1 = sum_2 = squares = _ZERO
    last_x, last_y = np.float32(columns - 1), np.float32(rows - 1)
    for at in range(SIDE * SIDE):
        row, column = at // SIDE, at % SIDE
        p_x, p_y = within(places[0, at], last_x), within(places[1, at], last_y)
        left, top = int(p_x), int(p_y)
        f_x, f_y = p_x - np.float32(left), p_y - np.float32(top)
        a = start + top * columns + left
        b = a + (1 if left < columns - 1 else 0)
        down = columns if top < rows - 1 else 0
        c, d = a + down, b + down
        w_a, w_b = (_ONE - f_x) * (_ONE - f_y), f_x * (_ONE - f_y)
        w_c, w_d = (_ONE - f_x) * f_y, f_x * f_y
        weight = weights[row, column]
        # Written out for each channel: a loop over three is not unrolled, and takes twice as long.
        found = w_a * images[a, 0] + w_b * images[b, 0] + w_c * images[c, 0] + w_d * images[d, 0]
        gap = target[y + row, x + column, 0] - found
        sum_0 += weight * gap
        squares += weight * gap * gap
        found = w_a * images[a, 1] + w_b * images[b, 1] + w_c * images[c, 1] + w_d * images[d, 1]
        gap = target[y + row, x + column, 1] - found
        sum_1 += weight * gap
        squares += weight * gap * gap
        found = w_a * images[a, 2] + w_b * images[b, 2] + w_c * images[c, 2] + w_d * images[d, 2]
        gap = target[y + row, x + column, 2] - found
        sum_2 += weight * gap
        squares += weight * gap * gap
    for mean in (sum_0, sum_1, sum_2):
        bias = clamped(mean)
        squares += bias * bias - _TWO * bias * mean
    smaller = _SCALE_WEIGHT * max(0.0, MIN_SCALE - scale)
    return np.float32(squares + smaller + _plane_cost(level, x, y, match, plane, height, width))


@compiled
def within(place: Any, last: Any) -> Any:
    """Return `place`, float32, clamped to 0 … `last`; 0 where it is no number (on a horizon)."""
    place = place if place > _ZERO else _ZERO
    return place if place < last else last


@compiled
def clamped(mean: Any) -> Any:
    """Return the colour bias of a patch: the weighted mean difference, clamped to ±0.25."""
    return min(max(mean, -_MAX_BIAS), _MAX_BIAS)


@compiled
def _plane_cost(
    level: Any, x: int, y: int, match: Any, plane: int, height: int, width: int
) -> float:
    rows, columns = level.plane_costs.shape[1:]
    here = level.plane_costs[plane, y * rows // height, x * columns // width]
    there = level.plane_costs[
        plane, int(match[Y]) * rows // height, int(match[X]) * columns // width
    ]
    return here + there
