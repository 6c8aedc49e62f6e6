"""Networks on luma: RGB in and out, Y within; Cb and Cr of SR are those of bicubic LR↑.

The one place where luma is taken from an image and put into one. Y, Cb and Cr are ITU-R BT.601's of
8-bit images, so Y of RGB in [0, 1] lies in [16/255, 235/255]. All three add the same multiple of Y
to each of R, G and B: so a new Y with the old Cb and Cr is a sum, and Cb and Cr are never computed.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from srntt_pipeline.models.content import bicubic

_OF_RGB = (65.481 / 255, 128.553 / 255, 24.966 / 255)
_BLACK = 16 / 255
_TO_RGB = 255 / 219  # what R, G and B each grow by with Y


def luma(rgb: Tensor) -> Tensor:
    """Return Y [N, 1, H, W], in [16/255, 235/255], of RGB [N, 3, H, W] in [0, 1]."""
    weights = torch.tensor(_OF_RGB, dtype=rgb.dtype, device=rgb.device)[:, None, None]
    return _BLACK + (rgb * weights).sum(1, keepdim=True)


def with_luma(rgb: Tensor, y: Tensor) -> Tensor:
    """Return RGB [N, 3, H, W] of the Y given, [N, 1, H, W], and Cb and Cr of `rgb`; not clipped."""
    return rgb + _TO_RGB * (y - luma(rgb))


class OnLuma(nn.Module):
    """A network that makes Y of SR, in `luma_of`; this makes an image of it.

    With `several`, as a method that a phase names, it returns all images of a training step.
    """

    def luma_of(self, y: Tensor) -> Tensor:
        """Return Y of SR, [N, 1, 4h, 4w], of Y of LR, [N, 1, h, w], both in [16/255, 235/255]."""
        raise NotImplementedError

    def forward(self, lr: Tensor) -> Tensor:
        """Return SR [N, 3, 4h, 4w], about [0, 1], not clipped, of LR [N, 3, h, w] in [0, 1]."""
        return with_luma(bicubic(lr), self.luma_of(luma(lr)))

    def steps_of(self, y: Tensor) -> Mapping[str, Tensor]:
        """Return `sr`, as `luma_of` does, and what else losses compare, by name."""
        raise NotImplementedError

    def several(self, lr: Tensor) -> dict[str, Tensor]:
        """Return SR under `sr`, as `forward` does, and the rest of `steps_of` as it is.

        A phase whose `forward` is `several` gives the rest to its losses: `Context.others`.
        """
        found = dict(self.steps_of(luma(lr)))
        return {**found, "sr": with_luma(bicubic(lr), found["sr"])}
