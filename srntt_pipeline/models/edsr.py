"""EDSR ×4 (Lim et al., "Enhanced Deep Residual Networks for Single Image SR", CVPRW 2017)."""

import torch
from torch import Tensor, nn

from srntt_pipeline.models.content import conv
from srntt_pipeline.models.registry import register

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)  # RGB, of the photographs that the paper trains on


class EdsrBlock(nn.Module):
    """x + s · conv(ReLU(conv(x))): a residual block without batch norm (Figure 2c).

    `size`: of the kernels.
    """

    def __init__(self, channels: int, res_scale: float, size: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels, size), nn.ReLU(), conv(channels, channels, size)
        )
        self.res_scale = res_scale

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, h, w] to [N, C, h, w]."""
        return x + self.res_scale * self.body(x)


@register("edsr", inputs="lr", row="EDSR")
class EDSR(nn.Module):
    """Head, residual blocks under one long skip, two sub-pixel convolutions ×2, tail (Figure 3).

    The defaults are EDSR-baseline's; `res_scale`: what a block adds is multiplied by it.
    """

    def __init__(self, channels: int = 64, blocks: int = 16, res_scale: float = 1.0) -> None:
        super().__init__()
        self.head = conv(3, channels)
        self.body = nn.Sequential(
            *(EdsrBlock(channels, res_scale) for _ in range(blocks)), conv(channels, channels)
        )
        twice = [conv(channels, 4 * channels), nn.PixelShuffle(2)]
        again = [conv(channels, 4 * channels), nn.PixelShuffle(2)]
        self.tail = nn.Sequential(*twice, *again, conv(channels, 3))

    def forward(self, lr: Tensor) -> Tensor:
        """Return SR [N, 3, 4h, 4w], about [0, 1], not clipped, of LR [N, 3, h, w] in [0, 1]."""
        mean = torch.tensor(DIV2K_MEAN, dtype=lr.dtype, device=lr.device)[:, None, None]
        x = self.head(lr - mean)
        sr: Tensor = self.tail(x + self.body(x)) + mean
        return sr
