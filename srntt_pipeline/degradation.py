"""The degradation: how HR is cut from a photo and LR made of it, and bicubic LR↑ the same way."""

from typing import Literal, NamedTuple

from srntt_pipeline.images import RGB, SCALE, crop_to_multiple, downscale, upscale
from srntt_pipeline.imresize import imresize

Kernel = Literal["pillow", "matlab"]
KERNELS: dict[Kernel, str] = {"pillow": "Pillow bicubic", "matlab": "MATLAB bicubic"}


class Making(NamedTuple):
    """What decides pictures rather than numbers: protocols that agree in it share pictures."""

    kernel: Kernel
    multiple: int


# The paper's numbers need Pillow's bicubic (its Urban100 column, to the last digit).
PAPER_MAKING = Making("pillow", SCALE)


def make_hr(photo: RGB, making: Making) -> RGB:
    """Return the HR image of `photo`, uint8 [H, W, 3]: cut at right and bottom."""
    return crop_to_multiple(photo, making.multiple)


def make_lr(hr: RGB, making: Making) -> RGB:
    """Return the LR of `hr`, uint8 with sides that are multiples of 4: bicubic ↓4."""
    if making.kernel == "pillow":
        return downscale(hr)
    return imresize(hr, hr.shape[0] // SCALE, hr.shape[1] // SCALE)


def bicubic(lr: RGB, making: Making) -> RGB:
    """Return the baseline: `lr`, uint8 [h, w, 3], by bicubic ↑4."""
    if making.kernel == "pillow":
        return upscale(lr)
    return imresize(lr, lr.shape[0] * SCALE, lr.shape[1] * SCALE)
