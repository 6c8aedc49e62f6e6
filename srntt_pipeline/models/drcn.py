"""DRCN (Kim et al., "Deeply-Recursive Convolutional Network for Image SR", CVPR 2016)."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from srntt_pipeline.models.content import bicubic, conv
from srntt_pipeline.models.luma import OnLuma
from srntt_pipeline.models.registry import register


@register("drcn", inputs="lr", row="DRCN")
class DRCN(OnLuma):
    """One convolution, applied again and again to Y of LR↑; each time an image (Figure 3).

    `channels`: F of all features; `depth`: how often it is applied. SR is the mean of all images by
    learnt weights. An image is what the last two convolutions make of the features, added to Y of
    LR↑: so the kernels have 1,774,080 numbers (published: 1.77 M), and with biases and the weights
    of the mean there are 1,775,121. The paper leaves open how the input joins; behind a
    concatenation there would be more.
    """

    def __init__(self, channels: int = 256, depth: int = 16) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth is {depth}, below 1")
        self.embed = nn.Sequential(
            conv(1, channels), nn.ReLU(), conv(channels, channels), nn.ReLU()
        )
        self.again = conv(channels, channels)
        self.restore = nn.Sequential(conv(channels, channels), nn.ReLU(), conv(channels, 1))
        self.shares = nn.Parameter(torch.full((depth,), 1 / depth))
        for module in [*self.embed, *self.restore]:
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        # At first, features stay what they are (section 4.2).
        nn.init.dirac_(self.again.weight)
        nn.init.zeros_(self.again.bias)  # type: ignore[arg-type]

    def luma_of(self, y: Tensor) -> Tensor:
        """Return Y of SR, [N, 1, 4h, 4w], of Y of LR, [N, 1, h, w]."""
        total = sum(
            share * image for share, image in zip(self.shares, self._images(y), strict=True)
        )
        assert isinstance(total, Tensor)
        return total / self.shares.sum()

    def steps_of(self, y: Tensor) -> dict[str, Tensor]:
        """Return Y of SR as `sr`, and of the image of each depth, `1`, `2`, …"""
        images = list(self._images(y))
        mean = (torch.stack(images, -1) * self.shares).sum(-1) / self.shares.sum()
        return {"sr": mean, **{str(depth): image for depth, image in enumerate(images, 1)}}

    def _images(self, y: Tensor) -> Iterator[Tensor]:
        """Yield Y of the image of each depth, [N, 1, 4h, 4w]."""
        enlarged = bicubic(y)
        x = self.embed(enlarged)
        for _ in self.shares:
            x = torch.relu(self.again(x))
            yield enlarged + self.restore(x)
