"""Images and VGG19's maps as tensors: layers by name, their sizes, and pixels to tensors and back.

The one place that knows them; whatever encodes, swaps, trains or restores takes them from here.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    # Parameters name layers: `--help` reads this module, and need not wait for PyTorch.
    from torch import Tensor, nn

    from srntt_pipeline.images import RGB

# Maps by layer, [C, H, W] each, or [N, C, H, W].
Maps = dict[str, "Tensor"]

# Swapped maps join from LR size upwards: relu3_1 at LR size, relu2_1 at ×2, relu1_1 at ×4.
LAYERS = ("relu3_1", "relu2_1", "relu1_1")
CHANNELS = {"relu3_1": 256, "relu2_1": 128, "relu1_1": 64}
# Cells of a layer under one position of relu3_1, along each side; relu3_1 itself is HR / 4.
CELLS = {"relu3_1": 1, "relu2_1": 2, "relu1_1": 4}
# Pixels from one position of relu3_1 to the next: relu1_1 has a cell for each pixel.
STRIDE = CELLS["relu1_1"]
FLOAT_BYTES = 4  # of a value: maps are float32
# Values of all layers under one position of relu3_1.
VALUES = sum(CHANNELS[layer] * CELLS[layer] ** 2 for layer in LAYERS)
# Index of each layer among torchvision's vgg19().features.
INDEX = {
    "relu1_1": 1, "relu2_1": 6, "pool2": 9, "relu3_1": 11, "relu4_1": 20, "pool4": 27,
    "relu5_1": 29, "relu5_4": 35, "pool5": 36,
}  # fmt: skip

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as torchvision trains

CAFFE = "Caffe's"  # how the source of such an encoder begins


@dataclass(frozen=True)
class EncoderIdentity:
    """Which encoder made an output: its source and the hash of the parameters in use.

    `sha256` covers the parameters up to conv3_1 only, so a whole VGG19 file and one cut off there
    have the same.
    """

    source: str
    sha256: str

    def __str__(self) -> str:
        return f"VGG19, {self.source} (sha256 {self.sha256[:12]})"

    @property
    def option(self) -> str:
        """The option that names its weights."""
        return "--encoder-weights"

    @property
    def is_random(self) -> bool:
        """Whether the parameters are random, not learnt."""
        return self.source.startswith("random")

    @property
    def is_caffe(self) -> bool:
        """Whether the parameters are Caffe's, whose maps are larger than torchvision's."""
        return self.source.startswith(CAFFE)

    def as_dict(self) -> dict[str, str]:
        """Return the identity as JSON-able fields."""
        return asdict(self)


def maps_of(features: "nn.Sequential", images: "Tensor", layers: Collection[str]) -> Maps:
    """Return the maps on `layers` of standardised images; `features` begin as VGG19's do."""
    names = {INDEX[layer]: layer for layer in layers}
    maps, x = {}, images
    for index, layer in enumerate(features):
        x = layer(x)
        if index in names:
            maps[names[index]] = x
    return maps


def to_tensor(image: "RGB") -> "Tensor":
    """Return `image`, uint8 [H, W, 3], as float32 [3, H, W] in [0, 1]."""
    import torch

    return torch.from_numpy(image.copy()).permute(2, 0, 1).contiguous().float() / 255


def to_image(values: "Tensor") -> "RGB":
    """Return `values` [3, H, W], about [0, 1], clipped and rounded to uint8 [H, W, 3]."""
    pixels = values.clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return np.rint(pixels * 255).astype(np.uint8)
