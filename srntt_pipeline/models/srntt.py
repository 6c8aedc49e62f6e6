"""SRNTT: super-resolution by neural texture transfer (paper section 3.2, Eq. 4–5, Figure 3).

Top to bottom in the order of the paper: content extractor, texture transfer at three scales, tail.
One network for all of the paper's variants, which differ in layers, swaps and losses.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srntt_pipeline.maps import CHANNELS
from srntt_pipeline.models.content import (
    ContentExtractor,
    Layout,
    conv,
    from_tail,
    layout_of,
    residual_body,
    upscale_2x,
)
from srntt_pipeline.models.registry import register
from srntt_pipeline.variants import VARIANTS

# Adam moves each number by about its rate a step: 600 steps at 5e-4 moved a and b by 0.03 at most,
# and a sigmoid that tells good matches from bad ones is steeper by ten. So they go faster.
_GATE_PACE = 20.0


class TextureTransfer(nn.Module):
    """Res(ψ ‖ M) + ψ at one scale (Eq. 4, Figure 3)."""

    def __init__(self, channels: int, map_channels: int, blocks: int, layout: Layout) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(channels + map_channels, channels), nn.ReLU())
        self.body = residual_body(channels, blocks, layout)

    def forward(self, content: Tensor, maps: Tensor) -> Tensor:
        """Map ψ [N, C, H, W] and M [N, D, H, W] to [N, C, H, W]."""
        return self.body(self.head(torch.cat([content, maps], dim=1))) + content


class SRNTT(nn.Module):
    """Super-resolution by neural texture transfer, ×4.

    `channels`: of all residual blocks; `blocks`: in the content extractor and at relu3_1, relu2_1,
    relu1_1; `bicubic_skip`: predict what LR↑ lacks instead of the image (no tanh then, which would
    bound a difference); `weight_maps`: multiply the maps by the weight map S*, which the released
    code offers to soften the effect of bad matches, at some cost in sharpness; `gate`: by
    sigmoid(a·S* + b) instead, as that code can, S* being enlarged by bicubic interpolation, a and b
    being learnt for each layer; `batch_norm`: in each residual block; `layers`: those whose maps
    are transferred (Table 3), all scales being upscaled in any case; `architecture`: `paper`, or
    `released`, that of the paper's code: batch norm after each convolution of a body, the closing
    one too, no bias before it, and a 1×1 convolution that makes the image.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: Sequence[int] = (16, 16, 8, 4),
        bicubic_skip: bool = False,
        weight_maps: bool = False,
        batch_norm: bool = False,
        layers: Sequence[str] = tuple(CHANNELS),
        architecture: str = "paper",
        gate: bool = False,
    ) -> None:
        super().__init__()
        if not set(layers) <= set(CHANNELS):
            raise ValueError(f"layers {list(layers)}: not all of {list(CHANNELS)}")
        self.bicubic_skip, self.weight_maps = bicubic_skip, weight_maps
        layout = layout_of(architecture, batch_norm)
        self.content = ContentExtractor(channels, blocks[0], layout)
        self.transfer = nn.ModuleDict(
            {
                layer: TextureTransfer(channels, depth, count, layout)
                for (layer, depth), count in zip(CHANNELS.items(), blocks[1:], strict=True)
                if layer in layers
            }
        )
        self.upscale = nn.ModuleDict(
            {layer: upscale_2x(channels) for layer in ("relu3_1", "relu2_1")}
        )
        half = channels // 2
        self.tail = nn.Sequential(conv(channels, half), conv(half, 3, layout.last))
        start = torch.tensor([1.0, 0.0]) / _GATE_PACE  # a = 1, b = 0, as the released code
        self.gate = nn.ParameterDict({layer: start.clone() for layer in self.transfer if gate})
        # Maps of different layers and encoders differ by orders of magnitude; see set_map_scales.
        for layer in CHANNELS:
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
        x = self.extract(lr)
        for layer in CHANNELS:
            x = self.join(layer, x, maps[layer], weight)
        return self.finish(x, lr)

    # The stages of `forward`, for tiled inference: each sees a bounded surrounding of its output.

    def extract(self, lr: Tensor) -> Tensor:
        """Return ψ_0 [N, C, h, w] of LR [N, 3, h, w] in [0, 1]."""
        return self.content(lr * 2 - 1)

    def join(self, layer: str, x: Tensor, maps: Tensor, weight: Tensor) -> Tensor:
        """Return ψ after the texture transfer at `layer`, at the size of the next one.

        `x`: ψ before it, at the size of `maps`; arguments and sizes as in `forward`.
        """
        if layer in self.transfer:
            x = self._transfer(layer, x, maps, weight)
        return self.upscale[layer](x) if layer in self.upscale else x

    def _transfer(self, layer: str, x: Tensor, maps: Tensor, weight: Tensor) -> Tensor:
        scaled = maps * getattr(self, f"{layer}_scale")
        if layer in self.gate:
            slope, offset = _GATE_PACE * self.gate[layer]
            enlarged = F.interpolate(weight, size=scaled.shape[2:], mode="bicubic")
            scaled = scaled * torch.sigmoid(slope * enlarged + offset)
        elif self.weight_maps:
            scaled = scaled * F.interpolate(weight, size=scaled.shape[2:], mode="nearest")
        transferred: Tensor = self.transfer[layer](x, scaled)
        return transferred

    def finish(self, x: Tensor, lr: Tensor) -> Tensor:
        """Return SR [N, 3, 4h, 4w] from the last ψ [N, C, 4h, 4w]."""
        return from_tail(self.tail(x), lr, self.bicubic_skip)

    def sisr(self, lr: Tensor) -> Tensor:
        """Return SR from LR alone, by the content extractor and its own tail (the warm-up)."""
        output = self.content.sisr_tail(self.content(lr * 2 - 1))
        return from_tail(output, lr, self.bicubic_skip)


for _variant in VARIANTS.values():
    register(_variant.name, inputs="maps", row=_variant.method)(SRNTT)
