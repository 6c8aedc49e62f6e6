"""The degradation: how HR is cut from a photo and LR made of it, and bicubic LR↑ the same way."""

from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from srntt_pipeline.images import RGB, SCALE, crop_to_multiple, downscale, resize, upscale
from srntt_pipeline.imresize import Border, imresize

Kernel = Literal["pillow", "matlab", "matlab-replicate", "pillow-lanczos"]
KERNELS: dict[Kernel, str] = {
    "pillow": "Pillow bicubic",
    "matlab": "MATLAB bicubic (mirrored borders)",
    "matlab-replicate": "MATLAB bicubic (replicated borders)",
    "pillow-lanczos": "Pillow Lanczos",  # ENet's; LR↑ is bicubic here too
}
_BORDERS: dict[Kernel, Border] = {"matlab": "mirror", "matlab-replicate": "replicate"}


class Making(NamedTuple):
    """What decides pictures rather than numbers: protocols that agree in it share pictures.

    `kernel`: of the bicubic ↓4 that makes LR and of bicubic LR↑; `multiple`: HR's sides are cut to
    multiples of it; `given`: LR came with the test set and is not made, so the kernel is of LR↑.
    """

    kernel: Kernel
    multiple: int
    given: bool = False


# The paper's numbers need Pillow's bicubic (its Urban100 column, to the last digit).
PAPER_MAKING = Making("pillow", SCALE)


def make_hr(photo: RGB, making: Making) -> RGB:
    """Return the HR image of `photo`, uint8 [H, W, 3]: cut at right and bottom."""
    return crop_to_multiple(photo, making.multiple)


def make_lr(hr: RGB, making: Making) -> RGB:
    """Return the LR of `hr`, uint8 with sides that are multiples of 4: bicubic ↓4."""
    if making.kernel == "pillow":
        return downscale(hr)
    height, width = (side // SCALE for side in hr.shape[:2])
    if making.kernel == "pillow-lanczos":
        return resize(hr, height, width, Image.Resampling.LANCZOS)
    return imresize(hr, height, width, _BORDERS[making.kernel])


def border_of(making: Making) -> Border:
    """Return how the kernel takes what lies beyond an image, for `imresize`."""
    return _BORDERS.get(making.kernel, "cut")


def kernel_of(lr: RGB, hr: RGB) -> Kernel | None:
    """Return the kernel that makes `lr` of `hr`, equal to the last value; None where none does.

    `hr`: uint8 with sides that are multiples of 4; `lr`: uint8 of any size.
    """
    for kernel in KERNELS:
        if np.array_equal(make_lr(hr, Making(kernel, SCALE)), lr):
            return kernel
    return None


def bicubic(lr: RGB, making: Making) -> RGB:
    """Return the baseline: `lr`, uint8 [h, w, 3], by bicubic ↑4."""
    if making.kernel in ("pillow", "pillow-lanczos"):
        return upscale(lr)
    height, width = (side * SCALE for side in lr.shape[:2])
    return imresize(lr, height, width, _BORDERS[making.kernel])
