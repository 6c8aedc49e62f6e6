"""SRCNN ×4 (Dong et al., "Image Super-Resolution Using Deep Convolutional Networks", PAMI 2016)."""

from torch import Tensor, nn

from srntt_pipeline.models.content import bicubic
from srntt_pipeline.models.luma import OnLuma
from srntt_pipeline.models.registry import register


def _conv(channels_in: int, channels_out: int, size: int) -> nn.Conv2d:
    """Return a convolution that keeps the size, of first weights as the paper's (section 3.3)."""
    made = nn.Conv2d(
        channels_in, channels_out, size, padding=size // 2, padding_mode="replicate"
    )  # fmt: skip
    nn.init.normal_(made.weight, std=1e-3)
    assert made.bias is not None
    nn.init.zeros_(made.bias)
    return made


@register("srcnn", inputs="lr", row="SRCNN")
class SRCNN(OnLuma):
    """Three convolutions on Y of bicubic LR↑: patches, their mapping, the image (section 3.1).

    `kernels`: their sizes, 9-5-5 or, of fewer weights, 9-3-5 and 9-1-5 (section 4.3.2);
    `channels`: n1 and n2; `bicubic_skip`: LR↑ is added to what they make, which the paper does not.
    Each layer's borders are replicated, as in the authors' test code; a loss
    with a border as far as it sees is that of the network without padding, which they train.
    """

    def __init__(
        self,
        kernels: tuple[int, ...] = (9, 5, 5),
        channels: tuple[int, ...] = (64, 32),
        bicubic_skip: bool = False,
    ) -> None:
        super().__init__()
        if not all(size % 2 and 0 < size < 99 for size in kernels):
            raise ValueError(f"kernels {kernels} are not odd, or above 97")
        self.bicubic_skip = bicubic_skip
        first, second, third = kernels
        many, few = channels
        self.layers = nn.Sequential(
            _conv(1, many, first), nn.ReLU(), _conv(many, few, second), nn.ReLU(),
            _conv(few, 1, third),
        )  # fmt: skip

    def luma_of(self, y: Tensor) -> Tensor:
        """Return Y of SR, [N, 1, 4h, 4w], of Y of LR, [N, 1, h, w]."""
        enlarged = bicubic(y)
        sr: Tensor = self.layers(enlarged)
        return sr + enlarged if self.bicubic_skip else sr
