"""PSNR on the pairs that are kept from training."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from srntt_pipeline.maps import to_image
from srntt_pipeline.models.content import bicubic
from srntt_pipeline.recipes import Inputs
from srntt_pipeline.training.data import Source, whole_pair
from srntt_pipeline.training.objective import Diverged
from srntt_pipeline.training.raw_references import ReferenceImages
from srntt_pipeline.training.sample import picture

EXACT_DB = 100.0  # of an image without any error: JSON has no number for its infinite PSNR


def psnr(sr: Tensor, hr: Tensor) -> float:
    """Return the PSNR of one image [3, H, W] in [0, 1], dB: RGB, no border, SR clipped.

    At most 100 dB, also where there is no difference.
    """
    clipped = sr.clamp(0, 1).float().cpu().numpy()
    if np.array_equal(hr.numpy(), clipped):
        return EXACT_DB
    return min(float(peak_signal_noise_ratio(hr.numpy(), clipped, data_range=1)), EXACT_DB)


@torch.no_grad()
def mean_psnr(
    fabric: Fabric,
    pairs: Source,
    inputs: Inputs,
    references: ReferenceImages | None,
    restore: Callable[[dict[str, Tensor]], Tensor],
    show: Callable[[npt.NDArray[np.uint8]], None] | None = None,
) -> float:
    """Return the mean PSNR of `pairs` as `restore` makes them of a batch of one, dB.

    `show` is called with the picture of the first pair. Raises Diverged for what is no number.
    """
    values = []
    for index in range(len(pairs)):
        tensors = whole_pair(pairs, index, inputs)
        lr, hr = tensors["lr"], tensors.pop("hr")
        if inputs == "images":
            assert references is not None
            box = (0, 0, hr.shape[1], hr.shape[2])
            tensors["refs"] = references.beside(pairs.pairs[index], box)
        batch = {name: fabric.to_device(tensor[None]) for name, tensor in tensors.items()}
        with fabric.autocast():
            sr = restore(batch)[0].cpu()
        values.append(psnr(sr, hr))
        if not math.isfinite(values[-1]):
            raise Diverged(f"SR of the validation pair {pairs.pairs[index].name} is no number")
        if show and index == 0:
            up, ref = bicubic(lr[None])[0], pairs.reference(index) if inputs == "maps" else None
            if "refs" in tensors:
                ref = to_image(tensors["refs"])
            show(picture(pairs.pairs[index].name, lr, up, sr.float(), hr, ref))
    return float(np.mean(values))


def bicubic_psnr(pairs: Source) -> float:
    """Return the mean PSNR of LR↑ over `pairs`, dB, measured as training is."""
    both = (pairs.lr_hr(index) for index in range(len(pairs)))
    return float(np.mean([psnr(bicubic(lr[None])[0], hr) for lr, hr in both]))
