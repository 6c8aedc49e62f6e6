"""TTSR ×4 (Yang et al., "Learning Texture Transformer Network", CVPR 2020), on raw references.

Layers are those of the authors' code. Its search is our exact one, in any number of references of
any sizes at once. `ttsr-rec` is the same network, trained on the reconstruction loss alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from srntt_pipeline.maps import CELLS, LAYERS, MEAN, STD, STRIDE, Maps, maps_of
from srntt_pipeline.models.attention import HardAttention
from srntt_pipeline.models.content import PAPER, SCALE, bicubic, conv, residual_body, upscale_2x
from srntt_pipeline.models.registry import register

_DEEPEST = LAYERS[0]  # relu3_1, on which is searched


class Extractor(nn.Module):
    """Learnable maps on relu1_1, relu2_1, relu3_1 (section 3.1.1).

    `features` have the layers of VGG19 up to relu3_1, in its order; `channels`: of its blocks.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        seen = 3
        for wide in channels:
            if layers:
                layers += [conv(seen, seen), nn.ReLU(), nn.MaxPool2d(2)]
            layers += [conv(seen, wide), nn.ReLU()]
            seen = wide
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Maps:
        """Return maps [N, C, H/s, W/s] by layer, s = 1, 2, 4, of images [N, 3, H, W] in [0, 1]."""
        mean, std = (images.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        return maps_of(self.features, (images - mean) / std, LAYERS)


class Exchange(nn.Module):
    """Cross-scale feature integration (section 3.2): each scale sees the others, made its size."""

    def __init__(self, channels: int, scales: int) -> None:
        super().__init__()
        self.paths = nn.ModuleDict()
        for source in range(scales):
            for target in range(scales):
                layers: list[nn.Module] = []
                if source < target:
                    layers = [
                        Enlarge(2 ** (target - source)),
                        conv(channels, channels, 1),
                        nn.ReLU(),
                    ]
                for _ in range(source - target):
                    halve = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
                    layers += [halve, nn.ReLU()]
                if layers:
                    self.paths[f"{source}to{target}"] = nn.Sequential(*layers)
        self.merge = nn.ModuleList(conv(scales * channels, channels) for _ in range(scales))

    def forward(self, scales: Sequence[Tensor]) -> list[Tensor]:
        """Map features at ×1, ×2, …, [N, C, h·s, w·s], to as many of the same sizes."""
        return [
            torch.relu(merge(torch.cat([scales[target], *self._others(scales, target)], 1)))
            for target, merge in enumerate(self.merge)
        ]

    def _others(self, scales: Sequence[Tensor], target: int) -> list[Tensor]:
        return [
            self.paths[f"{source}to{target}"](x)
            for source, x in enumerate(scales)
            if source != target
        ]


class Enlarge(nn.Module):
    """Bicubic enlargement by PyTorch's own kernel (a = -0.75), as in the authors' code."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, h, w] to [N, C, s·h, s·w]."""
        return F.interpolate(x, scale_factor=self.scale, mode="bicubic") if self.scale > 1 else x


class Stage(nn.Module):
    """A scale joins: T comes in, weighed by S; scales exchange; each has its residual blocks."""

    def __init__(self, channels: int, texture: int, scales: int, blocks: int) -> None:
        super().__init__()
        self.enlarge = upscale_2x(channels) if scales > 1 else nn.Identity()
        self.join = conv(channels + texture, channels)
        self.weigh = Enlarge(2 ** (scales - 1))
        self.exchange = Exchange(channels, scales) if scales > 1 else nn.Identity()
        self.bodies = nn.ModuleList(residual_body(channels, blocks, PAPER) for _ in range(scales))

    def forward(self, scales: list[Tensor], texture: Tensor, relevance: Tensor) -> list[Tensor]:
        """Return features at all scales, one more than given, but of the first stage."""
        x = self.enlarge(scales[-1])
        x = x + self.join(torch.cat([x, texture], 1)) * self.weigh(relevance)
        scales = [*scales, x] if len(self.bodies) > len(scales) else [x]
        inner = self.exchange(scales)
        return [x + body(seen) for x, body, seen in zip(scales, self.bodies, inner, strict=True)]


@register("ttsr-rec", inputs="images", row="TTSR-rec", references="many")
@register("ttsr", inputs="images", row="TTSR", references="many")
class TTSR(nn.Module):
    """A texture transformer: learnt maps, hard and soft attention, three scales (Figures 2–4).

    `channels`: of the backbone; `blocks`: its residual blocks before the first stage and in the
    stages at ×1, ×2, ×4; `texture`: channels of the extractor, VGG19's unless told; `bicubic_skip`:
    predict what LR↑ lacks, not the image itself as the paper.

    Ref is cut at the right and the bottom to multiples of 4 px; a side below 4 px is enlarged. LR↑
    and Ref↓↑ are bicubic and not rounded to 8 bits. The defaults have 6,729,603 weights, 555,328
    of them the extractor's.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: Sequence[int] = (16, 16, 8, 4),
        texture: Sequence[int] = (64, 128, 256),
        bicubic_skip: bool = False,
    ) -> None:
        super().__init__()
        self.bicubic_skip = bicubic_skip
        self.extractor = Extractor(texture)
        self.head = nn.Sequential(conv(3, channels), nn.ReLU())
        first, *others = blocks
        self.body = residual_body(channels, first, PAPER)
        self.stages = nn.ModuleList(
            Stage(channels, wide, scales, count)
            for scales, (wide, count) in enumerate(
                zip(reversed(texture), others, strict=True), start=1
            )
        )
        self.merge = nn.ModuleList(
            nn.Sequential(Enlarge(scale), conv(channels, channels, 1), nn.ReLU())
            for scale in (4, 2)
        )
        self.tail = nn.Sequential(
            conv(3 * channels, channels), nn.ReLU(), conv(channels, channels // 2),
            conv(channels // 2, 3, 1),
        )  # fmt: skip

    def forward(self, lr: Tensor, refs: Sequence[Tensor]) -> Tensor:
        """Return SR [N, 3, 4h, 4w], about [0, 1].

        `lr`: [N, 3, h, w]; `refs`: references [N, 3, H, W], each of any size; all in [0, 1].
        """
        return self.several(lr, refs)["sr"]

    def several(self, lr: Tensor, refs: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return SR under `sr`, as `forward` does, and T by layer, [N, C, h·s, w·s]."""
        refs = [_whole(ref) for ref in refs]
        queries = self.extractor(bicubic(lr))[_DEEPEST]
        keys = [self.extractor(bicubic(bicubic(ref, 1 / SCALE)))[_DEEPEST] for ref in refs]
        values = [self.extractor(ref) for ref in refs]
        attention = HardAttention(queries, keys)
        texture = {
            layer: attention.transferred([maps[layer] for maps in values], CELLS[layer])
            for layer in LAYERS
        }
        return {"sr": self._restored(lr, texture, attention.relevance()), **texture}

    def _restored(self, lr: Tensor, texture: Maps, relevance: Tensor) -> Tensor:
        head = self.head(lr * 2 - 1)
        scales = [head + self.body(head)]
        for stage, layer in zip(self.stages, LAYERS, strict=True):
            scales = stage(scales, texture[layer], relevance)
        *coarse, x = scales
        merged = [merge(one) for merge, one in zip(self.merge, coarse, strict=True)]
        image: Tensor = self.tail(torch.cat([x, *merged], 1))
        if self.bicubic_skip:
            return bicubic(lr) + image / 2
        return (image.clamp(-1, 1) + 1) / 2

    def own_maps(self, images: Tensor) -> Maps:
        """Return the extractor's maps of images [N, 3, H, W] in [0, 1], its weights held fast.

        For the transferal perceptual loss: it has a gradient to the images alone.
        """
        held = {name: weight.detach() for name, weight in self.extractor.named_parameters()}
        maps: Maps = functional_call(self.extractor, held, (images,))
        return maps

    def matching_layers(self) -> nn.Sequential:
        """Return the extractor's layers, for a search of matches outside of the network."""
        return self.extractor.features


def _whole(ref: Tensor) -> Tensor:
    """Return a reference whose sides are multiples of 4 px."""
    sides = [max(side, STRIDE) for side in ref.shape[2:]]
    if sides != list(ref.shape[2:]):
        ref = F.interpolate(ref, size=sides, mode="bicubic", antialias=True)
    height, width = (side // STRIDE * STRIDE for side in sides)
    return ref[..., :height, :width]
