"""φ of a reference at every pixel, not only on the grid of four: dense maps in one pass.

relu3_1 has a position for every 4×4 pixels, so the same thing moved by a pixel or two has other
features. A *phase* (dy, dx), 0…3 px each, is the grid that begins dy pixels down and dx right: its
maps are those of the image I[dy:, dx:]. Encoding it sixteen times would do most of the work over
and over. With the strides left out of the two poolings, one pass has all phases (à trous):

    conv1_1, conv1_2      once: a value for every pixel
    pool1, conv2_1, 2_2   at 4 halves: phases that agree modulo 2
    pool2, conv3_1        at 16 phases

4.95 times the multiply-adds of one encoding, not 16. A half's map and a phase's map are ordinary
maps, so ordinary convolutions make them; no convolution has to be dilated. Away from the borders of
the image the values are those of the moved image, but for the rounding of floats: there the moved
image ends, and this one goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.images import RGB
from srntt_pipeline.maps import CELLS, FLOAT_BYTES, STRIDE, to_tensor
from srntt_pipeline.matching.patches import PATCH
from srntt_pipeline.swaps.layers import Layers, pool

PHASES = STRIDE**2
VALUES = 64 + 64 + 64 + 16  # for each pixel: relu1_1, relu1_2, a half, relu3_1 on the grid
_Number = TypeVar("_Number", int, Tensor)

_HALVES = ((0, 0), (0, 1), (1, 0), (1, 1))
_GRID = (0, 0)  # the half, and the phase in it, that encoding the image has
# Phases of a half go through conv3_1 together, one below the other, while their maps are no larger
# than this: its weights are then transformed once. Larger maps gain nothing and take memory.
_STACKED_POSITIONS = 64 * 64
# conv3_1 for some positions alone is one product, without Winograd's saving: for more of them than
# this share the whole map is made faster.
_WHOLE_SHARE = 0.4


def phase_of(down: _Number, right: _Number) -> _Number:
    """Return the number of a phase, 0…15, from its pixels down and right."""
    return STRIDE * down + right


def shift_of(phase: _Number) -> tuple[_Number, _Number]:
    """Return a phase's pixels down and right, 0…3 each."""
    return phase // STRIDE, phase % STRIDE


@dataclass(frozen=True)
class _Half:
    """relu2_1, [H', W', 128], and relu2_2, [1, 128, H', W'], of the phases that agree modulo 2.

    relu2_1 is None where `cells` are not asked for.
    """

    relu2_1: Tensor | None
    relu2_2: Tensor


def half_of(phase: int) -> tuple[int, int]:
    """Return the half that a phase belongs to: its pixels modulo 2."""
    down, right = shift_of(phase)
    return down % 2, right % 2


class DenseMaps:
    """The dense maps of an image, uint8 [H, W, 3]; what is asked for is made, where `encoder` is.

    The last half is kept: ask for the phases of one half together. `texture`: whether `cells` will
    be asked for.
    """

    def __init__(self, encoder: Layers, image: RGB, *, texture: bool) -> None:
        self._encoder = encoder
        tensor = to_tensor(image)[None].to(encoder.mean.device)
        relu1_1 = encoder.convolve(encoder.standardised(tensor), "relu1_1")
        self._relu1_1 = channels_last(relu1_1) if texture else None
        self._relu1_2 = encoder.relu1_2(relu1_1)
        self._half: tuple[tuple[int, int], _Half] | None = None
        self._grid: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """How many bytes it holds on to, at most."""
        # For each pixel relu1_2 has 64 values, a half 2 · 128 / 4, the grid 256 / 16, in float32.
        full = self._relu1_2.nbytes
        grid = self._relu1_2.numel() // 4 * FLOAT_BYTES
        return full + full + grid + (0 if self._relu1_1 is None else self._relu1_1.nbytes)

    @torch.inference_mode()
    def grid(self) -> Tensor:
        """Return relu3_1 on its grid, float32 [256, H / 4, W / 4]: phase 0."""
        if self._grid is None:
            pooled = pool(self._of(_GRID).relu2_2)
            self._grid = self._encoder.convolve(pooled, "relu3_1")[0].float()
            self._encoder.check(self._grid)
        return self._grid

    @torch.inference_mode()
    def relu3_1(self) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """Yield each half (p, q) with relu3_1 at every other pixel, float32 [H // 2, W // 2, 256].

        At [a, b] is the position of the grid that begins at the pixel (2a + p, 2b + q); zeros where
        less than 4×4 px are left of the image. What is yielded holds until the next is asked for.
        """
        grid = self.grid()
        height, width = (side // 2 for side in self._relu1_2.shape[2:])
        values = grid.new_zeros(height, width, grid.shape[0])
        for half in _HALVES:
            values[-2:], values[:, -2:] = 0, 0  # an odd half ends a pixel earlier than an even one
            within = [one for one in _HALVES if (half, one) != (_GRID, _GRID)]
            relu2_2 = self._of(half).relu2_2
            pooled = [pool(relu2_2, down, right) for down, right in within]
            maps = dict(zip(within, self._convolved(pooled), strict=True))
            if half == _GRID:
                maps[_GRID] = grid[None]
            for (down, right), one in maps.items():
                there = values[down::2, right::2]
                there[: one.shape[2], : one.shape[3]] = one[0].permute(1, 2, 0)
            yield half, values

    def _convolved(self, pooled: list[Tensor]) -> Iterator[Tensor]:
        """Yield the relu3_1 map of each of `pooled`."""
        if pooled[0][0, 0].numel() > _STACKED_POSITIONS:
            yield from (self._encoder.convolve(one, "relu3_1") for one in pooled)
            return
        # One below the other, with zeros between, as the convolution pads them.
        height, width = (max(one.shape[axis] for one in pooled) for axis in (2, 3))
        apart = [
            F.pad(one, (0, width - one.shape[3], 0, height + 1 - one.shape[2])) for one in pooled
        ]
        maps = self._encoder.convolve(torch.cat(apart, 2), "relu3_1")
        for number, one in enumerate(pooled):
            top = number * (height + 1)
            yield maps[:, :, top : top + one.shape[2], : one.shape[3]]

    @torch.inference_mode()
    def cells(self, layer: str, phase: int, row: Tensor, column: Tensor) -> Tensor:
        """Return cells of a layer in one phase, float32 [n, r·r·C], as `swap` gathers them.

        `row` and `column`, int64 [n]: positions of relu3_1 on the phase's grid.
        """
        down, right = shift_of(phase)
        if layer == "relu3_1":
            return self._relu3_1_at(phase, row, column)
        if layer == "relu2_1":
            maps = self._of(half_of(phase)).relu2_1
            row, column = 2 * row + down // 2, 2 * column + right // 2
        else:
            maps = self._relu1_1
            row, column = 4 * row + down, 4 * column + right
        if maps is None:
            raise ValueError("these maps were made without texture")
        return gather_cells(maps, CELLS[layer], row, column).float()

    def _of(self, half: tuple[int, int]) -> _Half:
        if self._half is None or self._half[0] != half:
            relu2_1 = self._encoder.convolve(pool(self._relu1_2, *half), "relu2_1")
            texture = None if self._relu1_1 is None else channels_last(relu2_1)
            self._half = half, _Half(texture, self._encoder.relu2_2(relu2_1))
            self._encoder.check(self._half[1].relu2_2)
        return self._half[1]

    def _relu3_1_at(self, phase: int, row: Tensor, column: Tensor) -> Tensor:
        """Return relu3_1 [n, 256] at some positions."""
        down, right = (shift // 2 for shift in shift_of(phase))
        pooled = pool(self._of(half_of(phase)).relu2_2, down, right)
        if len(row) > _WHOLE_SHARE * pooled[0, 0].numel():
            maps = channels_last(self._encoder.convolve(pooled, "relu3_1"))
            return maps[row, column].float()
        rows = channels_last(F.pad(pooled, [1] * 4))
        return self._encoder.relu3_1_of(gather_cells(rows, PATCH, row, column)).float()


def channels_last(maps: Tensor) -> Tensor:
    """Return maps [1, C, H, W] as [H, W, C], contiguous: what is gathered lies together."""
    return maps[0].permute(1, 2, 0).contiguous()


def gather_cells(maps: Tensor, side: int, row: Tensor, column: Tensor) -> Tensor:
    """Return the cells [n, r·r·C] of `maps` [H, W, C] that begin at these values; r: `side`."""
    across = torch.arange(side, device=row.device)
    places = (row[:, None, None] + across[:, None]) * maps.shape[1] + column[:, None, None] + across
    return maps.flatten(0, 1).index_select(0, places.flatten()).view(len(row), -1)
