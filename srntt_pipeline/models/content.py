"""The content extractor ψ_0 and its blocks; alone with its own tail it is a plain SISR network.

`sisr` is what the paper's released code pre-trains before SRNTT, and with what it upscales LR and
Ref↓ instead of by bicubic interpolation (paper section 3.2).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srntt_pipeline.models.registry import register

SCALE = 4


@dataclass(frozen=True)
class Layout:
    """How layers are built, where the paper and its released code differ.

    `batch_norm`: after each convolution of a residual block; `closing_norm`: after the convolution
    that closes a body too; `bias`: of convolutions before batch norm, which takes any bias out
    again; `first`, `last`: kernel sizes of the convolutions that take LR and make the image;
    `activation`: `relu`, or `prelu`, whose slope is learnt, one for each layer.
    """

    batch_norm: bool = False
    closing_norm: bool = False
    bias: bool = True
    last: int = 3
    first: int = 3
    activation: Literal["relu", "prelu"] = "relu"

    def activate(self) -> nn.Module:
        """Return a new activation."""
        return nn.PReLU() if self.activation == "prelu" else nn.ReLU()


PAPER = Layout()  # of SRNTT


def layout_of(architecture: str, batch_norm: bool) -> Layout:
    """Return the layout of an architecture: `paper`, with batch norm or without, or `released`.

    Raises ValueError for another one, and for `batch_norm` with `released`, which has its own.
    """
    if architecture == "paper":
        return Layout(batch_norm)
    if architecture != "released":
        raise ValueError(f"architecture {architecture}: neither paper nor released")
    if batch_norm:
        raise ValueError("architecture released has batch norm of its own: leave batch_norm out")
    return Layout(batch_norm=True, closing_norm=True, bias=False, last=1)


def conv(channels_in: int, channels_out: int, size: int = 3, *, bias: bool = True) -> nn.Conv2d:
    """Return a convolution, 3×3 or `size` squared (odd), that keeps the size."""
    return nn.Conv2d(channels_in, channels_out, size, padding=size // 2, bias=bias)


def _inner(channels: int, layout: Layout, normed: bool) -> list[nn.Module]:
    """Return a convolution of a body, with batch norm behind it where it is `normed`."""
    if not normed:
        return [conv(channels, channels)]
    return [conv(channels, channels, bias=layout.bias), nn.BatchNorm2d(channels)]


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))); with `layout.batch_norm`, one after each convolution.

    The paper's released code has it; later re-implementations leave it out, for PSNR.
    """

    def __init__(self, channels: int, layout: Layout) -> None:
        super().__init__()
        first, second = (_inner(channels, layout, layout.batch_norm) for _ in range(2))
        self.body = nn.Sequential(*first, layout.activate(), *second)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C, H, W]."""
        return x + self.body(x)


def residual_body(channels: int, blocks: int, layout: Layout) -> nn.Sequential:
    """Return `blocks` residual blocks and a convolution that closes them."""
    return nn.Sequential(
        *(ResidualBlock(channels, layout) for _ in range(blocks)),
        *_inner(channels, layout, layout.closing_norm),
    )


def upscale_2x(channels: int, layout: Layout = PAPER) -> nn.Sequential:
    """Return ↑2× by sub-pixel convolution: [N, C, H, W] to [N, C, 2H, 2W]."""
    return nn.Sequential(conv(channels, 4 * channels), nn.PixelShuffle(2), layout.activate())


class ContentExtractor(nn.Module):
    """ψ_0: features of the LR image at LR size, with a tail of its own for plain SISR."""

    def __init__(self, channels: int, blocks: int, layout: Layout) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(3, channels, layout.first), layout.activate())
        self.body = residual_body(channels, blocks, layout)
        self.sisr_tail = nn.Sequential(
            upscale_2x(channels, layout),
            upscale_2x(channels, layout),
            conv(channels, 3, layout.last),
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Map LR [N, 3, h, w] in [-1, 1] to features [N, C, h, w]."""
        x = self.head(lr)
        return self.body(x) + x


def bicubic(lr: Tensor, scale: float = SCALE) -> Tensor:
    """Return LR↑ [N, C, s·h, s·w] of LR [N, C, h, w]; with a scale s below 1 it is made smaller."""
    # With antialias, PyTorch's bicubic kernel is Pillow's (a = -0.5), that of LR↑.
    return F.interpolate(lr, scale_factor=scale, mode="bicubic", antialias=True)


def from_tail(output: Tensor, lr: Tensor, bicubic_skip: bool) -> Tensor:
    """Return the image [N, 3, 4h, 4w], about [0, 1], that a tail's `output` stands for.

    With `bicubic_skip` the output is what LR↑ lacks, else the image itself, bounded by tanh. `lr`:
    [N, 3, h, w] in [0, 1].
    """
    if not bicubic_skip:
        return (torch.tanh(output) + 1) / 2
    return bicubic(lr) + output / 2


@register("sisr", inputs="lr", row="SISR")
class SISR(nn.Module):
    """Single-image super-resolution ×4: the content extractor with its own tail.

    `channels`, `blocks`, `batch_norm`: of its residual body; `bicubic_skip`, `architecture`: as in
    `SRNTT`.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: int = 16,
        bicubic_skip: bool = False,
        batch_norm: bool = False,
        architecture: str = "paper",
    ) -> None:
        super().__init__()
        self.bicubic_skip = bicubic_skip
        self.content = ContentExtractor(channels, blocks, layout_of(architecture, batch_norm))

    def forward(self, lr: Tensor) -> Tensor:
        """Return SR [N, 3, 4h, 4w], about [0, 1], not clipped, of LR [N, 3, h, w] in [0, 1]."""
        output = self.content.sisr_tail(self.content(lr * 2 - 1))
        return from_tail(output, lr, self.bicubic_skip)
