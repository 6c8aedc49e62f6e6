"""ENet ×4 (Sajjadi et al., "EnhanceNet", ICCV 2017): its variants differ in losses alone.

`enet` is ENet-PAT, of the paper's tables; `enet-e`, ENet-E, is trained on the squared error.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srntt_pipeline.models.content import SCALE, bicubic, conv
from srntt_pipeline.models.edsr import EdsrBlock
from srntt_pipeline.models.registry import register

COCO_MEAN = (0.47614917, 0.45001204, 0.40904046)  # RGB, of the photographs that the paper trains on
ARCHITECTURES = ("paper", "released")


@register("enet-e", inputs="lr", row="ENet-E")
@register("enet", inputs="lr", row="ENet")
class ENet(nn.Module):
    """What LR↑ lacks, by residual blocks and two nearest-neighbour enlargements (Table 1).

    `architecture`: which LR↑ the output is added to: `paper`, bicubic as everywhere here, or
    `released`, that of TensorFlow 1, by which the published weights were trained. The defaults have
    852,867 weights, as the published file.
    """

    def __init__(self, channels: int = 64, blocks: int = 10, architecture: str = "paper") -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f"architecture {architecture}: neither paper nor released")
        self.enlarge = bicubic if architecture == "paper" else tensorflow_bicubic
        self.head = nn.Sequential(conv(3, channels), nn.ReLU())
        self.body = nn.Sequential(*(EdsrBlock(channels, 1.0) for _ in range(blocks)))
        self.tail = nn.Sequential(
            *_twice(channels), *_twice(channels), conv(channels, channels), nn.ReLU(),
            conv(channels, 3),
        )  # fmt: skip

    def forward(self, lr: Tensor) -> Tensor:
        """Return SR [N, 3, 4h, 4w], about [0, 1], not clipped, of LR [N, 3, h, w] in [0, 1]."""
        mean = torch.tensor(COCO_MEAN, dtype=lr.dtype, device=lr.device)[:, None, None]
        lacking: Tensor = self.tail(self.body(self.head(lr - mean)))
        return self.enlarge(lr) + lacking


def _twice(channels: int) -> list[nn.Module]:
    return [nn.Upsample(scale_factor=2), conv(channels, channels), nn.ReLU()]


def tensorflow_bicubic(lr: Tensor) -> Tensor:
    """Return LR [N, C, h, w] enlarged to [N, C, 4h, 4w] as `resize_images` of TensorFlow 1 does it.

    Its kernel has a = -0.75, borders are replicated, and pixel 4i of the result lies on pixel i of
    LR, so the image is 1.5 px up and left of where other interpolations have it.
    """
    steps = torch.arange(SCALE, dtype=torch.float64) / SCALE
    distance = (steps[:, None] - torch.arange(-1, 3)).abs()
    near = 1.25 * distance**3 - 2.25 * distance**2 + 1
    far = -0.75 * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    taps = torch.where(distance <= 1, near, far)  # of each of the four places between two pixels
    kernels = taps[:, None, :, None] * taps[None, :, None, :]
    channels, (height, width) = lr.shape[1], lr.shape[2:]
    padded = F.pad(lr, (1, 2, 1, 2), mode="replicate").reshape(-1, 1, height + 3, width + 3)
    values = F.conv2d(padded, kernels.reshape(SCALE**2, 1, 4, 4).to(lr))
    return F.pixel_shuffle(values, SCALE).reshape(-1, channels, SCALE * height, SCALE * width)
