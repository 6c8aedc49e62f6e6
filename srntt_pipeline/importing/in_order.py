"""Parameters that a file tells apart by their order alone, as TensorFlow's layers have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from srntt_pipeline.errors import InputError


@dataclass(frozen=True)
class Parameter:
    """A parameter: its name in our network, and the shape that the file has it in.

    `subpixels`: a convolution whose outputs become the pixels of a larger map. depth_to_space takes
    its channels as (dy, dx, c), PyTorch's PixelShuffle as (c, dy, dx).
    """

    name: str
    shape: tuple[int, ...]
    subpixels: bool = False

    def ours(self, values: np.ndarray) -> np.ndarray:
        """Return values of the file as our network has them; kernels are [h, w, in, out] there."""
        if values.ndim == 4:
            values = values.transpose(3, 2, 0, 1)
        if self.subpixels:
            rest = values.shape[1:]
            values = np.moveaxis(values.reshape(2, 2, -1, *rest), 2, 0).reshape(-1, *rest)
        return np.ascontiguousarray(values)


def convolution(
    name: str,
    channels_in: int,
    channels_out: int,
    size: int = 3,
    *,
    bias: bool = True,
    subpixels: bool = False,
) -> list[Parameter]:
    """Return kernel and bias of a convolution."""
    kernel = Parameter(f"{name}.weight", (size, size, channels_in, channels_out), subpixels)
    return [kernel, *([Parameter(f"{name}.bias", (channels_out,), subpixels)] if bias else [])]


def batch_norm(name: str, channels: int) -> list[Parameter]:
    """Return β, γ, moving mean and moving variance of a batch norm."""
    names = ("bias", "weight", "running_mean", "running_var")
    return [Parameter(f"{name}.{own}", (channels,)) for own in names]


def name_in_order(
    path: Path, arrays: Sequence[np.ndarray], order: Sequence[Parameter]
) -> dict[str, np.ndarray]:
    """Return the arrays of a file as parameters of our network by name.

    Raises InputError for another number of them, and for the first that has another shape.
    """
    if len(arrays) != len(order):
        raise InputError(f"{path}: holds {len(arrays)} arrays, expected {len(order)}")
    for number, (values, wanted) in enumerate(zip(arrays, order, strict=True)):
        if values.shape != wanted.shape:
            raise InputError(
                f"{path}: array {number} is of shape {values.shape}, expected {wanted.shape}, for "
                f"{wanted.name}"
            )
    return {wanted.name: wanted.ours(values) for values, wanted in zip(arrays, order, strict=True)}
