"""Layers of networks in NumPy, float64, written as loops: independent of PyTorch's."""

import numpy as np
from PIL import Image


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Correlate [C, h, w] with [D, C, k, k], where all of the kernel lies within."""
    _, height, width = x.shape
    size = weight.shape[-1]
    out = np.zeros((len(weight), height - size + 1, width - size + 1))
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            window = x[:, row : row + size, column : column + size]
            out[:, row, column] = (weight * window).sum((1, 2, 3))
    return out if bias is None else out + bias[:, None, None]


def padded(x: np.ndarray, by: int, mode: str = "constant") -> np.ndarray:
    """Return [C, h, w] with `by` px more on each side: zeros, or as `mode` of np.pad says."""
    return np.pad(x, ((0, 0), (by, by), (by, by)), mode=mode)  # type: ignore[call-overload]


def transposed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Spread [C, h, w] by [C, D, k, k], 2 px apart: [D, 2h + k - 2, 2w + k - 2]."""
    _, height, width = x.shape
    size = weight.shape[-1]
    out = np.zeros((weight.shape[1], 2 * height + size - 2, 2 * width + size - 2))
    for row in range(height):
        for column in range(width):
            spread = np.tensordot(x[:, row, column], weight, axes=1)
            out[:, 2 * row : 2 * row + size, 2 * column : 2 * column + size] += spread
    return out if bias is None else out + bias[:, None, None]


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x)


def bicubic(x: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge [1, h, w] by Pillow's bicubic of floats."""
    image = Image.fromarray(x[0].astype(np.float32))
    size = scale * image.width, scale * image.height
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.float64)[None]
