"""Back-projection: SR is corrected until it becomes LR again where it is shrunk (LR consistency).

For methods that make SR of patches (SelfEx, CVPR 2015; Landmark, TIP 2013), which know LR only
through them. LR's kernel is that of the scene (`degradation`).
"""

import functools

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from srntt_pipeline.degradation import Kernel
from srntt_pipeline.images import RGB, SCALE
from srntt_pipeline.imresize import Border, resize_weights

Floats = npt.NDArray[np.float64]

_BORDERS: dict[Kernel, Border] = {"matlab": "mirror", "matlab-replicate": "replicate"}


def back_project(sr: Floats, lr: RGB, kernel: Kernel, rounds: int = 20) -> Floats:
    """Return `sr`, float64 [4h, 4w, C] in 0…255, corrected against `lr`, uint8 [h, w, C].

    In each of `rounds` SR is shrunk by the kernel of LR, what LR has beyond that is enlarged by
    bicubic, smoothed by the squared 5×5 Gaussian of σ = 1 px, and added; SR is clipped to 0…255 at
    the end. Twenty rounds and this filter are those of SelfEx's public code. Of LR that was given,
    `kernel` is that of LR↑: an assumption.
    """
    height, width = lr.shape[:2]
    target = lr.astype(np.float64)
    result = sr.astype(np.float64)
    for _ in range(rounds):
        lacking = target - _resized(result, height, width, kernel)
        enlarged = _resized(lacking, SCALE * height, SCALE * width, kernel)
        result += cv2.sepFilter2D(enlarged, -1, *_filter(), borderType=cv2.BORDER_REFLECT_101)
    return np.clip(result, 0, 255)


@functools.cache
def _filter() -> tuple[Floats, Floats]:
    """Return the squared Gaussian of σ = 1, sum 1, as a column and a row."""
    line = np.exp(-(np.arange(-2, 3) ** 2) / 2.0) ** 2
    line /= line.sum()
    return line, line


def _resized(image: Floats, height: int, width: int, kernel: Kernel) -> Floats:
    """Return float64 [H, W, C] by the kernel, without rounding to 8 bits."""
    if kernel in _BORDERS:
        rows = resize_weights(image.shape[0], height, _BORDERS[kernel])
        columns = resize_weights(image.shape[1], width, _BORDERS[kernel])
        tall = np.tensordot(rows, image, axes=(1, 0))
        return np.tensordot(columns, tall, axes=(1, 1)).swapaxes(0, 1)
    shrinks = height < image.shape[0]
    lanczos = kernel == "pillow-lanczos" and shrinks
    method = Image.Resampling.LANCZOS if lanczos else Image.Resampling.BICUBIC
    channels = [
        np.asarray(Image.fromarray(channel.astype(np.float32)).resize((width, height), method))
        for channel in np.moveaxis(image, 2, 0)
    ]
    return np.stack(channels, axis=2).astype(np.float64)
