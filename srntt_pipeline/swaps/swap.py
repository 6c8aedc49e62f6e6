"""Swapped maps from a correspondence (paper section 3.1, Eq. 3).

Each LR patch is replaced by its matched patch of the raw reference's maps, and overlaps are
averaged. Patches are 3×3 on relu3_1, 6×6 on relu2_1 and 12×12 on relu1_1, with the stride of one
relu3_1 position. So a map falls into cells of r×r values, r = 1, 2, 4: a cell under each relu3_1
position. A swapped cell is the mean of up to nine cells, one of each patch over it. In one row,
with patches of three cells:

    Ref cells               A  B  C  D  E  F
    matches                 LR patch 0 → Ref patch 2,  1 → 0,  2 → 3

    LR cells                0  1  2  3  4
    patch 0 brings          C  D  E
    patch 1 brings             A  B  C
    patch 2 brings                D  E  F
    swapped: the means of   C  D  E  C  F
                               A  B  E
                                  D

`_sources` lists, for each LR cell, the Ref cells over it, and one pass over the list gathers and
sums them, for all three layers alike. No patch is ever cut out or pasted.

A match to the pixel lies on the grid of one phase (`dense`): its cells are those of that phase's
maps. So to the swap a version in a phase is what a version is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.maps import CELLS, LAYERS, Maps
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.matching.patches import HALO, PATCH, PatchNumbers, Places
from srntt_pipeline.swaps.dense import PHASES, channels_last, gather_cells, half_of


@dataclass(frozen=True)
class Swapped:
    """What texture transfer takes: swapped maps M_l and the weight map S*.

    `maps`: by layer, float32, relu3_1 [256, h, w], relu2_1 [128, 2h, 2w], relu1_1 [64, 4h, 4w] for
    LR of [h, w]; `weight`: float32 [1, h, w] in [0, 1].
    """

    maps: Maps
    weight: Tensor


class RawMaps(Protocol):
    """The raw maps of a reference version, as the swap takes cells from them."""

    def cells(self, layer: str, phase: int, row: Tensor, column: Tensor) -> Tensor:
        """Return cells of a layer, float32 [n, r·r·C], at positions of a phase's grid."""


class GridMaps:
    """RawMaps of the grid's phase alone: `maps` of an image as they are."""

    def __init__(self, maps: Maps) -> None:
        self._maps = {layer: channels_last(values[None]) for layer, values in maps.items()}

    def cells(self, layer: str, phase: int, row: Tensor, column: Tensor) -> Tensor:
        """Return cells as RawMaps does; raises ValueError for another phase."""
        if phase:
            raise ValueError(f"maps on the grid have no phase {phase}")
        side = CELLS[layer]
        return gather_cells(self._maps[layer], side, side * row, side * column)


def swap(correspondence: Correspondence, encode: Callable[[int], RawMaps]) -> Maps:
    """Return the swapped maps [C, H, W] by layer; `encode(k)` gives the raw maps of version k."""
    return swap_layers(dict.fromkeys(LAYERS, correspondence), encode)


def swap_layers(found: Mapping[str, Correspondence], encode: Callable[[int], RawMaps]) -> Maps:
    """Return swapped maps by layer, each of the correspondence `found` for it.

    The correspondences are windows of one, for layers that are wanted in windows of their own: so
    all have the same versions, and each version is encoded once.
    """
    windows = {id(window): window for window in found.values()}  # equal ones are looked up once
    shapes = next(iter(windows.values())).shapes
    patches = PatchNumbers(shapes)
    matched = {key: patches.places(window.index) for key, window in windows.items()}
    # A sheet is a version in a phase; those of one version and half follow each other.
    sheets = {key: PHASES * places.grid + windows[key].phases for key, places in matched.items()}
    used = {sheet for each in sheets.values() for sheet in each.unique().tolist()}
    order = sorted(used, key=lambda sheet: (sheet // PHASES, half_of(sheet % PHASES)))
    sums: Maps = {}
    for number, of_version in groupby(order, lambda sheet: sheet // PHASES):
        maps = encode(number)
        for sheet in of_version:
            sources = {
                key: _sources(matched[key], here, shapes[number])
                for key, each in sheets.items()
                if bool((here := each == sheet).any())
            }
            for layer, window in found.items():
                if id(window) not in sources:
                    continue
                gathered = sources[id(window)]
                cells = maps.cells(layer, sheet % PHASES, gathered.rows, gathered.columns)
                if layer not in sums:
                    height, width = _positions(window)
                    sums[layer] = cells.new_zeros(height * width, cells.shape[1])
                _gather(sums[layer], cells, gathered)
    for layer, window in found.items():
        height, width = _positions(window)
        sums[layer] /= _overlaps(height, width, window.index.device).view(-1, 1)
        sums[layer] = _from_cells(sums[layer], height, width, CELLS[layer])
    return sums


def _positions(correspondence: Correspondence) -> tuple[int, int]:
    """Return the size (h, w) of LR, whose patches the correspondence has."""
    height, width = correspondence.index.shape
    return height + HALO, width + HALO


def weight_map(correspondence: Correspondence) -> Tensor:
    """Return S* at every LR position, float32 [1, h, w]: the mean cosine of the patches over it."""
    cosine = correspondence.cosine
    height, width = _positions(correspondence)
    padded = F.pad(cosine[None, None], [HALO] * 4)
    sums = F.avg_pool2d(padded, PATCH, stride=1, divisor_override=1)[0]
    return sums / _overlaps(height, width, cosine.device)


@dataclass(frozen=True)
class _Sources:
    """Which cells of a version's maps are summed in which cells of the swapped maps, int64.

    `rows` and `columns` [u]: the version's cells that are used. `cells` [s]: which of these the
    swapped cells get, those of one after those of another; `starts` [t]: where in `cells` those of
    each begin; `targets` [t], ascending: the swapped cells that get any, counted row by row.
    """

    rows: Tensor
    columns: Tensor
    cells: Tensor
    targets: Tensor
    starts: Tensor


def _sources(matched: Places, here: Tensor, shape: tuple[int, int]) -> _Sources:
    """Return what the LR patches that are `matched` where `here` says get from a version's maps.

    `matched`, and `here`, bool: each [h-2, w-2], of all LR patches; `shape`: of the version's
    relu3_1 map.
    """
    rows, columns = here.nonzero(as_tuple=True)
    width = here.shape[1] + HALO
    down, right = torch.meshgrid(*[torch.arange(PATCH, device=here.device)] * 2, indexing="ij")
    sources, targets = (
        ((row[:, None] + down.flatten()) * line + column[:, None] + right.flatten()).flatten()
        for row, column, line in (
            (matched.row[here], matched.column[here], shape[1]),
            (rows, columns, width),
        )
    )
    order = targets.argsort(stable=True)
    reached, counts = targets[order].unique_consecutive(return_counts=True)
    starts = counts.cumsum(0) - counts
    used, places = sources.unique(return_inverse=True)
    return _Sources(used // shape[1], used % shape[1], places[order], reached, starts)


def _gather(sums: Tensor, cells: Tensor, sources: _Sources) -> None:
    """Add to `sums` the cells that `sources` name: one fused pass of gather and sum."""
    gathered = F.embedding_bag(sources.cells, cells, sources.starts, mode="sum")
    sums.index_add_(0, sources.targets, gathered)


def _from_cells(cells: Tensor, height: int, width: int, side: int) -> Tensor:
    """Join cells [h·w, r·r·C] to a map [C, h·r, w·r]."""
    maps = cells.view(height, width, side, side, -1).permute(4, 0, 2, 1, 3)
    return maps.reshape(-1, height * side, width * side)


def _overlaps(height: int, width: int, device: torch.device) -> Tensor:
    """Return how many patches cover each position, float32 [h, w]: 1 in the corners, 9 inside."""
    patches = torch.ones(1, 1, height - HALO, width - HALO, device=device)
    padded = F.pad(patches, [HALO] * 4)
    return F.avg_pool2d(padded, PATCH, stride=1, divisor_override=1)[0, 0]
