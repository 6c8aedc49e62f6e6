"""The field of matches of a level, by generalised PatchMatch (paper, section 3.3).

Each pixel of the level is the centre of a patch and has one match. An iteration is a random search
around each match, then four sweeps in which each patch tries the match of its neighbour on the
left, above, on the right and below. A sweep goes along lines that do not depend on each other.
Random numbers depend on the seed, the level, the iteration and the pixel, so the field is the same
wherever it is computed.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from srntt_pipeline.selfex.compiled import compiled
from srntt_pipeline.selfex.pyramid import Image, Pyramid
from srntt_pipeline.selfex.sampling import (
    ANGLE,
    MAX_SCALE,
    MIN_SCALE,
    RADIUS,
    SCALE,
    SHEAR_X,
    SHEAR_Y,
    SIDE,
    X,
    Y,
    cost_of,
    patch_weights,
    source_scale,
)

MAX_ANGLE, MAX_SHEAR = math.pi / 4, 0.05
_NUMBERS = 6
_HASH_1, _HASH_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_S11, _S27, _S30, _S31 = (np.uint64(bits) for bits in (11, 27, 30, 31))


@dataclass(frozen=True)
class Field:
    """A match and its cost for each pixel of a level [h, w].

    `matches`: float32 [h, w, 6], source x and y (px of the level), scale, rotation (rad), shears in x
    and y. `planes`: uint8 [h, w]. `costs`: float32 [h, w].
    """

    matches: npt.NDArray[np.float32]
    planes: npt.NDArray[np.uint8]
    costs: npt.NDArray[np.float32]

    @classmethod
    def start(cls, height: int, width: int, planes: npt.NDArray[np.uint8]) -> "Field":
        """Return the first field: each patch with its own place, 1/α as large, upright."""
        matches = np.zeros((height, width, _NUMBERS), np.float32)
        matches[..., X] = np.arange(width)
        matches[..., Y] = np.arange(height)[:, None]
        matches[..., SCALE] = MIN_SCALE
        return cls(matches, planes.copy(), np.full((height, width), np.inf, np.float32))

    def enlarged(self, height: int, width: int) -> "Field":
        """Return the field on a level of another size; each pixel has the match of the nearest.

        What a source position is away from its target is scaled with the image.
        """
        rows, columns = self.costs.shape
        at_y = _nearest(height, rows)
        at_x = _nearest(width, columns)
        matches = self.matches[at_y[:, None], at_x]
        for axis, at, new, old in ((X, at_x, width, columns), (Y, at_y[:, None], height, rows)):
            places = np.arange(new) if axis == X else np.arange(new)[:, None]
            moved = places + (matches[..., axis] - at) * (new / old)
            matches[..., axis] = moved.clip(0, new - 1)
        return Field(
            matches,
            self.planes[at_y[:, None], at_x],
            np.full((height, width), np.inf, np.float32),
        )


def _nearest(size: int, old: int) -> npt.NDArray[np.int64]:
    return ((np.arange(size) + 0.5) * old / size).astype(np.int64).clip(0, old - 1)


@dataclass(frozen=True)
class Search:
    """What the matches of one level are searched in.

    `target`: float32 [h + 4, w + 4, 3], the level with a border of 2 px; `pyramid`: the levels below;
    `lines`: float64 [planes, 3], their vanishing lines in px of the level; `plane_costs`: float32
    [planes, h', w'] for an LR image [h', w']; `odds`: float32, the same shape, of choosing a plane
    at random, summed up over planes.
    """

    target: Image
    pyramid: Pyramid
    lines: npt.NDArray[np.float64]
    plane_costs: npt.NDArray[np.float32]
    odds: npt.NDArray[np.float32]

    def run(self, field: Field, iterations: int, seeds: npt.NDArray[np.uint64]) -> None:
        """Improve `field` in place; `seeds`: one for each iteration."""
        given = (
            self.target,
            self.lines,
            self.plane_costs,
            self.pyramid.blurred,
            self.pyramid.shapes,
            patch_weights(),
        )
        state = field.matches, field.planes, field.costs
        _measure(*state, *given)
        for iteration in range(iterations):
            _search(*state, *given, self.odds, seeds[iteration])
            for step in (1, -1):
                _sweep(*state, *given, step, 0)
                _sweep(*state, *given, 0, step)


@compiled
def _try(
    x: int, y: int, match: Any, plane: int, matches: Any, planes: Any, costs: Any, target: Any,
    lines: Any, plane_costs: Any, images: Any, shapes: Any, weights: Any, places: Any,
) -> None:  # fmt: skip
    """Take a match for the patch at (x, y) if it costs less than the one that it has."""
    height, width = costs.shape
    rows, columns = plane_costs.shape[1:]
    lr_y, lr_x = y * rows // height, x * columns // width
    from_y = min(max(int(match[Y]) * rows // height, 0), rows - 1)
    from_x = min(max(int(match[X]) * columns // width, 0), columns - 1)
    paid = plane_costs[plane, lr_y, lr_x] + plane_costs[plane, from_y, from_x]
    cost = cost_of(
        target, x, y, match, lines[plane], paid, images, shapes, weights, places
    )  # fmt: skip
    if cost < costs[y, x]:
        costs[y, x] = cost
        matches[y, x] = match
        planes[y, x] = plane


@compiled
def _measure(
    matches: Any, planes: Any, costs: Any, target: Any, lines: Any, plane_costs: Any, images: Any,
    shapes: Any, weights: Any,
) -> None:  # fmt: skip
    places = np.empty((2, SIDE * SIDE), np.float32)
    match = np.empty(_NUMBERS, np.float32)
    height, width = costs.shape
    for y in range(height):
        for x in range(width):
            match[:] = matches[y, x]
            _try(x, y, match, planes[y, x], matches, planes, costs, target, lines, plane_costs,
                 images, shapes, weights, places)  # fmt: skip


@compiled
def _search(
    matches: Any, planes: Any, costs: Any, target: Any, lines: Any, plane_costs: Any, images: Any,
    shapes: Any, weights: Any, odds: Any, seed: Any,
) -> None:  # fmt: skip
    places = np.empty((2, SIDE * SIDE), np.float32)
    match = np.empty(_NUMBERS, np.float32)
    height, width = costs.shape
    rows, columns = odds.shape[1:]
    largest = max(height, width) / 4
    for y in range(height):
        for x in range(width):
            state = seed + np.uint64(y * width + x + 1) * _GOLDEN
            radius = largest
            while radius >= 1:
                share = radius / largest
                match[:] = matches[y, x]
                state = _next(state)
                match[X] += radius * _signed(state)
                state = _next(state)
                match[Y] += radius * _signed(state)
                state = _next(state)
                match[SCALE] *= math.exp(share * math.log(MAX_SCALE / MIN_SCALE) * _signed(state))
                state = _next(state)
                match[ANGLE] = _within(match[ANGLE] + share * MAX_ANGLE * _signed(state), MAX_ANGLE)
                state = _next(state)
                match[SHEAR_X] = _within(
                    match[SHEAR_X] + share * MAX_SHEAR * _signed(state), MAX_SHEAR
                )
                state = _next(state)
                match[SHEAR_Y] = _within(
                    match[SHEAR_Y] + share * MAX_SHEAR * _signed(state), MAX_SHEAR
                )
                state = _next(state)
                drawn = 0.5 + 0.5 * _signed(state)
                plane = 0
                lr_y, lr_x = y * rows // height, x * columns // width
                while plane < len(lines) - 1 and drawn > odds[plane, lr_y, lr_x]:
                    plane += 1
                _try(x, y, match, plane, matches, planes, costs, target, lines, plane_costs,
                     images, shapes, weights, places)  # fmt: skip
                radius /= 2


@compiled
def _sweep(
    matches: Any, planes: Any, costs: Any, target: Any, lines: Any, plane_costs: Any, images: Any,
    shapes: Any, weights: Any, step_x: int, step_y: int,
) -> None:  # fmt: skip
    """Let each patch try the match of the one before it, moved along the plane by the step."""
    places = np.empty((2, SIDE * SIDE), np.float32)
    match = np.empty(_NUMBERS, np.float32)
    height, width = costs.shape
    for row in range(abs(step_y), height):
        for column in range(abs(step_x), width):
            y = row if step_y >= 0 else height - 1 - row
            x = column if step_x >= 0 else width - 1 - column
            before_y, before_x = y - step_y, x - step_x
            match[:] = matches[before_y, before_x]
            plane = planes[before_y, before_x]
            _carry(match, before_x, before_y, step_x, step_y, lines[plane])
            _try(x, y, match, plane, matches, planes, costs, target, lines, plane_costs,
                 images, shapes, weights, places)  # fmt: skip


@compiled
def _carry(match: Any, x: int, y: int, step_x: int, step_y: int, line: Any) -> None:
    """Move a match's source position by where its map takes a step from its target (x, y)."""
    here = line[0] * x + line[1] * y + line[2]
    a, b = line[0] / here, line[1] / here
    move_x, move_y = match[X] - x, match[Y] - y
    far = 1 + a * move_x + b * move_y
    d_x, d_y = move_x / far, move_y / far
    cos, sin = match[SCALE] * math.cos(match[ANGLE]), match[SCALE] * math.sin(match[ANGLE])
    o_x = (cos - sin * match[SHEAR_Y]) * step_x + (cos * match[SHEAR_X] - sin) * step_y
    o_y = (sin + cos * match[SHEAR_Y]) * step_x + (sin * match[SHEAR_X] + cos) * step_y
    e = 1 + a * o_x + b * o_y
    divisor = 1 - (a * d_x + b * d_y) * e
    match[X] = x + (o_x + d_x * e) / divisor
    match[Y] = y + (o_y + d_y * e) / divisor


@compiled
def _next(state: Any) -> Any:
    return state + _GOLDEN


@compiled
def _signed(state: Any) -> float:
    """Return a number in [-1, 1) by SplitMix64's mixing of a counter (Steele et al., 2014)."""
    mixed = (state ^ (state >> _S30)) * _HASH_1
    mixed = (mixed ^ (mixed >> _S27)) * _HASH_2
    mixed ^= mixed >> _S31
    return (mixed >> _S11) * (2.0 / 9007199254740992.0) - 1.0


@compiled
def _within(value: float, most: float) -> float:
    return min(max(value, -most), most)
