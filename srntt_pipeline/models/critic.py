"""The critic of WGAN-GP (paper Eq. 9–10; layers: those of the paper's released code)."""

from torch import Tensor, nn

STAGES = 5  # each halves the image and doubles the channels


class Critic(nn.Module):
    """D: an image to a number, higher for what looks like HR.

    Five times conv3×3, LeakyReLU 0.2, conv3×3 of stride 2, LeakyReLU 0.2, with `channels`·2^i
    channels; then 1024 values, then one. No batch norm, since the gradient penalty is one sample's,
    and no sigmoid. `side`: of the square images it takes, px.
    """

    def __init__(self, side: int, channels: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        depth = 3
        for stage in range(STAGES):
            wide = channels * 2**stage
            layers += [nn.Conv2d(depth, wide, 3, padding=1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(wide, wide, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            depth, side = wide, (side + 1) // 2
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(depth * side * side, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images [N, 3, side, side] in [-1, 1] to [N]."""
        return self.head(self.features(images).flatten(1))[:, 0]
