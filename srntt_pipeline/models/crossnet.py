"""CrossNet ×4 (Zheng et al., "CrossNet", ECCV 2018): one reference, warped by flow at four scales.

Layers are those of the authors' code. Ours is what it leaves open: images of any size, references
of another size than HR, and where SISR comes from (theirs is MDSR's).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srntt_pipeline.models.content import SCALE, bicubic
from srntt_pipeline.models.registry import build_model, entry, register

_SLOPE = 0.1  # of LeakyReLU below 0
_STEP = 64  # px: the flow network halves images six times


def warped(x: Tensor, flow: Tensor) -> Tensor:
    """Return x [N, C, H, W] taken at each position + `flow` [N, 2, H, W], in positions: x, then y.

    Bilinear; what lies beyond a border is taken from the border (backward warping, section 3.2).
    """
    height, width = x.shape[2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    across = (columns + flow[:, 0]) * 2 / max(width - 1, 1) - 1
    down = (rows[:, None] + flow[:, 1]) * 2 / max(height - 1, 1) - 1
    grid = torch.stack([across, down], dim=3).to(x.dtype)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=True)


def centred(image: Tensor, height: int, width: int) -> Tensor:
    """Return an image of that size whose middle is that of `image`: cut, or its edge repeated."""
    top, left = (image.shape[2] - height) // 2, (image.shape[3] - width) // 2
    bottom, right = image.shape[2] - height - top, image.shape[3] - width - left
    apart = -left, -right, -top, -bottom
    image = F.pad(image, [min(side, 0) for side in apart])
    return F.pad(image, [max(side, 0) for side in apart], mode="replicate")


def _down(channels_in: int, channels_out: int, size: int, stride: int = 2) -> nn.Sequential:
    layer = nn.Conv2d(channels_in, channels_out, size, stride, padding=size // 2)
    return nn.Sequential(layer, nn.LeakyReLU(_SLOPE))


def _twice(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1)


def _selu(channels_in: int, channels_out: int, size: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(channels_in, channels_out, size, stride, padding=size // 2)
    return nn.Sequential(layer, nn.SELU())


class FlowNet(nn.Module):
    """Flow from the SISR image to Ref at 1, 1/2, 1/4 and 1/8 (FlowNetS, taken on to full size).

    `channels`: of the first convolution; others have up to 16 times as many.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        self.down = nn.ModuleList(
            [
                _down(6, c, 7),
                _down(c, 2 * c, 5),
                nn.Sequential(_down(2 * c, 4 * c, 5), _down(4 * c, 4 * c, 3, 1)),
                nn.Sequential(_down(4 * c, 8 * c, 3), _down(8 * c, 8 * c, 3, 1)),
                nn.Sequential(_down(8 * c, 8 * c, 3), _down(8 * c, 8 * c, 3, 1)),
                nn.Sequential(_down(8 * c, 16 * c, 3), _down(16 * c, 16 * c, 3, 1)),
            ]
        )
        # Coarse to fine: what a scale gets from below, beside its own features and flow.
        beside, up = [8 * c, 8 * c, 4 * c, 2 * c, c, 3], [4 * c, 4 * c, 2 * c, c, c, c]
        seen = [16 * c, *(own + given + 2 for own, given in zip(beside, up, strict=True))]
        self.heads = nn.ModuleList(nn.Conv2d(size, 2, 3, padding=1) for size in seen[:-1])
        self.enlarge_flow = nn.ModuleList(_twice(2, 2) for _ in up)
        self.enlarge = nn.ModuleList(
            nn.Sequential(_twice(size, given), nn.LeakyReLU(_SLOPE))
            for size, given in zip(seen, up, strict=False)
        )
        last = max(1, c // 4)
        self.last = nn.Sequential(
            _selu(seen[-1], last, 7), _selu(last, last, 7), nn.Conv2d(last, 2, 3, padding=1)
        )

    def forward(self, sisr: Tensor, ref: Tensor) -> list[Tensor]:
        """Return flow [N, 2, H/s, W/s], in positions, at s = 1, 2, 4, 8 of images [N, 3, H, W]."""
        x, features = torch.cat([sisr, ref], 1), [ref]
        for down in self.down:
            x = down(x)
            features.append(x)
        features.pop()
        flows = []
        for head, enlarge, enlarge_flow in zip(
            self.heads, self.enlarge, self.enlarge_flow, strict=True
        ):
            flows.append(head(x))
            x = torch.cat([features.pop(), enlarge(x), enlarge_flow(flows[-1])], 1)
        return [self.last(x), *reversed(flows[-3:])]


class Encoder(nn.Module):
    """Features of an image at 1, 1/2, 1/4 and 1/8, of `channels` each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = _selu(3, channels, 5)
        self.scales = nn.ModuleList(_selu(channels, channels, 5, s) for s in (1, 2, 2, 2))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return features [N, C, H/s, W/s] at s = 1, 2, 4, 8 of an image [N, 3, H, W]."""
        x, found = self.head(image), []
        for scale in self.scales:
            x = scale(x)
            found.append(x)
        return found


@register("crossnet", inputs="images", row="CrossNet")
class CrossNet(nn.Module):
    """Features of the SISR image and those of Ref, warped onto it, fused from 1/8 up (Figure 2).

    `channels`: of encoder and decoder; `flow_channels`: of the flow network's first convolution.
    `front`: the network that makes the SISR image, as `{"model": its name in the registry, "sizes":
    {…}}`; it learns nothing here. None: bicubic. `sisr_skip`: predict what the SISR image lacks,
    not the image itself as the paper.

    A reference of another size than HR is laid with its middle on that of HR: cut, or its edge
    repeated; so its scale stays. Images are padded to multiples of 64 px by their last row and
    column. The defaults have 35,081,377 weights without those of `front`. Raises ValueError for a
    front that is not fed with LR alone.
    """

    def __init__(
        self,
        channels: int = 64,
        flow_channels: int = 64,
        sisr_skip: bool = False,
        front: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.sisr_skip, self.front = sisr_skip, None
        if front is not None:
            if entry(front["model"]).inputs != "lr":
                raise ValueError(f"front {front['model']}: is not fed with LR alone")
            self.front = build_model(front["model"], front["sizes"]).requires_grad_(False)
        self.flow = FlowNet(flow_channels)
        self.encoder = Encoder(channels)
        self.decoder = nn.ModuleList(
            nn.Sequential(_twice(images * channels, channels), nn.SELU()) for images in (2, 3, 3)
        )
        self.fuse = _selu(3 * channels, channels, 5)
        self.image = nn.Conv2d(channels, 3, 5, padding=2)

    def train(self, mode: bool = True) -> "CrossNet":
        """Set training mode, but never of the front."""
        super().train(mode)
        if self.front is not None:
            self.front.eval()
        return self

    def forward(self, lr: Tensor, refs: Sequence[Tensor]) -> Tensor:
        """Return SR [N, 3, 4h, 4w], about [0, 1], not clipped.

        `lr`: [N, 3, h, w]; `refs`: one reference [N, 3, H, W] of any size; both in [0, 1].
        """
        sisr, ref = self._images(lr, refs)
        of_sisr = self.encoder(sisr)
        of_ref = map(warped, self.encoder(ref), self.flow(sisr, ref))
        pairs = [torch.cat(pair, 1) for pair in zip(of_sisr, of_ref, strict=True)]
        x = pairs.pop()  # at 1/8
        for decode in self.decoder:
            x = torch.cat([decode(x), pairs.pop()], 1)
        image: Tensor = self.image(self.fuse(x))
        if self.sisr_skip:
            image = image + sisr
        return _of_size(image, lr)

    def misfit(self, lr: Tensor, refs: Sequence[Tensor]) -> Tensor:
        """Return how ill Ref fits LR, [N]: mean squared error of warped Ref, made as small as LR.

        By this a reference is chosen of several without a look at HR. Ours: the paper takes that of
        the highest PSNR against HR.
        """
        sisr, ref = self._images(lr, refs)
        seen = _of_size(warped(ref, self.flow(sisr, ref)[0]), lr)
        return (bicubic(seen, 1 / SCALE) - lr).square().mean((1, 2, 3))

    def _images(self, lr: Tensor, refs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the SISR image and Ref, laid on it, both padded."""
        (ref,) = refs
        if self.front is None:
            sisr = bicubic(lr)
        else:
            with torch.no_grad():
                sisr = self.front(lr)
        height, width = sisr.shape[2:]
        beyond = [0, -width % _STEP, 0, -height % _STEP]
        images = sisr, centred(ref, height, width)
        padded, other = (F.pad(image, beyond, mode="replicate") for image in images)
        return padded, other


def _of_size(image: Tensor, lr: Tensor) -> Tensor:
    """Return the part of a padded image that is SR of `lr`."""
    return image[..., : SCALE * lr.shape[2], : SCALE * lr.shape[3]]
