"""Windows of an image that are encoded one at a time, so that memory does not grow with the image.

Their size is a constant and not chosen by the memory at hand: which sums a convolution rounds in
which order can depend on the size of its input, and a memory bound must not change a result.

Windows are counted in positions of relu3_1, one for every 4×4 pixels. Position i sees pixels
4i-10 … 4i+13 along each side, so a window cut with three positions more on each side (where the
image goes on) has the map that it has in the whole image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from srntt_pipeline.images import RGB

STRIDE = 4  # pixels between positions of relu3_1
SIDE = 128  # positions: 512 px
_HALO = 3


@dataclass(frozen=True)
class Window:
    """Rows `top` to `bottom` - 1 and columns `left` to `right` - 1 of a relu3_1 map."""

    top: int
    bottom: int
    left: int
    right: int

    def cut(self, image: RGB) -> RGB:
        """Return the pixels of `image`, uint8 [H, W, 3], that the window's map is made of."""
        outer = self._outer(image)
        return image[
            STRIDE * outer.top : STRIDE * outer.bottom, STRIDE * outer.left : STRIDE * outer.right
        ]

    def inner(self, maps: Tensor, image: RGB) -> Tensor:
        """Return the window's part of the map [C, h·r, w·r] of what `cut` returned."""
        outer = self._outer(image)
        cells = maps.shape[1] // (outer.bottom - outer.top)
        return maps[
            :,
            cells * (self.top - outer.top) : cells * (self.bottom - outer.top),
            cells * (self.left - outer.left) : cells * (self.right - outer.left),
        ]

    def _outer(self, image: RGB) -> "Window":
        """Return the window with what its positions see, as far as the image goes."""
        height, width = (side // STRIDE for side in image.shape[:2])
        return Window(
            max(0, self.top - _HALO),
            min(height, self.bottom + _HALO),
            max(0, self.left - _HALO),
            min(width, self.right + _HALO),
        )


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
