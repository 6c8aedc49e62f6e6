"""Back-projection (Irani and Peleg, 1991): SR is moved until it becomes LR when it is reduced."""

import numpy as np
from scipy import ndimage

from srntt_pipeline.imresize import Border
from srntt_pipeline.selfex.pyramid import Image, resized

ROUNDS = 20
_SIGMA, _RADIUS = 1.0, 2  # px


def back_projected(image: Image, lr: Image, border: Border, rounds: int = ROUNDS) -> Image:
    """Return `image`, float32 [h, w, 3], drawn to `lr`, float32 in [0, 1], of any smaller size.

    Each round reduces the image (bicubic), enlarges what it lacks to be LR, filters this with the
    square of a 5×5 Gaussian (σ 1) and adds it. The result is in [0, 1].
    """
    taps = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * _SIGMA**2)) ** 2
    taps = (taps / taps.sum()).astype(np.float32)
    (lr_height, lr_width), (height, width) = lr.shape[:2], image.shape[:2]
    for _ in range(rounds):
        lacking = lr - resized(image, lr_height, lr_width, border)
        enlarged = resized(lacking, height, width, border)
        for axis in (0, 1):
            enlarged = ndimage.correlate1d(enlarged, taps, axis=axis, mode="nearest")
        image = image + enlarged
    clipped: Image = image.clip(0, 1)
    return clipped
