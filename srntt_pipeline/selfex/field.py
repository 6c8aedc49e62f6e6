"""The field of matches of a level, by generalised PatchMatch (paper, section 3.3).

Each pixel of the level is the centre of a patch and has one match. An iteration is a random search
around each match, then four sweeps in which each patch tries the match of its neighbour: the one on
the left, above, on the right, below. Random numbers depend on the seed, the level, the iteration
and the pixel, so the field is the same wherever it is computed.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from srntt_pipeline.selfex.compiled import compiled
from srntt_pipeline.selfex.sampling import (
    ANGLE,
    MAX_SCALE,
    MIN_SCALE,
    NUMBERS,
    SCALE,
    SHEAR_X,
    SHEAR_Y,
    SIDE,
    Level,
    X,
    Y,
    cost_of,
    source_of,
    transform,
)

MAX_ANGLE, MAX_SHEAR = math.pi / 4, 0.05
_MAX_ZOOM = math.log(MAX_SCALE / MIN_SCALE)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31 = (np.uint64(bits) for bits in (11, 27, 30, 31))


class Field(NamedTuple):
    """A match and its cost for each pixel of a level [h, w].

    `matches`: float32 [h, w, 6], source x and y (px of the level), scale, rotation (rad), shear
    in x and in y. `planes`: uint8 [h, w]. `costs`: float32 [h, w], infinite where not measured yet.
    """

    matches: npt.NDArray[np.float32]
    planes: npt.NDArray[np.uint8]
    costs: npt.NDArray[np.float32]


def first_field(planes: npt.NDArray[np.uint8]) -> Field:
    """Return the field to begin with: each patch with its own place, 1/α as large, upright."""
    height, width = planes.shape
    matches = np.zeros((height, width, NUMBERS), np.float32)
    matches[..., X] = np.arange(width)
    matches[..., Y] = np.arange(height)[:, None]
    matches[..., SCALE] = MIN_SCALE
    return Field(matches, planes, _unmeasured(height, width))


def enlarged(field: Field, height: int, width: int) -> Field:
    """Return the field on a level of another size: each pixel has the match of the nearest one.

    How far a source lies from its target grows with the image; the other numbers stay.
    """
    rows, columns = field.costs.shape
    at_y, at_x = _nearest(height, rows)[:, None], _nearest(width, columns)
    matches = field.matches[at_y, at_x]
    away_x, away_y = matches[..., X] - at_x, matches[..., Y] - at_y
    matches[..., X] = (np.arange(width) + away_x * (width / columns)).clip(0, width - 1)
    matches[..., Y] = (np.arange(height)[:, None] + away_y * (height / rows)).clip(0, height - 1)
    return Field(matches, field.planes[at_y, at_x], _unmeasured(height, width))


def _unmeasured(height: int, width: int) -> npt.NDArray[np.float32]:
    return np.full((height, width), np.inf, np.float32)


def _nearest(size: int, old: int) -> npt.NDArray[np.int64]:
    return (2 * np.arange(size) + 1) * old // (2 * size)


def improve(
    field: Field, level: Level, odds: npt.NDArray[np.float32], seeds: npt.NDArray[np.uint64]
) -> None:
    """Improve `field` in place, an iteration for each of the `seeds`.

    `odds`: float32 [planes, h', w'], the shares of planes at LR's pixels, summed up over planes: a
    search draws planes by them.
    """
    _measure(field, level)
    for seed in seeds:
        _search(field, level, odds, seed)
        for step in (1, -1):
            _sweep(field, level, step, 0)
            _sweep(field, level, 0, step)


@compiled
def _measure(field: Any, level: Any) -> None:
    places = np.empty((2, SIDE * SIDE), np.float32)
    height, width = field.costs.shape
    for y in range(height):
        for x in range(width):
            _take_if_better(field, level, x, y, field.matches[y, x], field.planes[y, x], places)


@compiled
def _take_if_better(
    field: Any, level: Any, x: int, y: int, match: Any, plane: int, places: Any
) -> None:
    cost = cost_of(level, x, y, match, plane, places)
    if cost < field.costs[y, x]:
        field.costs[y, x] = cost
        field.planes[y, x] = plane
        for number in range(NUMBERS):
            field.matches[y, x, number] = match[number]


@compiled
def _search(field: Any, level: Any, odds: Any, seed: Any) -> None:
    """Let each patch try matches around its own, within a radius that is halved down to 1 px.

    It begins at a quarter of the longer side. The ranges of scale, rotation and shear shrink with
    it. Each match has a plane drawn by the shares at the target.
    """
    places = np.empty((2, SIDE * SIDE), np.float32)
    match = np.empty(NUMBERS, np.float32)
    height, width = field.costs.shape
    for y in range(height):
        for x in range(width):
            state = seed + np.uint64(y * width + x) * _GOLDEN
            share = 1.0
            while share * max(height, width) >= 4:
                radius = share * max(height, width) / 4
                own = field.matches[y, x]
                state = _mixed(state)
                match[X] = own[X] + radius * _signed(state)
                state = _mixed(state)
                match[Y] = own[Y] + radius * _signed(state)
                state = _mixed(state)
                match[SCALE] = own[SCALE] * math.exp(share * _MAX_ZOOM * _signed(state))
                for number, most in (
                    (ANGLE, MAX_ANGLE),
                    (SHEAR_X, MAX_SHEAR),
                    (SHEAR_Y, MAX_SHEAR),
                ):
                    state = _mixed(state)
                    moved = own[number] + share * most * _signed(state)
                    match[number] = min(max(moved, -most), most)
                state = _mixed(state)
                plane = _drawn(odds, x / width, y / height, 0.5 * _signed(state) + 0.5)
                _take_if_better(field, level, x, y, match, plane, places)
                share /= 2


@compiled
def _sweep(field: Any, level: Any, step_x: int, step_y: int) -> None:
    """Let each patch try the match of the one a step before it, carried on by that step."""
    places = np.empty((2, SIDE * SIDE), np.float32)
    match = np.empty(NUMBERS, np.float32)
    height, width = field.costs.shape
    for row in range(abs(step_y), height):
        for column in range(abs(step_x), width):
            y = row if step_y >= 0 else height - 1 - row
            x = column if step_x >= 0 else width - 1 - column
            from_x, from_y = x - step_x, y - step_y
            match[:] = field.matches[from_y, from_x]
            plane = field.planes[from_y, from_x]
            made = transform(from_x, from_y, match, level.lines[plane])
            match[X], match[Y] = source_of(from_x, from_y, made, step_x, step_y)
            _take_if_better(field, level, x, y, match, plane, places)


@compiled
def _drawn(odds: Any, x: float, y: float, chance: float) -> int:
    planes, rows, columns = odds.shape
    plane = 0
    while plane < planes - 1 and chance >= odds[plane, int(y * rows), int(x * columns)]:
        plane += 1
    return plane


@compiled
def _mixed(state: Any) -> Any:
    """Return the next state, which is random: SplitMix64's output (Steele et al., OOPSLA 2014)."""
    state = state + _GOLDEN
    state = (state ^ (state >> _S30)) * _MIX_1
    state = (state ^ (state >> _S27)) * _MIX_2
    return state ^ (state >> _S31)


@compiled
def _signed(state: Any) -> float:
    """Return the state as a number in [-1, 1)."""
    return (state >> _S11) * (2.0 / 9007199254740992.0) - 1.0
