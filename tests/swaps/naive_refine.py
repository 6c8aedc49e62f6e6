"""Refined matches by their definition, loop by loop in float64, on maps of dilated convolutions."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.swaps.encoder import Encoder

Array = np.ndarray


def dense_maps(encoder: Encoder, image: Array) -> dict[str, Array]:
    """Return maps [C, H, W] in float64: at each pixel the value of the grid that begins there.

    Nothing is strided: poolings compare neighbours 1 and 2 px apart, convolutions are dilated.
    """
    convolutions = [layer for layer in encoder.features if isinstance(layer, nn.Conv2d)]
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double() / 255
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


def places(found: Correspondence) -> Array:
    """Return version, row and column in pixels of each match, int64 [h-2, w-2, 3]."""
    patches = [
        (version, 4 * row, 4 * column)
        for version, (height, width) in enumerate(found.shapes)
        for row in range(height - 2)
        for column in range(width - 2)
    ]
    begin = np.array(patches)[found.index.numpy()]
    phase = found.phases.numpy().astype(np.int64)
    return begin + np.stack([np.zeros_like(phase), phase // 4, phase % 4], -1)


def any_places(rng: np.random.Generator, shapes: Sequence[tuple[int, int]], size: tuple[int, int]
               ) -> Correspondence:  # fmt: skip
    """Return refined matches with any pixels of versions of these `shapes`, in positions."""
    index, phase = np.zeros(size, np.int64), np.zeros(size, np.uint8)
    patches = [(height - 2) * (width - 2) for height, width in shapes]
    for place in np.ndindex(*size):
        version = rng.integers(len(shapes))
        height, width = shapes[version]
        y, x = (int(rng.integers(4 * (side - 3) + 1)) for side in (height, width))
        index[place] = sum(patches[:version]) + y // 4 * (width - 2) + x // 4
        phase[place] = 4 * (y % 4) + x % 4
    cosine = torch.from_numpy(rng.random(size, np.float32))
    return Correspondence(
        torch.from_numpy(index), cosine, cosine, tuple(shapes), torch.from_numpy(phase)
    )


def score(lr_patch: Array, maps: Array, y: int, x: int, step: int, side: int) -> float:
    """Return ⟨P_i, P(y, x)⟩ / ‖P(y, x)‖: `side`² values `step` px apart, from pixel (y, x) on."""
    patch = maps[:, y : y + step * side : step, x : x + step * side : step]
    return float((lr_patch * patch).sum() / max(np.sqrt((patch**2).sum()), 1e-6))


def refined(
    lr: Array, refs: Sequence[Array], valid: Sequence[Array], places: Array, reach: int = 3
) -> tuple[Array, Array]:
    """Return scores [h-2, w-2] and places (version, y, x) [h-2, w-2, 3] of the best near `places`.

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


def swapped(places: Array, versions: Sequence[Array], side: int) -> Array:
    """Return the swapped map [C, h·r, w·r] of a layer with r = `side` values a side of a cell.

    Eq. 3 cell by cell: `places` [h-2, w-2, 3] (version, y, x) in pixels are the matches, `versions`
    the dense maps [C, H, W] of the layer. Each of the 3×3 cells of a match goes to the cell that
    its LR patch has there; overlaps are averaged.
    """
    rows, columns = places.shape[:2]
    sums = np.zeros((len(versions[0]), (rows + 2) * side, (columns + 2) * side))
    counts = np.zeros(sums.shape[1:])
    for row, column, down, right in np.ndindex(rows, columns, 3, 3):
        version, y, x = places[row, column]
        y, x = y + 4 * down, x + 4 * right
        there = versions[version][:, y : y + 4 : 4 // side, x : x + 4 : 4 // side]
        top, left = (row + down) * side, (column + right) * side
        here = np.s_[..., top : top + side, left : left + side]
        sums[here] += there
        counts[here] += 1
    return sums / counts
