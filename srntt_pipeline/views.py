"""Views of a training pair: turned and flipped in one of eight ways, recoloured, made smaller.

A view is of images. VGG19's maps of a turned image are not the turned maps of the image, so what is
made of images, such as LR and maps, is made of the view. `turned_corner` says where a box lies in
it: so a correspondence need not be found again.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from srntt_pipeline.images import RGB, SCALE, resize
from srntt_pipeline.maps import to_image, to_tensor

WAYS = 8  # a square on itself: four turns, each flipped or not
_Number = TypeVar("_Number", int, Tensor)


class Colour(NamedTuple):
    """Factors of brightness and of saturation, and the exponent of each value between.

    Each value depends on its pixel alone: so HR, LR and references change in the same way, which
    they would not by contrast about the mean of each.
    """

    brightness: float
    gamma: float
    saturation: float


@dataclass(frozen=True)
class View:
    """How a pair is seen: made smaller, recoloured, then turned and flipped.

    `way`, 0…7: `way // 2` turns by 90°, counter-clockwise; then, where it is odd, flipped left to
    right. `scale`: the factor of its sides, at most 1; the shorter one stays `least_px` or more.
    Pairs with references are not made smaller.
    """

    way: int = 0
    colour: Colour | None = None
    scale: float = 1.0
    least_px: int = 0

    def of(self, image: RGB) -> RGB:
        """Return `image`, uint8 [H, W, 3], in this view."""
        return turned_image(self.recoloured(self.smaller(image)), self.way)

    def smaller(self, image: RGB) -> RGB:
        """Return `image`, uint8 [H, W, 3], made smaller by Pillow's bicubic, not turned.

        Its sides are then multiples of 4, as those of HR are.
        """
        height, width = image.shape[:2]
        scale = min(1.0, max(self.scale, self.least_px / min(height, width)))
        if scale == 1:
            return image
        sides = (max(SCALE, round(scale * side / SCALE) * SCALE) for side in (height, width))
        return resize(image, *sides)

    def recoloured(self, image: RGB) -> RGB:
        """Return `image`, uint8 [H, W, 3], in the colours of this view, not turned."""
        if self.colour is None:
            return image
        from torchvision.transforms.v2 import functional as F  # a second that few runs need

        values = F.adjust_brightness(to_tensor(image), self.colour.brightness)
        values = F.adjust_gamma(values, self.colour.gamma)
        return to_image(F.adjust_saturation(values, self.colour.saturation))


AS_IT_IS = View()


def draw_view(
    rng: np.random.Generator,
    *,
    turn: bool,
    colour: float,
    least_scale: float = 1.0,
    least_px: int = 0,
) -> View:
    """Return a random view.

    Turned if `turn`; factors of colour within 1 ± `colour`; scale between `least_scale` and 1.
    """
    way, factors = 0, None
    if turn:
        way = int(rng.integers(WAYS))
    if colour:
        factors = Colour(*rng.uniform(1 - colour, 1 + colour, len(Colour._fields)).tolist())
    if least_scale == 1:
        return View(way, factors)
    return View(way, factors, float(rng.uniform(least_scale, 1)), least_px)


def turned(values: Tensor, way: int) -> Tensor:
    """Return values [..., H, W], turned and flipped."""
    turns, flip = divmod(way, 2)
    result = torch.rot90(values, turns, (-2, -1))
    return result.flip(-1) if flip else result


def turned_image(image: RGB, way: int) -> RGB:
    """Return an image, uint8 [H, W, 3], turned and flipped."""
    if way == 0:
        return image
    turns, flip = divmod(way, 2)
    result = np.rot90(image, turns)
    return np.ascontiguousarray(result[:, ::-1] if flip else result)


def turned_size(height: int, width: int, way: int) -> tuple[int, int]:
    """Return the height and width of what is turned; of what was turned, those of before."""
    return (width, height) if way // 2 % 2 else (height, width)


def turned_corner(
    row: _Number, column: _Number, height: _Number, width: _Number, side: int, way: int
) -> tuple[_Number, _Number]:
    """Return where the upper left of a square box lies in what is turned.

    `row` and `column`: where it lies before; `side`: the box's; `height` and `width`: those of the
    whole before.
    """
    turns, flip = divmod(way, 2)
    for _ in range(turns):
        row, column, height, width = width - side - column, row, width, height
    return row, (width - side - column if flip else column)
