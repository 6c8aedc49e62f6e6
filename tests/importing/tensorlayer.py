"""SRNTT as TensorLayer would build and save it, in NumPy: float64, channels last, nothing of ours.

Each layer makes its parameters, notes them in the order of layers, and is applied at once.
"""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np


class Layers:
    """Layers with random parameters; `params` are those made until now, float32."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.params: list[np.ndarray] = []

    def _new(self, values: np.ndarray) -> np.ndarray:
        self.params.append(values.astype(np.float32))
        return self.params[-1].astype(np.float64)

    def conv(self, x: np.ndarray, filters: int, size: int = 3, *, bias: bool = True) -> np.ndarray:
        """[h, w, c] to [h, w, filters], zeros around."""
        height, width, channels = x.shape
        scale = 1 / np.sqrt(size * size * channels)
        kernel = self._new(scale * self.rng.standard_normal((size, size, channels, filters)))
        padded = np.zeros((height + size - 1, width + size - 1, channels))
        padded[size // 2 : size // 2 + height, size // 2 : size // 2 + width] = x
        out = np.zeros((height, width, filters))
        for down in range(size):
            for right in range(size):
                seen = padded[down : down + height, right : right + width]
                out += seen @ kernel[down, right]
        return out + self._new(0.1 * self.rng.standard_normal(filters)) if bias else out

    def batch_norm(self, x: np.ndarray) -> np.ndarray:
        """By the moving statistics, as when a network is used."""
        count = x.shape[-1]
        beta = self._new(0.1 * self.rng.standard_normal(count))
        gamma = self._new(0.3 + 0.1 * self.rng.standard_normal(count))
        mean = self._new(0.1 * self.rng.standard_normal(count))
        variance = self._new(self.rng.uniform(0.5, 1.5, count))
        return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta

    def body(self, x: np.ndarray, blocks: int, skip: np.ndarray) -> np.ndarray:
        for _ in range(blocks):
            inner = self.batch_norm(self.conv(x, 64, bias=False)).clip(0)
            x = x + self.batch_norm(self.conv(inner, 64, bias=False))
        return self.batch_norm(self.conv(x, 64, bias=False)) + skip

    def twice(self, x: np.ndarray) -> np.ndarray:
        return depth_to_space(self.conv(x, 256)).clip(0)


def depth_to_space(x: np.ndarray) -> np.ndarray:
    """[h, w, 4c] to [2h, 2w, c], value by value as TensorFlow says."""
    height, width, channels = x.shape
    count = channels // 4
    out = np.empty((2 * height, 2 * width, count))
    for down in range(2):
        for right in range(2):
            first = (2 * down + right) * count
            out[down::2, right::2] = x[:, :, first : first + count]
    return out


def content(layers: Layers, lr: np.ndarray) -> np.ndarray:
    """LR [h, w, 3] in [-1, 1] to features [h, w, 64]."""
    x = layers.conv(lr, 64).clip(0)
    return layers.body(x, 16, x)


def upscale(layers: Layers, features: np.ndarray) -> np.ndarray:
    """The tail of the content extractor: [4h, 4w, 3] in [-1, 1]."""
    x = layers.twice(layers.twice(features))
    return np.tanh(layers.conv(x, 3, 1))


def transfer(layers: Layers, features: np.ndarray, maps: list[np.ndarray]) -> np.ndarray:
    """The texture transfer, maps of relu3_1, relu2_1, relu1_1: [4h, 4w, 3] in [-1, 1]."""
    x = features
    for swapped, blocks in zip(maps, (16, 8, 4), strict=True):
        skip = x
        joined = layers.conv(np.concatenate([x, swapped], 2), 64).clip(0)
        x = layers.body(joined, blocks, skip)
        if blocks > 4:
            x = layers.twice(x)
    return np.tanh(layers.conv(layers.conv(x, 32), 3, 1))


def listed(params: list) -> np.ndarray:
    """An array of objects: what `np.savez(params=…)` of a list of such arrays makes of it."""
    found = np.empty(len(params), object)
    found[:] = params
    return found


def save(path: Path, params: list, *, protocol: int | None = None) -> Path:
    """Write them as TensorLayer does; `protocol`: of the pickle, as other versions choose it."""
    if protocol is None:
        np.savez(path, params=listed(params))
        return path
    return save_pickle(path, pickle.dumps(listed(params), protocol), len(params))


def save_pickle(path: Path, content: bytes, count: int) -> Path:
    """Write a pickle of any kind where the list of `count` arrays would be."""
    head = io.BytesIO()
    described = {"descr": "|O", "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(head, described)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("params.npy", head.getvalue() + content)
    return path
