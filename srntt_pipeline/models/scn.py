"""SCN ×4 (Wang et al., "Deep Networks for Image SR with Sparse Prior", ICCV 2015)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srntt_pipeline.models.content import bicubic
from srntt_pipeline.models.luma import OnLuma
from srntt_pipeline.models.registry import register

PATCH = 5  # px a side of the patches that are put together
_WINDOW = 9  # px a side of what a patch is made from
_PAD = (_WINDOW + PATCH) // 2 - 1  # what the image gets on each side: 6
_GAIN = 1.1  # of a patch's differences, from those of the enlarged image
# Of first weights: deviations, large enough that codes exceed 1, or too small to matter; and how
# many times a difference, of all of norm 1, its code is.
_LARGE, _SMALL, _KEEN = 2.0, 0.01, 20.0


def _shrunk(values: Tensor) -> Tensor:
    """Return sign(a)·max(|a| − 1, 0) of each value a; of NaN, NaN."""
    return values - values.clamp(-1, 1)


class Stage(nn.Module):
    """One ×2 of the cascade: LISTA with two layers, whose patches of 5×5 overlap (section 3.1).

    An enlarged image is the mean of its patches' means and differences from these. The means are
    left; of each patch's differences the direction is made anew, from the sparse code of the 9×9
    around it, and the norm is kept, times 1.1.
    """

    def __init__(self, features: int, codes: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, features, _WINDOW, bias=False)
        self.encode = nn.Conv2d(features, codes, 1, bias=False)
        self.again = nn.Conv2d(codes, codes, 1, bias=False)
        self.decode = nn.Conv2d(codes, PATCH**2, 1, bias=False)
        self.shares = nn.Parameter(torch.full((PATCH**2,), 1 / PATCH**2))
        self._start(min(features, codes, PATCH**2))

    @torch.no_grad()
    def _start(self, kept: int) -> None:
        """Set first weights: the first codes are nearly the differences that they stand for.

        The paper starts from dictionaries of sparse codes, which are not learnt here.
        """
        margin = (_WINDOW - PATCH) // 2
        features, each = self.features.weight, torch.eye(PATCH**2) - 1 / PATCH**2
        features -= features.mean((2, 3), keepdim=True)  # of contrast, not of brightness
        features[:kept] = F.pad(each.view(-1, 1, PATCH, PATCH)[:kept], [margin] * 4)
        nn.init.normal_(self.encode.weight, std=_LARGE)
        nn.init.normal_(self.again.weight, std=_SMALL)
        nn.init.normal_(self.decode.weight, std=_SMALL)
        for number in range(kept):
            self.encode.weight[number] = 0
            self.encode.weight[number, number] = _KEEN
            self.decode.weight[number, number] = 1

    def forward(self, y: Tensor) -> Tensor:
        """Return Y [N, 1, H, W] of Y, enlarged before, [N, 1, H, W]."""
        padded = F.pad(y, [_PAD] * 4, mode="replicate")
        first = self.encode(F.normalize(self.features(padded)))
        code = _shrunk(self.again(_shrunk(first)) + first)
        margin = (_WINDOW - PATCH) // 2
        inner = padded[..., margin:-margin, margin:-margin]
        each = torch.eye(PATCH**2, dtype=y.dtype, device=y.device)
        differences = F.conv2d(inner, (each - 1 / PATCH**2).view(-1, 1, PATCH, PATCH))
        # Bounded below, since a root has no slope at 0.
        norm = differences.square().sum(1, keepdim=True).clamp_min(1e-12).sqrt()
        patches = F.normalize(self.decode(code)) * (_GAIN * norm)
        # Value i of a patch lies at its row i // 5 and column i % 5: so it comes from there.
        shares = (each * self.shares).view(1, -1, PATCH, PATCH).flip(2, 3)
        mean = F.avg_pool2d(F.avg_pool2d(inner, PATCH, 1), PATCH, 1)
        return mean + F.conv2d(patches, shares)


@register("scn", inputs="lr", row="SCN")
class SCN(OnLuma):
    """A cascade of two ×2, each on Y that bicubic interpolation enlarged (section 3.3).

    `features`: of a 9×9 window, of which the direction alone counts; `codes`: entries of the sparse
    code. The borders of an image are replicated.
    """

    def __init__(self, features: int = 100, codes: int = 128) -> None:
        super().__init__()
        if not (0 < features <= 4096 and 0 < codes <= 4096):
            raise ValueError(f"features {features} and codes {codes} are not between 1 and 4096")
        self.stages = nn.ModuleList(Stage(features, codes) for _ in range(2))

    def luma_of(self, y: Tensor) -> Tensor:
        """Return Y of SR, [N, 1, 4h, 4w], of Y of LR, [N, 1, h, w]."""
        for stage in self.stages:
            y = stage(bicubic(y, 2))
        return y
