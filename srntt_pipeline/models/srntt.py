"""SRNTT: super-resolution by neural texture transfer (paper section 3.2, Eq. 4–5, Figure 3).

Top to bottom in the order of the paper: content extractor, texture transfer at three scales, tail.
`srntt-l2` is the paper's SRNTT-ℓ2: this network, trained on the mean squared error alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srntt_pipeline.models.registry import register

SCALE = 4
# Swapped maps join from LR size upwards: relu3_1 at LR size, relu2_1 at ×2, relu1_1 at ×4.
MAP_CHANNELS = {"relu3_1": 256, "relu2_1": 128, "relu1_1": 64}


def conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Return a 3×3 convolution that keeps the size."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))), without the released code's batch norm, which costs PSNR."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), nn.ReLU(), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C, H, W]."""
        return x + self.body(x)


def residual_body(channels: int, blocks: int) -> nn.Sequential:
    """Return `blocks` residual blocks and a convolution."""
    return nn.Sequential(
        *(ResidualBlock(channels) for _ in range(blocks)), conv(channels, channels)
    )


def upscale_2x(channels: int) -> nn.Sequential:
    """Return ↑2× by sub-pixel convolution: [N, C, H, W] to [N, C, 2H, 2W]."""
    return nn.Sequential(conv(channels, 4 * channels), nn.PixelShuffle(2), nn.ReLU())


class ContentExtractor(nn.Module):
    """ψ_0: features of the LR image at LR size, with a tail of its own for plain SISR."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(3, channels), nn.ReLU())
        self.body = residual_body(channels, blocks)
        self.sisr_tail = nn.Sequential(
            upscale_2x(channels), upscale_2x(channels), conv(channels, 3)
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Map LR [N, 3, h, w] in [-1, 1] to features [N, C, h, w]."""
        x = self.head(lr)
        return self.body(x) + x


class TextureTransfer(nn.Module):
    """Res(ψ ‖ M) + ψ at one scale (Eq. 4, Figure 3)."""

    def __init__(self, channels: int, map_channels: int, blocks: int) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(channels + map_channels, channels), nn.ReLU())
        self.body = residual_body(channels, blocks)

    def forward(self, content: Tensor, maps: Tensor) -> Tensor:
        """Map ψ [N, C, H, W] and M [N, D, H, W] to [N, C, H, W]."""
        return self.body(self.head(torch.cat([content, maps], dim=1))) + content


@register("srntt-l2")
class SRNTT(nn.Module):
    """Super-resolution by neural texture transfer, ×4.

    `channels`: of all residual blocks; `blocks`: in the content extractor and at relu3_1, relu2_1,
    relu1_1; `bicubic_skip`: predict what LR↑ lacks instead of the image (no tanh then, which would
    bound a difference); `weight_maps`: multiply the maps by the weight map S*, which the released
    code offers to soften the effect of bad matches, at some cost in sharpness.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: Sequence[int] = (16, 16, 8, 4),
        bicubic_skip: bool = False,
        weight_maps: bool = False,
    ) -> None:
        super().__init__()
        self.bicubic_skip, self.weight_maps = bicubic_skip, weight_maps
        self.content = ContentExtractor(channels, blocks[0])
        self.transfer = nn.ModuleDict(
            {
                layer: TextureTransfer(channels, depth, count)
                for (layer, depth), count in zip(MAP_CHANNELS.items(), blocks[1:], strict=True)
            }
        )
        self.upscale = nn.ModuleDict(
            {layer: upscale_2x(channels) for layer in ("relu3_1", "relu2_1")}
        )
        self.tail = nn.Sequential(conv(channels, channels // 2), conv(channels // 2, 3))
        # Maps of different layers and encoders differ by orders of magnitude; see set_map_scales.
        for layer in MAP_CHANNELS:
            self.register_buffer(f"{layer}_scale", torch.ones(()))

    def set_map_scales(self, deviations: dict[str, float]) -> None:
        """Scale the maps of each layer by 1 / its standard deviation over the training set."""
        for layer, deviation in deviations.items():
            getattr(self, f"{layer}_scale").fill_(1 / deviation if deviation > 0 else 1.0)

    def forward(self, lr: Tensor, maps: dict[str, Tensor], weight: Tensor) -> Tensor:
        """Return SR [N, 3, 4h, 4w] (Eq. 5), about [0, 1], not clipped.

        `lr`: [N, 3, h, w] in [0, 1]; `maps`: M_l by layer, relu3_1 [N, 256, h, w], relu2_1
        [N, 128, 2h, 2w], relu1_1 [N, 64, 4h, 4w]; `weight`: S*, [N, 1, h, w] in [0, 1].
        """
        x = self.content(lr * 2 - 1)
        for layer in MAP_CHANNELS:
            scaled = maps[layer] * getattr(self, f"{layer}_scale")
            if self.weight_maps:
                scaled = scaled * F.interpolate(weight, size=scaled.shape[2:], mode="nearest")
            x = self.transfer[layer](x, scaled)
            if layer in self.upscale:
                x = self.upscale[layer](x)
        return self._image(self.tail(x), lr)

    def sisr(self, lr: Tensor) -> Tensor:
        """Return SR from LR alone, by the content extractor and its own tail (the warm-up)."""
        return self._image(self.content.sisr_tail(self.content(lr * 2 - 1)), lr)

    def _image(self, output: Tensor, lr: Tensor) -> Tensor:
        if not self.bicubic_skip:
            return (torch.tanh(output) + 1) / 2
        # With antialias, PyTorch's bicubic kernel is Pillow's (a = -0.5), that of LR↑.
        up = F.interpolate(lr, scale_factor=SCALE, mode="bicubic", antialias=True)
        return up + output / 2
