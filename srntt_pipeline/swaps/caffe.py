"""Caffe's VGG19 as our encoder: what differs in its input goes into its first layer.

The paper's released code uses these weights, as MatConvNet's `imagenet-vgg-verydeep-19.mat`. They
take pixels of 0…255 with a mean taken off and no deviation; our encoder gives its first layer
x = (I - mean) / deviation of pixels in [0, 1]. With 255·(deviation·x + mean) - Caffe's mean in its
place the first convolution is that of other weights and another bias: equal in exact arithmetic,
but where the border is padded with zeros, which stand for two slightly different means.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from srntt_pipeline.errors import InputError
from srntt_pipeline.maps import MEAN, STD
from srntt_pipeline.matlab import read_mat

CAFFE_MEAN = (123.68, 116.779, 103.939)  # RGB, of 0…255
_PREFIXES = {"caffe:": "bgr", "caffe-rgb:": "rgb"}


@dataclass(frozen=True)
class CaffeFile:
    """A file of Caffe's VGG19; `bgr`: its first layer takes blue first, as Caffe's own do."""

    path: Path
    bgr: bool


def named(weights: str) -> CaffeFile | None:
    """Return what `weights` name where they are Caffe's, else None.

    `caffe:FILE`: a state dict that takes BGR, as Caffe does, or MatConvNet's .mat, which takes RGB;
    `caffe-rgb:FILE`: one whose first layer was turned around for RGB.
    """
    for prefix, order in _PREFIXES.items():
        if weights.startswith(prefix):
            path = Path(weights.removeprefix(prefix))
            return CaffeFile(path, order == "bgr" and path.suffix != ".mat")
    return None


def fold(first: nn.Module, found: CaffeFile) -> None:
    """Make conv1_1 of Caffe, `first`, take what torchvision's takes, in float64 on the way."""
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    weight, bias = first.weight.detach().double(), first.bias.detach().double()
    if found.bgr:
        weight = weight.flip(1)
    mean, deviation, theirs = (
        torch.tensor(v, dtype=torch.float64) for v in (MEAN, STD, CAFFE_MEAN)
    )
    bias = bias + (weight * (255 * mean - theirs).view(3, 1, 1)).sum((1, 2, 3))
    with torch.no_grad():
        first.weight.copy_(weight * (255 * deviation).view(3, 1, 1))
        first.bias.copy_(bias)


def read_matconvnet(path: Path) -> dict[str, Any]:
    """Return the state dict of MatConvNet's VGG19 under torchvision's names, convolutions alone.

    Its list of layers is that of torchvision's. Kernels lie as the paper's released code takes
    them: [width, height, in, out]. Raises InputError.
    """
    layers = read_mat(path).get("layers")
    if not isinstance(layers, list):
        raise InputError(
            f"--encoder-weights {path}: holds no `layers`; expected MatConvNet's VGG19"
        )
    state: dict[str, Any] = {}
    for index, layer in enumerate(layers):
        values = layer.get("weights") if isinstance(layer, dict) else None
        if not isinstance(values, list) or len(values) != 2:
            continue  # ReLU, pooling
        kernel, bias = values
        if not isinstance(kernel, np.ndarray) or not isinstance(bias, np.ndarray):
            continue
        if kernel.ndim == 4 and kernel.shape[:2] == (3, 3):  # fully connected ones are not read
            state[f"features.{index}.weight"] = _tensor(kernel.transpose(3, 2, 1, 0))
            state[f"features.{index}.bias"] = _tensor(bias.reshape(-1))
    return state


def _tensor(values: np.ndarray) -> torch.Tensor:
    # A copy: arrays of the file are read-only, and may lie in any order.
    return torch.from_numpy(np.array(values, order="C"))
