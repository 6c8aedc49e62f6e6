"""Bicubic resizing as MATLAB's `imresize` does it, for protocols of papers whose LR it made.

The kernel is Keys' cubic (IEEE Trans. ASSP 29(6), 1981; a = -0.5), widened by the scale when it
shrinks (antialiasing), with weights normalised to sum 1. Beyond its borders the image is mirrored,
edge pixel included, as newer MATLAB does; or the edge pixel is repeated, as in older MATLAB, which
made the LR files of the common benchmarks. Pillow differs in two things: it cuts the kernel off at
the border, and it rounds its weights to fixed point.
"""

import functools
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from srntt_pipeline.images import RGB

Border = Literal["mirror", "replicate", "cut"]


def imresize(image: RGB, height: int, width: int, border: Border = "mirror") -> RGB:
    """Return `image`, uint8 [H, W, 3] or [H, W], resized to `height`×`width`.

    As MATLAB does with uint8, rows are resized first and rounded to 8 bits (halves up), then
    columns. For equal scales of both sides. `border`: what is taken to lie beyond the image; `cut`
    is nothing, as in Pillow.
    """
    # For scales that are powers of two all weights are binary fractions, so float64 is exact here.
    tall = _rounded(
        np.tensordot(resize_weights(image.shape[0], height, border), image, axes=(1, 0))
    )
    wide = np.tensordot(resize_weights(image.shape[1], width, border), tall, axes=(1, 1))
    return _rounded(wide.swapaxes(0, 1))


def resized(image: npt.NDArray[Any], height: int, width: int, border: Border) -> npt.NDArray[Any]:
    """Return `image`, floats [H, W, C] of any range, as [height, width, C] by the same kernel.

    The type of floats stays. Nothing is rounded or clipped. It runs on one thread, so its bits
    depend on no number of them.
    """
    rows, columns = image.shape[:2]
    tall = _sparse(rows, height, border, image.dtype) @ image.reshape(rows, -1)
    turned = tall.reshape(height, columns, -1).swapaxes(0, 1).reshape(columns, -1)
    wide = _sparse(columns, width, border, image.dtype) @ turned
    made: npt.NDArray[Any] = np.ascontiguousarray(wide.reshape(width, height, -1).swapaxes(0, 1))
    return made


@functools.lru_cache(maxsize=128)
def _sparse(size: int, new_size: int, border: Border, dtype: npt.DTypeLike) -> sparse.csr_array:
    return sparse.csr_array(resize_weights(size, new_size, border).astype(dtype))


def _rounded(values: npt.NDArray[np.float64]) -> RGB:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def resize_weights(size: int, new_size: int, border: Border) -> npt.NDArray[np.float64]:
    """Return the matrix [new_size, size] that resizes a line of `size` pixels; rows sum to 1."""
    scale = new_size / size
    shrink = min(scale, 1.0)
    reach = 2 / shrink
    centres = (np.arange(new_size) + 0.5) / scale - 0.5
    taps = np.floor(centres - reach)[:, None] + np.arange(int(np.ceil(2 * reach)) + 2)
    weights = _cubic((centres[:, None] - taps) * shrink)
    places = taps.astype(int)
    if border == "cut":
        weights[(places < 0) | (places >= size)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    if border != "mirror":
        columns = places.clip(0, size - 1)
    else:
        mirrored = np.concatenate([np.arange(size), np.arange(size)[::-1]])
        columns = mirrored[places % (2 * size)]
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], columns), weights)
    return matrix


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return Keys' cubic convolution kernel with a = -0.5."""
    x = np.abs(x)
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0.0))
