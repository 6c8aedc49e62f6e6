"""VGG19's layers, each in the way that is fastest where it runs (measured: docs/swaps.md).

On a CPU, float32: 3×3 convolutions by Winograd's minimal filtering, F(6×6, 3×3), which NNPACK does
in PyTorch. It takes a fifth of the multiplications of the definition, and differs from it by 4e-6
of the result's norm, where oneDNN's direct sums differ by 2e-7. The choice depends on the build of
PyTorch and on nothing else: neither on sizes nor on threads, whose number changes no bit.
"""

import functools
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srntt_pipeline.errors import InputError
from srntt_pipeline.maps import INDEX, MEAN, STD, EncoderIdentity

EncoderPrecision = Literal["float32", "bfloat16"]

# On a CPU what a convolution takes beside its maps is several times these. So maps go through it in
# strips of about so many values of a channel, with rows that Winograd's tiles of 6×6 divide.
_STRIP, _TILE = 1 << 15, 6
_LEAST_CHANNELS = 16  # below, there is less to save than the transforms cost


class Layers(nn.Module):
    """The layers of VGG19 up to relu3_1, `features`, one by one; `precision`: of convolutions."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        features: nn.Sequential,
        identity: EncoderIdentity,
        precision: EncoderPrecision = "float32",
    ) -> None:
        super().__init__()
        self.features = features
        self.identity, self.precision = identity, precision
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def standardised(self, images: Tensor) -> Tensor:
        """Return images [N, 3, H, W] in [0, 1] as the first layer takes them."""
        return (images - self.mean) / self.std

    def convolve(self, maps: Tensor, layer: str) -> Tensor:
        """Return the maps of `layer` from what its convolution is fed with, at any size."""
        return self._convolve(maps, INDEX[layer] - 1)

    def relu1_2(self, relu1_1: Tensor) -> Tensor:
        """Return relu1_2 [N, 64, H, W], which is pooled for relu2_1's convolution."""
        # From here on in the precision asked for: pixels in bfloat16 would spoil relu1_1, which
        # takes little time.
        if self.precision == "bfloat16":
            relu1_1 = relu1_1.to(torch.bfloat16, memory_format=torch.channels_last)
        return self._convolve(relu1_1, INDEX["relu1_1"] + 1)

    def relu2_2(self, relu2_1: Tensor) -> Tensor:
        """Return relu2_2 [N, 128, H/2, W/2], which is pooled for relu3_1's convolution."""
        return self._convolve(relu2_1, INDEX["relu2_1"] + 1)

    def relu3_1_of(self, seen: Tensor) -> Tensor:
        """Return relu3_1 [n, 256] from the 3×3 pooled values that each sees, [n, 3·3·128]."""
        layer = self.features[INDEX["relu3_1"] - 1]
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        weight = layer.weight.permute(0, 2, 3, 1).flatten(1)
        return F.linear(seen, weight.to(seen.dtype), layer.bias.to(seen.dtype)).relu_()

    def check(self, maps: Tensor) -> None:
        """Raise InputError where these maps are no numbers."""
        # All layers end in a ReLU, so the largest value tells of infinity too, and NaN is largest.
        if not bool(maps.amax().isfinite()):
            raise InputError(
                f"{self.identity.option}: {self.identity} gives maps that are no numbers; use "
                "another file"
            )

    def _convolve(self, maps: Tensor, index: int) -> Tensor:
        layer = self.features[index]
        assert isinstance(layer, nn.Conv2d)
        return _convolve(maps, layer)


def _convolve(maps: Tensor, layer: nn.Conv2d) -> Tensor:
    """Return ReLU(`layer`(maps)), [N, C', H, W], in the type and memory format of `maps`."""
    count, _, height, width = maps.shape
    rows = max(1, _STRIP // (count * width * _TILE)) * _TILE
    if maps.device.type != "cpu" or height <= rows:
        return _convolve_at_once(maps, layer, (1, 1))
    layout = torch.contiguous_format if maps.dtype == torch.float32 else torch.channels_last
    size = (count, layer.out_channels, height, width)
    result = torch.empty(size, dtype=maps.dtype, memory_format=layout)
    for top in range(0, height, rows):
        end = min(top + rows, height)
        first, last = int(top == 0), int(end == height)
        seen = F.pad(maps[:, :, top - 1 + first : end + 1 - last], (0, 0, first, last))
        result[:, :, top:end] = _convolve_at_once(seen, layer, (0, 1))
    return result


def _convolve_at_once(maps: Tensor, layer: nn.Conv2d, padding: tuple[int, int]) -> Tensor:
    """Return the same of maps that are padded with so many rows and columns of zeros."""
    weight, bias = layer.weight, layer.bias
    assert bias is not None
    plain = maps.dtype == torch.float32 and maps.device.type == "cpu"
    if plain and layer.in_channels >= _LEAST_CHANNELS and _has_winograd():
        maps = maps.contiguous()
        return torch._nnpack_spatial_convolution(maps, weight, bias, padding=padding).relu_()
    return F.conv2d(maps, weight.to(maps.dtype), bias.to(maps.dtype), padding=padding).relu_()


@functools.cache
def _has_winograd() -> bool:
    """Tell whether this build of PyTorch has NNPACK, and this processor what it needs.

    Asking readies NNPACK: without it, its convolutions fail.
    """
    return hasattr(torch, "_nnpack_spatial_convolution") and torch.backends.nnpack.is_available()


def pool(maps: Tensor, down: int = 0, right: int = 0) -> Tensor:
    """Return the largest of every 2×2 values of `maps` [N, C, H, W], from `down` and `right` on.

    [N, C, (H - down) // 2, (W - right) // 2]: a last row or column without a partner is left out.
    """
    if maps.device.type != "cpu" or maps.dtype != torch.float32:
        return F.max_pool2d(maps[..., down:, right:], 2)
    # PyTorch's max_pool2d takes ten times as long on a CPU: it does not vectorise this layout.
    height, width = (maps.shape[2] - down) // 2 * 2, (maps.shape[3] - right) // 2 * 2
    maps = maps[..., down : down + height, right : right + width]
    rows = torch.maximum(maps[:, :, 0::2], maps[:, :, 1::2])
    return torch.maximum(rows[..., 0::2], rows[..., 1::2])
