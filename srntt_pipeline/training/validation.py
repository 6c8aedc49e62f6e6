"""Pairs that are kept from training, and PSNR on them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from srntt_pipeline.config import LoopParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import TrainPair
from srntt_pipeline.models.content import bicubic
from srntt_pipeline.seeds import generator
from srntt_pipeline.training.data import Source


def split_validation(
    pairs: Sequence[TrainPair], params: LoopParams
) -> tuple[list[TrainPair], list[TrainPair]]:
    """Return pairs for training and, drawn by seed, for validation: at most a fifth of them."""
    if len(pairs) < 2:
        raise InputError("training needs at least two pairs: one to train on, one to validate on")
    count = max(1, min(params.validation_pairs, len(pairs) // 5))
    held = set(generator(params.seed, "validation").permutation(len(pairs))[:count].tolist())
    training = [pair for i, pair in enumerate(pairs) if i not in held]
    return training, [pair for i, pair in enumerate(pairs) if i in held]


def psnr(sr: Tensor, hr: Tensor) -> float:
    """Return the PSNR of one image [3, H, W] in [0, 1], dB: RGB, no border, SR clipped."""
    clipped = sr.clamp(0, 1).float().cpu().numpy()
    return float(peak_signal_noise_ratio(hr.numpy(), clipped, data_range=1))


def bicubic_psnr(pairs: Source) -> float:
    """Return the mean PSNR of LR↑ over `pairs`, dB, measured as training is."""
    both = (pairs.lr_hr(index) for index in range(len(pairs)))
    return float(np.mean([psnr(bicubic(lr[None])[0], hr) for lr, hr in both]))


def sample(lr: Tensor, sr: Tensor, hr: Tensor) -> npt.NDArray[np.uint8]:
    """Return LR↑, SR and HR beside each other, uint8 [H, 3W, 3]."""
    images = [image.clamp(0, 1).float().cpu().numpy() for image in (bicubic(lr[None])[0], sr, hr)]
    joined: npt.NDArray[np.uint8] = np.rint(255 * np.concatenate(images, axis=2)).astype(np.uint8)
    return joined.transpose(1, 2, 0)
