"""The levels of SelfEx: one image at sizes that fall by α = 2^(−1/3), sharp and blurred."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srntt_pipeline.imresize import Border, resized

Image = npt.NDArray[np.float32]

LEVELS_PER_OCTAVE = 3
ALPHA = 2 ** (-1 / LEVELS_PER_OCTAVE)
_BELOW_LR = 3 * LEVELS_PER_OCTAVE  # the coarsest level is 1/8 of LR


def level_sizes(height: int, width: int, scale: int) -> tuple[list[tuple[int, int]], ...]:
    """Return the sizes of the levels below LR [height, width], and of those above it.

    Coarsest first; the last one is `scale` times LR's size. Sizes are rounded, at least 1 px.
    """
    above = round(LEVELS_PER_OCTAVE * np.log2(scale))

    def sizes(steps: range) -> list[tuple[int, int]]:
        return [(_scaled(height, step), _scaled(width, step)) for step in steps]

    return sizes(range(-_BELOW_LR, 0)), sizes(range(1, above + 1))


def _scaled(side: int, steps: int) -> int:
    return max(1, round(side * ALPHA**-steps))


@dataclass(frozen=True)
class Pyramid:
    """The levels so far, coarsest first, as compiled loops take them.

    `sharp` (H of the paper) and `blurred` (L: each level reduced by α and enlarged again): float32
    [pixels of all levels, 3], row by row, level by level. `shapes`: int64 [levels, 3], where a
    level begins, its height and its width.
    """

    sharp: Image
    blurred: Image
    shapes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, levels: list[Image], border: Border) -> "Pyramid":
        """Return the pyramid of images, float32 [h, w, 3], coarsest first."""
        sizes = [level.shape[:2] for level in levels]
        starts = np.cumsum([0, *(height * width for height, width in sizes[:-1])])
        shapes = [(start, *size) for start, size in zip(starts, sizes, strict=True)]
        blurred = [_blurred(level, border) for level in levels]
        return cls(_flat(levels), _flat(blurred), np.array(shapes, np.int64))


def _blurred(level: Image, border: Border) -> Image:
    height, width = level.shape[:2]
    small = resized(level, _scaled(height, -1), _scaled(width, -1), border)
    return resized(small, height, width, border)


def _flat(levels: list[Image]) -> Image:
    return np.concatenate([level.reshape(-1, 3) for level in levels])
