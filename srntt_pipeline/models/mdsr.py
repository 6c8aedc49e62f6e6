"""MDSR: ×2, ×3 and ×4 in one network (Lim et al., CVPRW 2017, sections 3.3 and 4, Figure 5)."""

import torch
from torch import Tensor, nn

from srntt_pipeline.models.content import SCALE, conv
from srntt_pipeline.models.edsr import DIV2K_MEAN, EdsrBlock
from srntt_pipeline.models.registry import register

SCALES = (2, 3, 4)


@register("mdsr", inputs="lr", row="MDSR")
class MDSR(nn.Module):
    """Parts of each scale at both ends, and residual blocks under a long skip that all share.

    `blocks`: 80 is MDSR, 16 its baseline; `res_scale`: what a block adds is multiplied by it. Of
    `scales` 4 is one, by which SR is made. With ×2, ×3 and ×4 the defaults have 7,953,987 weights
    (published: 7.95 M), the baseline 3,227,203 (3.23 M).
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: int = 80,
        res_scale: float = 1.0,
        scales: tuple[int, ...] = SCALES,
    ) -> None:
        super().__init__()
        if not {SCALE} <= set(scales) <= set(SCALES) or len(set(scales)) < len(scales):
            raise ValueError(f"scales {list(scales)}: 4, and beside it some of 2 and 3")
        self.head = conv(3, channels)
        self.before = nn.ModuleDict({str(scale): _before(channels) for scale in scales})
        self.body = nn.Sequential(
            *(EdsrBlock(channels, res_scale) for _ in range(blocks)), conv(channels, channels)
        )
        self.enlarge = nn.ModuleDict({str(scale): _enlarge(channels, scale) for scale in scales})
        self.tail = conv(channels, 3)

    def forward(self, lr: Tensor, scale: int = SCALE) -> Tensor:
        """Return SR [N, 3, s·h, s·w], about [0, 1], not clipped, of LR [N, 3, h, w] in [0, 1].

        `scale`: s, one of `scales`.
        """
        mean = torch.tensor(DIV2K_MEAN, dtype=lr.dtype, device=lr.device)[:, None, None]
        x = self.before[str(scale)](self.head(lr - mean))
        sr: Tensor = self.tail(self.enlarge[str(scale)](x + self.body(x))) + mean
        return sr


def _before(channels: int) -> nn.Sequential:
    """Return the two residual blocks of a scale, which see far: their convolutions are 5×5."""
    return nn.Sequential(*(EdsrBlock(channels, 1.0, 5) for _ in range(2)))


def _enlarge(channels: int, scale: int) -> nn.Sequential:
    """Return the sub-pixel convolutions of a scale: of ×4 two."""
    steps = (2, 2) if scale == 4 else (scale,)
    layers: list[nn.Module] = []
    for step in steps:
        layers += [conv(channels, step**2 * channels), nn.PixelShuffle(step)]
    return nn.Sequential(*layers)
