"""Patches of relu3_1 maps, and the numbers by which correspondences name them.

A patch is 3×3 positions with stride 1, so a map of h×w positions has (h-2)×(w-2) patches, named by
their top left position. A correspondence names the match of an LR patch by one number: it counts
the patches of all reference versions, map after map, row by row in each.

    map 0: 4×5 positions     map 1: 5×4 positions

        0  1  2                    6  7
        3  4  5                    8  9
                                  10 11

One number takes four bytes in a shard, and a tie goes to the lowest. `PatchNumbers` alone knows how
to take it apart, so nothing else counts patches.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

PATCH = 3  # positions along each side
HALO = PATCH - 1  # positions along each side of a map that begin no patch

_Numbers = TypeVar("_Numbers", Tensor, npt.NDArray[np.int64])


class Places(NamedTuple):
    """Where numbered cells lie, int64 each: in which grid, and in which row and column of it."""

    grid: Tensor
    row: Tensor
    column: Tensor


class CellNumbers:
    """The numbers of the cells of `grids`, (rows, columns) each: grid after grid, row by row.

    `count`: how many cells there are in all.
    """

    def __init__(self, grids: Sequence[tuple[int, int]]) -> None:
        sizes = torch.tensor(grids, dtype=torch.int64).view(-1, 2)
        counts = sizes.prod(1)
        self.count = int(counts.sum())
        self._first, self._columns = counts.cumsum(0) - counts, sizes[:, 1]

    def places(self, numbers: Tensor) -> Places:
        """Return where the cells of these `numbers`, int64, lie."""
        first, columns = (values.to(numbers.device) for values in (self._first, self._columns))
        grid = torch.searchsorted(first, numbers.contiguous(), right=True) - 1
        within, across = numbers - first[grid], columns[grid]
        return Places(grid, within // across, within % across)

    def numbers(self, grid: Tensor | int, row: Tensor | int, column: Tensor | int) -> Tensor:
        """Return the numbers, int64, of the cells at these places."""
        first, across = self._first, self._columns
        if isinstance(grid, Tensor):
            first, across = first.to(grid.device), across.to(grid.device)
        return first[grid] + row * across[grid] + column


class PatchNumbers(CellNumbers):
    """The numbers of the patches of maps of these `shapes`, (h, w) in positions, at least 3×3.

    The grid of a place is its map: the reference version that the map is of.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]]) -> None:
        super().__init__([(height - HALO, width - HALO) for height, width in shapes])


def patch_at(position: _Numbers, width: int) -> _Numbers:
    """Return the numbers of the patches whose top left `position`, int64, is given.

    Positions count row by row too, in one map that is `width` positions wide.
    """
    return position // width * (width - HALO) + position % width
