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
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.images import RGB
from srntt_pipeline.maps import CELLS, LAYERS, Maps
from srntt_pipeline.swaps.correspondence import Correspondence
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.patches import HALO, PATCH, PatchNumbers, Places
from srntt_pipeline.swaps.references import Augmentation, augment, every_version


@dataclass(frozen=True)
class Swapped:
    """What texture transfer takes: swapped maps M_l and the weight map S*.

    `maps`: by layer, float32, relu3_1 [256, h, w], relu2_1 [128, 2h, 2w], relu1_1 [64, 4h, 4w] for
    LR of [h, w]; `weight`: float32 [1, h, w] in [0, 1].
    """

    maps: Maps
    weight: Tensor


def swap_features(
    correspondence: Correspondence,
    refs: Sequence[RGB],
    versions: Sequence[Augmentation],
    encoder: Encoder,
) -> Swapped:
    """Return swapped maps and weight map from a correspondence made with the same arguments.

    Only versions that something was matched in are encoded, one at a time.
    """
    tried = every_version(refs, versions)
    maps = swap(correspondence, lambda number: encoder.encode(augment(*tried[number])))
    return Swapped(maps, weight_map(correspondence))


def swap(correspondence: Correspondence, encode: Callable[[int], Maps]) -> Maps:
    """Return the swapped maps [C, H, W] by layer; `encode(k)` gives the raw maps of version k."""
    return swap_layers(dict.fromkeys(LAYERS, correspondence), encode)


def swap_layers(found: Mapping[str, Correspondence], encode: Callable[[int], Maps]) -> Maps:
    """Return swapped maps by layer, each of the correspondence `found` for it.

    The correspondences are windows of one, for layers that are wanted in windows of their own: so
    all have the same versions, and each version is encoded once.
    """
    windows = {id(window): window for window in found.values()}  # equal ones are looked up once
    shapes = next(iter(windows.values())).shapes
    patches = PatchNumbers(shapes)
    matched = {key: patches.places(window.index) for key, window in windows.items()}
    sums: Maps = {}
    for number, shape in enumerate(shapes):
        sources = {
            key: _sources(places, number, shape)
            for key, places in matched.items()
            if bool((places.grid == number).any())
        }
        maps = encode(number) if sources else {}
        for layer, window in found.items():
            if id(window) not in sources:
                continue
            gathered = sources[id(window)]
            cells = _to_cells(maps[layer], CELLS[layer], gathered.used)
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
    """Which cells of one version's maps are summed in which cells of the swapped maps, int64.

    `targets` [t], ascending: the swapped cells that get any; `cells` [s]: the version's cells that
    they get, those of one target after those of another; `starts` [t]: where in `cells` those of
    each target begin. Cells count row by row. With `used` [u], `cells` are places in `used`, the
    cells to copy out of the maps first; with None, so many are used that to copy all is as fast.
    """

    cells: Tensor
    used: Tensor | None
    targets: Tensor
    starts: Tensor


def _sources(matched: Places, version: int, shape: tuple[int, int]) -> _Sources:
    """Return what the LR patches that are `matched` in a version get from its maps.

    `matched`: each [h-2, w-2], of all LR patches; `shape`: of the version's relu3_1 map.
    """
    here = matched.grid == version
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
    if 2 * len(used) < shape[0] * shape[1]:
        return _Sources(places[order], used, reached, starts)
    return _Sources(sources[order], None, reached, starts)


def _gather(sums: Tensor, cells: Tensor, sources: _Sources) -> None:
    """Add to `sums` the cells that `sources` name: one fused pass of gather and sum."""
    gathered = F.embedding_bag(sources.cells, cells, sources.starts, mode="sum")
    sums.index_add_(0, sources.targets, gathered)


def _to_cells(maps: Tensor, side: int, used: Tensor | None) -> Tensor:
    """Cut a map [C, h·r, w·r] into cells [n, C·r·r]: those `used`, int64 [n], of h·w, or all."""
    channels, height, width = maps.shape
    cells = maps.view(channels, height // side, side, width // side, side)
    if used is not None:
        return cells[:, used // cells.shape[3], :, used % cells.shape[3]].flatten(1)
    return cells.permute(1, 3, 0, 2, 4).reshape(-1, channels * side * side)


def _from_cells(cells: Tensor, height: int, width: int, side: int) -> Tensor:
    """Join cells [h·w, C·r·r] to a map [C, h·r, w·r]."""
    maps = cells.view(height, width, -1, side, side).permute(2, 0, 3, 1, 4)
    return maps.reshape(-1, height * side, width * side)


def _overlaps(height: int, width: int, device: torch.device) -> Tensor:
    """Return how many patches cover each position, float32 [h, w]: 1 in the corners, 9 inside."""
    patches = torch.ones(1, 1, height - HALO, width - HALO, device=device)
    padded = F.pad(patches, [HALO] * 4)
    return F.avg_pool2d(padded, PATCH, stride=1, divisor_override=1)[0, 0]
