"""Refined matches by their definition, loop by loop in float64, on maps of dilated convolutions."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from srntt_pipeline.swaps.encoder import Encoder

Array = np.ndarray


def dense_maps(encoder: Encoder, image: Array) -> dict[str, Array]:
    """Return maps [C, H, W] in float64: at each pixel the value of the grid that begins there.

    Nothing is strided: poolings compare neighbours 1 and 2 px apart, convolutions are dilated.
    """
    convolutions = [layer for layer in encoder.features if isinstance(layer, nn.Conv2d)]
    x = torch.from_numpy(image).permute(2, 0, 1)[None].double() / 255
    x = (x - encoder.mean.double()) / encoder.std.double()
    maps = {}
    for number, dilation in enumerate((1, 1, 2, 2, 4)):
        layer = convolutions[number]
        weight, bias = layer.weight.double(), layer.bias.double()
        x = F.relu(F.conv2d(x, weight, bias, padding=dilation, dilation=dilation))
        if number in (0, 2, 4):
            maps[("relu1_1", "", "relu2_1", "", "relu3_1")[number]] = x[0].numpy()
        if number in (1, 3):
            x = F.max_pool2d(x, 2, stride=1, dilation=dilation)
    return maps


def score(lr_patch: Array, maps: Array, y: int, x: int, step: int, side: int) -> float:
    """Return ⟨P_i, P(y, x)⟩ / ‖P(y, x)‖: `side`² values `step` px apart from the pixel (y, x) on."""
    patch = maps[:, y : y + step * side : step, x : x + step * side : step]
    return float((lr_patch * patch).sum() / max(np.sqrt((patch**2).sum()), 1e-6))


def refined(
    lr: Array, refs: Sequence[Array], valid: Sequence[Array], places: Array, reach: int = 3
) -> tuple[Array, Array]:
    """Return scores [h-2, w-2] and places (version, y, x) [h-2, w-2, 3] of the best around `places`.

    `lr`: relu3_1 on its grid [C, h, w]; `refs`: dense relu3_1 maps; `valid`: by pixel, whether a
    patch may begin there; `places` [k, h-2, w-2, 3]: the candidates of each patch, in pixels.
    """
    rows, columns = places.shape[1:3]
    scores, found = np.full((rows, columns), -np.inf), np.zeros((rows, columns, 3), int)
    for i in range(rows):
        for j in range(columns):
            patch = lr[:, i : i + 3, j : j + 3]
            tried = set()
            for version, top, left in places[:, i, j]:
                for y in range(top - reach, top + reach + 1):
                    for x in range(left - reach, left + reach + 1):
                        inside = (
                            0 <= y < valid[version].shape[0] and 0 <= x < valid[version].shape[1]
                        )
                        if inside and valid[version][y, x]:
                            tried.add((int(version), y, x))
            for version, y, x in sorted(tried):
                value = score(patch, refs[version], y, x, 4, 3)
                if value > scores[i, j]:
                    scores[i, j], found[i, j] = value, (version, y, x)
    return scores, found
