"""Matching in blocks: where near its registered place a reference fits LR↑, and how well.

The reference is compared as it would look in LR↑: under the low-pass of bicubic ↓4. Structure
counts: beside values, their gradients are compared. Blocks are large where they fit, and halved
where they do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from srntt_pipeline.images import SCALE
from srntt_pipeline.landmark.registration import Registered

Floats = npt.NDArray[np.float32]

BLOCKS = (32, 16, 8)  # sides, px of HR: 8, 4 and 2 px of LR
REACH = 6  # px around the registered place
_GRADIENTS = 4.0  # how much squared differences of gradients count beside those of values
_NOISE = 4.0  # squared levels: what is there in LR↑ of 8 bits and of a flat block
_FAR = 0.02  # squared levels a squared px: of places that fit alike the registered one is taken
_GOOD, _POOR = 0.15, 0.6  # of a block's structure unexplained: kept whole; not used
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Matched:
    """What a reference adds to LR↑: `detail` float32 [4h, 4w, 3], levels, at its matched places.

    `trust`: float32 [4h, 4w] in [0, 1], 0 where nothing fits; `block`: int32 [4h, 4w], the same in
    pixels that were moved alike.
    """

    detail: Floats
    trust: Floats
    block: npt.NDArray[np.int32]


def low_pass(image: Floats) -> Floats:
    """Return `image`, float32 [H, W] or [H, W, 3], under the kernel of bicubic ↓4, at every px.

    Keys' cubic (a = -0.5) stretched by 4: what LR keeps, without its grid.
    """
    x = np.abs(np.arange(-2 * SCALE + 1, 2 * SCALE) / SCALE)
    taps = np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    line = (taps / taps.sum()).astype(np.float32)
    smooth = cv2.sepFilter2D(image, -1, line, line, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(smooth, np.float32)


def match(lr_up: Floats, seen: Registered) -> Matched | None:
    """Return what the registered reference adds to `lr_up`, float32 [4h, 4w, 3] in 0…255.

    None where no block of it fits.
    """
    valid = cv2.erode(
        seen.valid.astype(np.uint8), np.ones((2 * REACH + 1,) * 2), borderType=cv2.BORDER_REPLICATE
    ).astype(np.bool_)
    if not valid.any():
        return None
    smooth = low_pass(seen.image)
    gain, offset = light(lr_up, smooth, valid)
    image, smooth = seen.image * gain + offset, smooth * gain + offset
    moves, errors, spread = search(lr_up @ _LUMA, smooth @ _LUMA, valid)
    move, error, block = choose(moves, errors, spread)
    height, width = valid.shape
    move, error, block = move[:height, :width], error[:height, :width], block[:height, :width]
    trust = np.where(error < _POOR, np.exp(-error / _GOOD), 0).astype(np.float32)
    if not trust.any():
        return None
    y, x = np.mgrid[:height, :width].astype(np.float32)
    detail = cv2.remap(
        image - smooth, x + move[..., 1], y + move[..., 0], cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    return Matched(np.asarray(detail, np.float32), trust, block)


def light(lr_up: Floats, smooth: Floats, valid: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return gain and offset, float32 [3] each, that bring a reference's light nearest to LR↑'s.

    By least squares over where it is known; the gain is kept in [0.5, 2]. Our choice: photos of an
    album differ in exposure.
    """
    own, other = lr_up[valid].astype(np.float64), smooth[valid].astype(np.float64)
    own_mean, other_mean = own.mean(axis=0), other.mean(axis=0)
    both = ((own - own_mean) * (other - other_mean)).mean(axis=0)
    gain = np.clip(both / np.maximum(other.var(axis=0), 1), 0.5, 2)
    return gain.astype(np.float32), (own_mean - gain * other_mean).astype(np.float32)


def search(
    own: Floats, other: Floats, valid: npt.NDArray[np.bool_]
) -> tuple[list[Floats], list[Floats], list[Floats]]:
    """Return for each side of `BLOCKS` the best moves, their errors, and the structure of `own`.

    `own`, `other`: float32 [H, W], LR↑ and the low-passed reference. A move (down, right), within
    `REACH` px, is where in the reference a block [rows, columns] of the frame is found: float32
    [rows, columns, 2], to a fraction of a px by a parabola through the errors of its neighbours.
    Errors and structure are means over the block, in squared levels; infinite where not `valid`.
    The frame is padded to whole blocks of the largest side.
    """
    least, side = BLOCKS[-1], 2 * REACH + 1
    small = np.stack(list(_errors(own, other, valid, least)))
    spread = _means(_structure(own), least)
    found = []
    for block in BLOCKS:
        costs = _joined(small, block // least)
        moved = costs + _FAR * _squares_of_moves()[:, None, None]
        places = moved.reshape(side, side, *costs.shape[1:])
        found.append((*_best(places), _joined(spread[None], block // least)[0]))
    moves, errors, spreads = zip(*found, strict=True)
    return list(moves), list(errors), list(spreads)


def _squares_of_moves() -> Floats:
    """Return the squared length of each move, row by row, float32 [moves]."""
    along = np.arange(-REACH, REACH + 1, dtype=np.float32) ** 2
    return np.add.outer(along, along).ravel()


def _errors(
    own: Floats, other: Floats, valid: npt.NDArray[np.bool_], block: int
) -> Iterator[Floats]:
    """Yield the error of each block for each move, row by row of moves."""
    usable = _means((~valid).astype(np.float32), block) == 0
    around = np.pad(other, REACH, mode="edge")
    height, width = own.shape
    for top in range(2 * REACH + 1):
        for left in range(2 * REACH + 1):
            difference = own - around[top : top + height, left : left + width]
            yield np.where(usable, _means(_structure(difference), block), np.float32(np.inf))


def _structure(image: Floats) -> Floats:
    """Return squared values less their local mean, and squared gradients, float32 [H, W].

    The mean, over 33 px, is light and not structure.
    """
    flat = image - cv2.blur(image, (33, 33), borderType=cv2.BORDER_REFLECT_101)
    down = np.diff(image, axis=0, append=image[-1:])
    right = np.diff(image, axis=1, append=image[:, -1:])
    squares: Floats = flat**2 + _GRADIENTS * (down**2 + right**2)
    return squares


def _means(values: Floats, block: int) -> Floats:
    """Return the mean of each block, of a frame that is padded by 0 to the largest blocks."""
    height, width = (-(-side // BLOCKS[0]) * BLOCKS[0] for side in values.shape)
    padded = np.zeros((height, width), np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    means: Floats = padded.reshape(height // block, block, width // block, block).mean(axis=(1, 3))
    return means


def _joined(values: Floats, by: int) -> Floats:
    """Return the means of `by`×`by` blocks of float32 [N, rows, columns]."""
    count, rows, columns = values.shape
    joined: Floats = values.reshape(count, rows // by, by, columns // by, by).mean(axis=(2, 4))
    return joined


def _best(costs: Floats) -> tuple[Floats, Floats]:
    """Return the best move of each block, to a fraction of a px, and its error.

    `costs`: float32 [moves down, moves right, rows, columns].
    """
    side, _, rows, columns = costs.shape
    flat = costs.reshape(side * side, rows, columns)
    best = flat.argmin(axis=0)
    down, right = np.divmod(best, side)
    y, x = np.mgrid[:rows, :columns]
    error = costs[down, right, y, x]
    move = np.stack([down, right], axis=2).astype(np.float32) - REACH
    for axis, (along, step) in enumerate(((down, (1, 0)), (right, (0, 1)))):
        inner = (along > 0) & (along < side - 1) & np.isfinite(error)
        low = costs[np.maximum(down - step[0], 0), np.maximum(right - step[1], 0), y, x]
        high = costs[
            np.minimum(down + step[0], side - 1), np.minimum(right + step[1], side - 1), y, x
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            part = (low - high) / (2 * (low + high - 2 * error))
        move[..., axis] += np.where(inner & np.isfinite(part), np.clip(part, -0.5, 0.5), 0)
    return move, error


def choose(
    moves: list[Floats], errors: list[Floats], spread: list[Floats]
) -> tuple[Floats, Floats, npt.NDArray[np.int32]]:
    """Return the move of each px, its error as a share of the structure there, and its block.

    A block is kept whole where that share is below 0.15, else its quarters are looked at; of the
    smallest blocks each is kept as it is. Frames are padded to whole blocks.
    """
    least = BLOCKS[-1]
    shape = tuple(count * least for count in errors[-1].shape)
    move = np.zeros((*shape, 2), np.float32)
    share = np.full(shape, np.inf, np.float32)
    block = np.zeros(shape, np.int32)
    left = np.ones(shape, np.bool_)
    number = 1
    for side, found, error, structure in zip(BLOCKS, moves, errors, spread, strict=True):
        relative = error / (structure + _NOISE)
        kept = relative < _GOOD if side > least else np.isfinite(relative)
        here = left & _enlarged(kept, side)
        move[here] = _enlarged(found, side)[here]
        share[here] = _enlarged(relative, side)[here]
        numbers = number + np.arange(relative.size, dtype=np.int32).reshape(relative.shape)
        block[here] = _enlarged(numbers, side)[here]
        number += relative.size
        left &= ~here
    return move, share, block


def _enlarged(values: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    return values.repeat(side, axis=0).repeat(side, axis=1)
