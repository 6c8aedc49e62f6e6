"""Windows of an image that are encoded one at a time, so that memory does not grow with the image.

Their size is a constant and not chosen by the memory at hand: which sums a convolution rounds in
which order can depend on the size of its input, and a memory bound must not change a result.

Windows are counted in positions of relu3_1, one for every 4×4 pixels. Position i sees pixels
4i-10 … 4i+13 along each side, so a window cut with three positions more on each side (where the
image goes on) has the map that it has in the whole image.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from srntt_pipeline.images import RGB
from srntt_pipeline.maps import STRIDE
from srntt_pipeline.matching.patches import HALO

_Values = TypeVar("_Values", Tensor, npt.NDArray[np.bool_])

SIDE = 128  # positions: 512 px
SEES = 3  # more positions on each side
AROUND = SEES + 1  # the same for what begins at any pixel: it may lie a position farther


@dataclass(frozen=True)
class Window:
    """Rows `top` to `bottom` - 1 and columns `left` to `right` - 1 of a relu3_1 map.

    They are positions of the map, or patches by the position that they begin at.
    """

    top: int
    bottom: int
    left: int
    right: int

    @property
    def positions(self) -> int:
        """How many positions it holds."""
        return (self.bottom - self.top) * (self.right - self.left)

    def grown(self, by: int, height: int, width: int) -> "Window":
        """Return the window with `by` more on each side, where a map of that size goes on."""
        return Window(
            max(self.top - by, 0),
            min(self.bottom + by, height),
            max(self.left - by, 0),
            min(self.right + by, width),
        )

    @property
    def patches(self) -> "Window":
        """The patches that lie wholly in this window of positions."""
        return Window(self.top, self.bottom - HALO, self.left, self.right - HALO)

    @property
    def covered(self) -> "Window":
        """The positions that this window of patches covers."""
        return Window(self.top, self.bottom + HALO, self.left, self.right + HALO)

    def of(self, values: _Values, within: "Window", cells: int = 1) -> _Values:
        """Return the window's part, a view, of `values` [..., H, W], which cover `within`.

        `cells`: values a side for each position.
        """
        rows = slice((self.top - within.top) * cells, (self.bottom - within.top) * cells)
        columns = slice((self.left - within.left) * cells, (self.right - within.left) * cells)
        return values[..., rows, columns]

    def pixels(self, image: RGB) -> RGB:
        """Return the pixels of `image`, uint8 [H, W, 3], under the window's positions."""
        rows = slice(STRIDE * self.top, STRIDE * self.bottom)
        return image[rows, STRIDE * self.left : STRIDE * self.right]

    def cut(self, image: RGB) -> RGB:
        """Return the pixels of `image`, uint8 [H, W, 3], that the window's map is made of."""
        return self._seen(image).pixels(image)

    def inner(self, maps: Tensor, image: RGB) -> Tensor:
        """Return the window's part of the map [C, h·r, w·r] of what `cut` returned."""
        seen = self._seen(image)
        return self.of(maps, seen, maps.shape[1] // (seen.bottom - seen.top))

    def _seen(self, image: RGB) -> "Window":
        return self.grown(SEES, image.shape[0] // STRIDE, image.shape[1] // STRIDE)


def windows(height: int, width: int, overlap: int = 0) -> Iterator[Window]:
    """Yield windows, row by row, over a relu3_1 map of `height` × `width` positions.

    Neighbours share `overlap` positions: with two, every 3×3 patch lies in exactly one window.
    """
    for top, bottom in _spans(height, overlap):
        for left, right in _spans(width, overlap):
            yield Window(top, bottom, left, right)


def _spans(length: int, overlap: int) -> Iterator[tuple[int, int]]:
    start = 0
    while True:
        yield start, min(start + SIDE, length)
        if start + SIDE >= length:
            return
        start += SIDE - overlap
