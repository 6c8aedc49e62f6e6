"""Layers of networks in NumPy, float64, [C, h, w]: what our networks are compared with."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from tests import naive_layers

Array = np.ndarray
Conv = Callable[[str, Array], Array]


def convolved(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Convolve [C, h, w] by [D, C, k, k], zeros around."""
    return naive_layers.convolved(naive_layers.padded(x, weight.shape[-1] // 2), weight, bias)


def shuffled(x: Array, by: int = 2) -> Array:
    """[by²·C, h, w] to [C, by·h, by·w]: channel by²·c + by·i + j to rows i, … and columns j, …"""
    out = np.zeros((len(x) // by**2, by * x.shape[1], by * x.shape[2]))
    for number, values in enumerate(x):
        channel, place = divmod(number, by**2)
        out[channel, place // by :: by, place % by :: by] = values
    return out


def repeated(x: Array) -> Array:
    """Each pixel as 2×2."""
    return np.kron(x, np.ones((1, 2, 2)))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def prelu(x: Array, slope: Array) -> Array:
    return np.where(x > 0, x, slope * x)


def normed(x: Array, state: Mapping[str, Array], name: str) -> Array:
    """Batch norm by its moving statistics."""
    weight, bias, mean, variance = (
        state[f"{name}.{own}"][:, None, None]
        for own in ("weight", "bias", "running_mean", "running_var")
    )
    return weight * (x - mean) / np.sqrt(variance + 1e-5) + bias


def randomised(model: nn.Module, seed: int = 0) -> dict[str, Array]:
    """Make every parameter and statistic random; return them. The model is then float64."""
    generator = torch.Generator().manual_seed(seed)
    model.double().eval()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if not value.is_floating_point():
                continue
            drawn = torch.rand(value.shape, generator=generator, dtype=value.dtype)
            spread = 2 / max(1, value[0].numel()) ** 0.5 if value.ndim == 4 else 1
            shift = -0.25 if name.endswith("running_var") else 0.5
            value.copy_(spread * (drawn - shift))
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def conv_of(state: Mapping[str, Array]) -> Conv:
    """Return the convolution of a layer by its name."""
    return lambda name, x: convolved(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def cubic(x: Array, a: float) -> Array:
    """Keys's kernel."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def enlarged(x: Array, a: float, shift: float, *, renormed: bool) -> Array:
    """[C, h, w] to [C, 4h, 4w]: pixel p of the result lies at (p + shift) / 4 − shift.

    Beyond a border lie its pixels, or nothing, and what is left counts as 1 (`renormed`).
    """
    for axis in (1, 2):
        count = x.shape[axis]
        matrix = np.zeros((4 * count, count))
        for row in range(4 * count):
            at = (row + shift) / 4 - shift
            for place in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
                inside = min(max(place, 0), count - 1)
                if inside == place or not renormed:
                    matrix[row, inside] += cubic(np.array(at - place), a)
            if renormed:
                matrix[row] /= matrix[row].sum()
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


def pillows(x: Array) -> Array:
    """LR↑ as Pillow makes it, but not rounded."""
    return enlarged(x, -0.5, 0.5, renormed=True)
