"""Back-projection: SR is corrected until it becomes LR again where it is shrunk (LR consistency).

For methods that make SR of patches (SelfEx, CVPR 2015; Landmark, TIP 2013), which know LR only
through them (Irani and Peleg, 1991).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Image = npt.NDArray[Any]  # of floats, of one type in a call

_SIGMA, _RADIUS = 1.0, 2  # px


def back_project(
    sr: Image,
    lr: Image,
    resized: Callable[[Image, int, int], Image],
    *,
    highest: float,
    rounds: int = 20,
) -> Image:
    """Return `sr`, floats [H, W, C] in 0 … `highest`, corrected against `lr`, [h, w, C].

    `resized(image, height, width)`: by the kernel of LR. In each of `rounds` SR is shrunk, what LR
    has beyond that is enlarged, filtered by the square of a 5×5 Gaussian (σ 1 px), and added; SR is
    clipped at the end. Twenty rounds and this filter are those of SelfEx's public code.
    """
    taps = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * _SIGMA**2)) ** 2
    taps = (taps / taps.sum()).astype(sr.dtype)
    for _ in range(rounds):
        lacking = lr - resized(sr, *lr.shape[:2])
        enlarged = resized(lacking, *sr.shape[:2])
        for axis in (0, 1):
            enlarged = ndimage.correlate1d(enlarged, taps, axis=axis, mode="nearest")
        sr = sr + enlarged
    clipped: Image = np.clip(sr, 0, highest)
    return clipped
