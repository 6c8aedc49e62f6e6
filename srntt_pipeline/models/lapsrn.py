"""LapSRN ×4 (Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate SR", CVPR 2017)."""

import torch
from torch import Tensor, nn

from srntt_pipeline.models.content import conv
from srntt_pipeline.models.luma import OnLuma
from srntt_pipeline.models.registry import register

_SLOPE = 0.2  # of LeakyReLU below 0


class Level(nn.Module):
    """×2: features, enlarged by a transposed convolution, and what the image lacks (Figure 1)."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(blocks):
            layers += [conv(channels, channels), nn.LeakyReLU(_SLOPE)]
        self.features = nn.Sequential(*layers)
        self.enlarge = nn.ConvTranspose2d(channels, channels, 3, stride=2)
        self.activate = nn.LeakyReLU(_SLOPE)
        self.residual = conv(channels, 1)
        self.image = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)

    def start(self) -> None:
        """Set first weights with which the level enlarges the image, and adds next to nothing."""
        line = torch.tensor([0.25, 0.75, 0.75, 0.25])
        with torch.no_grad():
            self.image.weight.copy_(line[:, None] * line)  # bilinear interpolation
        nn.init.normal_(self.residual.weight, std=1e-3)
        assert self.residual.bias is not None
        nn.init.zeros_(self.residual.bias)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map features [N, C, h, w] and Y [N, 1, h, w] to those of twice the size."""
        # It makes one row and column more, at the end.
        x = self.activate(self.enlarge(self.features(x))[..., :-1, :-1])
        return x, self.image(y) + self.residual(x)


@register("lapsrn", inputs="lr", row="LapSRN")
class LapSRN(OnLuma):
    """Two levels ×2 on Y, each with an image of its own (section 3.1).

    `channels`: of all features; `blocks`: convolutions of a level before it enlarges. Beyond an
    image lie zeros, as in the authors' network: so its outermost pixels are dark.
    """

    def __init__(self, channels: int = 64, blocks: int = 10) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(1, channels), nn.LeakyReLU(_SLOPE))
        self.levels = nn.ModuleList(Level(channels, blocks) for _ in range(2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, _SLOPE)
                nn.init.zeros_(module.bias)
        for level in self.levels:
            assert isinstance(level, Level)
            level.start()

    def luma_of(self, y: Tensor) -> Tensor:
        """Return Y of SR, [N, 1, 4h, 4w], of Y of LR, [N, 1, h, w]."""
        return self.steps_of(y)["sr"]

    def steps_of(self, y: Tensor) -> dict[str, Tensor]:
        """Return Y at ×2, `x2` [N, 1, 2h, 2w], and of SR, `sr`, of Y of LR."""
        x, images = self.head(y), []
        for level in self.levels:
            x, y = level(x, y)
            images.append(y)
        return dict(zip(("x2", "sr"), images, strict=True))
