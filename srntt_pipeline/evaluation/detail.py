"""The detail of an image that a figure enlarges: given by its place, or chosen."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB, SCALE

LARGEST_PX = 96  # side of a detail that is chosen
_SMALLEST_PX = 16
_GIVEN = re.compile(r"(?P<image>.+)=(?P<width>\d+)x(?P<height>\d+)\+(?P<left>\d+)\+(?P<top>\d+)")
_LONGEST_NUMBER = 6  # digits


@dataclass(frozen=True)
class Detail:
    """A window of an image, in pixels of HR from its left upper corner."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.left}+{self.top}"

    def of(self, image: RGB) -> RGB:
        """Return the window of `image`, uint8 [H, W, 3]."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def fits(self, size: tuple[int, int]) -> bool:
        """Tell whether it lies within an image of this height and width."""
        return self.top + self.height <= size[0] and self.left + self.width <= size[1]


def read_details(texts: Sequence[str]) -> dict[str, Detail]:
    """Return the details by image that `IMAGE=WxH+X+Y` gives; raise InputError."""
    details = {}
    for text in texts:
        found = _GIVEN.fullmatch(text)
        numbers = {} if found is None else found.groupdict()
        image = numbers.pop("image", "")
        if not numbers or any(len(number) > _LONGEST_NUMBER for number in numbers.values()):
            raise InputError(
                f"detail {text!r}: write IMAGE=WIDTHxHEIGHT+LEFT+TOP in px of HR, such as "
                "img_012=96x96+400+240"
            )
        detail = Detail(**{name: int(number) for name, number in numbers.items()})
        if not (detail.width and detail.height):
            raise InputError(f"detail {text!r}: its width or height is 0")
        details[image] = detail
    return details


def choose_detail(hr: RGB, outputs: Iterable[RGB]) -> Detail:
    """Return the square of `hr`, uint8 [H, W, 3], that shows best how `outputs` of it differ.

    Of all squares it has the highest product of two sums over its pixels: of the gradient of HR
    (absolute differences of neighbours) and of the variance over the outputs, both of the mean of
    the channels. Where no output differs from another, the highest gradient. Its side is a quarter
    of the short side of HR, at most 96 px; it begins at whole LR pixels. The paper does not say how
    it chose; this is our choice.
    """
    height, width = hr.shape[:2]
    side = min(height, width) // 4 // SCALE * SCALE
    side = min(max(side, _SMALLEST_PX), LARGEST_PX, height, width)
    grey = hr.mean(axis=2)
    energy = np.zeros((height, width))
    energy[:, 1:] += np.abs(np.diff(grey, axis=1))
    energy[1:] += np.abs(np.diff(grey, axis=0))
    score = _sums(energy, side)
    differing = _sums(_variance(outputs, (height, width)), side)
    if differing.max() > 0:
        score = score * differing
    score = score[::SCALE, ::SCALE]
    top, left = np.unravel_index(score.argmax(), score.shape)
    return Detail(int(left) * SCALE, int(top) * SCALE, side, side)


def _variance(outputs: Iterable[RGB], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the variance over the outputs at each pixel, of the sum of the channels.

    Sums of whole numbers, so that it is exactly zero where the outputs are equal.
    """
    count, total, squares = 0, np.zeros(size, np.int64), np.zeros(size, np.int64)
    for image in outputs:
        grey = image.sum(axis=2, dtype=np.int64)
        count, total, squares = count + 1, total + grey, squares + grey**2
    return (count * squares - total**2) / max(count, 1) ** 2


def _sums(values: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.float64]:
    """Return the sums of `values` over all squares of `side` px, by left upper corner."""
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    found: npt.NDArray[np.float64] = (
        sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    )
    return found
