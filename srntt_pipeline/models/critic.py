"""The critic of an adversarial loss (SRNTT: paper Eq. 9–10, layers of its released code).

With other sizes it is the discriminator of ENet (ICCV 2017, Table 2), which has the same layers as
the default here, and of SRGAN (CVPR 2017, Figure 4): 64 channels, 4 stages, batch norm.
"""

import torch
from torch import Tensor, nn

STAGES = 5  # each halves the image and doubles the channels


class Critic(nn.Module):
    """D: an image to a number, higher for what looks like HR.

    `stages` times conv3×3, LeakyReLU 0.2, conv3×3 of stride 2, LeakyReLU 0.2, with `channels`·2^i
    channels; then 1024 values, then one. No sigmoid: the losses take it in. `side`: of the square
    images it takes, px. `batch_norm`: after each convolution but the first, by the statistics of
    the batch; none for a gradient penalty, which is one sample's. `kaiming`: draw the weights of
    all layers but the last so that values keep their size from layer to layer; by PyTorch's own
    start they shrink, and a standard critic learns next to nothing in its first hundred steps.
    """

    def __init__(
        self,
        side: int,
        channels: int = 32,
        stages: int = STAGES,
        batch_norm: bool = False,
        kaiming: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        depth = 3
        for stage in range(stages):
            wide = channels * 2**stage
            for stride in (1, 2):
                normed = batch_norm and bool(layers)
                layers.append(nn.Conv2d(depth, wide, 3, stride, padding=1, bias=not normed))
                if normed:
                    layers.append(nn.BatchNorm2d(wide, track_running_stats=False))
                layers.append(nn.LeakyReLU(0.2))
                depth = wide
            side = (side + 1) // 2
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(depth * side * side, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1)
        )
        for layer in [*self.features, self.head[0]] if kaiming else []:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, 0.2)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor, parts: int = 1) -> Tensor:
        """Map images [N, 3, side, side] in [-1, 1] to [N].

        `parts`: of so many equal parts of the batch each is normed by itself.
        """
        judged = [self.head(self.features(part).flatten(1)) for part in images.chunk(parts)]
        return torch.cat(judged)[:, 0]
