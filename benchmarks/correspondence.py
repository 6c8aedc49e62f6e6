"""Matching on relu3_1, against unfolded patches and against patches as convolution kernels."""

import torch
from photographs import album
from timing import compare, parse
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.images import crop_to_multiple, downscale, upscale
from srntt_pipeline.swaps.correspondence import match
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.references import down_up


def unfolded(lr: Tensor, ref: Tensor) -> Tensor:
    """Return the best match of each LR patch from one product of all 2304-long patches."""
    kernels = F.unfold(ref[None], 3)[0]
    return ((kernels / kernels.norm(dim=0)).T @ F.unfold(lr[None], 3)[0]).argmax(0)


def convolved(lr: Tensor, ref: Tensor, batch: int = 512) -> Tensor:
    """Return it as Eq. 2 has it: Ref patches are kernels, `batch` at a time for memory's sake."""
    kernels = F.unfold(ref[None], 3)[0]
    kernels = (kernels / kernels.norm(dim=0)).T.reshape(-1, lr.shape[0], 3, 3)
    best = lr.new_full((lr.shape[1] - 2, lr.shape[2] - 2), -1)
    index = torch.zeros_like(best, dtype=torch.int64)
    for start in range(0, len(kernels), batch):
        score, found = F.conv2d(lr[None], kernels[start : start + batch])[0].max(0)
        index = torch.where(score > best, found + start, index)
        best = torch.maximum(score, best)
    return index.flatten()


def main() -> None:
    """Time both sizes that matter: a training pair and a CUFED5 test pair."""
    options = parse(str(__doc__))
    encoder = load_encoder("random", 0, torch.device("cpu"))
    photos = [crop_to_multiple(photo) for photo in album()[:2]]
    for height, width in ((160, 160), (332, 500)):
        hr, ref = (photo[:height, :width] for photo in photos)
        lr_map = encoder.encode(upscale(downscale(hr)))["relu3_1"]
        ref_map = encoder.encode(down_up(ref))["relu3_1"]
        compare(
            f"Correspondence of {width}×{height} px with one reference version",
            {
                "ours: sums of shifted products": lambda a=lr_map, b=ref_map: match(a, [b]),
                "unfold and one matrix product": lambda a=lr_map, b=ref_map: unfolded(a, b),
                "convolution (Eq. 2 as written)": lambda a=lr_map, b=ref_map: convolved(a, b),
            },
            options.repeats,
        )
        same = match(lr_map, [ref_map]).index.flatten() == unfolded(lr_map, ref_map)
        print(f"  same match as unfold: {same.float().mean():.2%} of patches")


if __name__ == "__main__":
    main()
