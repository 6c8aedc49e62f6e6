"""Swapped maps from a correspondence (paper section 3.1, Eq. 3).

Each LR patch is replaced by its matched patch of the raw reference's maps, and overlaps are
averaged. Patches are 3×3 on relu3_1, 6×6 on relu2_1 and 12×12 on relu1_1, with the stride of one
relu3_1 position: so each r×r cell of a map, r = 1, 2, 4, is the mean of up to nine gathered cells.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.images import RGB, upscale
from srntt_pipeline.maps import CELLS, CHANNELS, LAYERS, Maps
from srntt_pipeline.memory import MAX_MEMORY, release, share
from srntt_pipeline.swaps.correspondence import PATCH, Correspondence, Search, join, patch_count
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.references import Augmentation, Mask, augment, down_up, valid_patches
from srntt_pipeline.swaps.torch_search import Precision
from srntt_pipeline.swaps.windows import STRIDE, Window, windows


@dataclass(frozen=True)
class Swapped:
    """What texture transfer takes: swapped maps M_l and the weight map S*.

    `maps`: by layer, float32, relu3_1 [256, h, w], relu2_1 [128, 2h, 2w], relu1_1 [64, 4h, 4w] for
    LR of [h, w]; `weight`: float32 [1, h, w] in [0, 1].
    """

    maps: Maps
    weight: Tensor


def correspond(
    lr_up: RGB,
    refs: Sequence[RGB],
    versions: Sequence[Augmentation],
    encoder: Encoder,
    *,
    upscaler: Callable[[RGB], RGB] = upscale,
    max_memory: int = MAX_MEMORY,
    precision: Precision = "float32",
) -> Correspondence:
    """Return the correspondence of LR↑ with all versions of all references, by reference first.

    `upscaler`: what made LR↑; it makes Ref↓↑ too.

    LR↑ and versions are encoded and searched in windows, so `max_memory`, bytes of the process
    beside what `Matcher.taken` counts, holds whatever their sizes: where the maps of LR↑ take more
    than their `share`, references are encoded again for each part. No result depends on it.
    `precision` is that of `match`.
    Corners that rotation left empty are never matched, unless no version of any reference has a
    patch without them: then all may be matched, so that every LR patch has a match.
    """
    valid = [valid_patches(ref.shape, version) for ref in refs for version in versions]
    if not any(mask is None or bool(mask.any()) for mask in valid):
        valid = [None] * len(valid)
    height, width = (side // STRIDE for side in lr_up.shape[:2])
    parts = list(windows(height, width, PATCH - 1))
    first = (parts[0].bottom - parts[0].top) * (parts[0].right - parts[0].left)  # the largest
    together = max(1, share(max_memory) // (4 * CHANNELS["relu3_1"] * first))

    def found() -> Iterator[Correspondence]:
        for start in range(0, len(parts), together):
            here = parts[start : start + together]
            crops = (part.cut(lr_up) for part in here)
            searches = []
            for maps, part in zip(encoder.encode_each(crops, ["relu3_1"]), here, strict=True):
                lr = part.inner(maps["relu3_1"], lr_up)
                searches.append(Search(lr, max_memory=share(max_memory), precision=precision))
            _search_all(searches, refs, versions, valid, encoder, upscaler)
            yield from (search.result() for search in searches)
            del searches, maps, lr
            if together < len(parts):
                release()

    return join(found(), parts)


def _search_all(
    searches: Sequence[Search],
    refs: Sequence[RGB],
    versions: Sequence[Augmentation],
    valid: Sequence[Mask | None],
    encoder: Encoder,
    upscaler: Callable[[RGB], RGB],
) -> None:
    """Add every version of every reference to `searches`, window by window."""
    # What is being encoded, in order: on CUDA several windows go through the encoder at once.
    ahead: deque[tuple[RGB, Window, Mask | None, bool]] = deque()

    def crops() -> Iterator[RGB]:
        augmented = (augment(ref, version) for ref in refs for version in versions)
        for image, mask in zip(augmented, valid, strict=True):
            blurred = down_up(image, upscaler)
            shape = blurred.shape[0] // STRIDE, blurred.shape[1] // STRIDE
            for number, window in enumerate(windows(*shape, PATCH - 1)):
                ahead.append((blurred, window, mask, number == 0))
                yield window.cut(blurred)

    for maps in encoder.encode_each(crops(), ["relu3_1"]):
        image, window, mask, first = ahead.popleft()
        ref = window.inner(maps["relu3_1"], image)
        for search in searches:
            if first:
                search.begin((image.shape[0] // STRIDE, image.shape[1] // STRIDE))
            search.add_window(ref, window, _part(mask, window))


def _part(mask: Mask | None, window: Window) -> Tensor | None:
    """Return which patches of a window may be matched, by the mask of all; None: all of them."""
    if mask is None:
        return None
    lost = PATCH - 1
    here = mask[window.top : window.bottom - lost, window.left : window.right - lost]
    return None if here.all() else torch.from_numpy(here.copy())


def swap_features(
    correspondence: Correspondence,
    refs: Sequence[RGB],
    versions: Sequence[Augmentation],
    encoder: Encoder,
) -> Swapped:
    """Return swapped maps and weight map from a correspondence made with the same arguments.

    Only versions that something was matched in are encoded, one at a time.
    """

    def encode(number: int) -> Maps:
        ref, version = divmod(number, len(versions))
        return encoder.encode(augment(refs[ref], versions[version]))

    return Swapped(swap(correspondence, encode), weight_map(correspondence))


def swap(correspondence: Correspondence, encode: Callable[[int], Maps]) -> Maps:
    """Return the swapped maps [C, H, W] by layer; `encode(k)` gives the raw maps of version k."""
    return swap_layers(dict.fromkeys(LAYERS, correspondence), encode)


def swap_layers(found: Mapping[str, Correspondence], encode: Callable[[int], Maps]) -> Maps:
    """Return swapped maps, each layer's by a correspondence of its own with the same versions.

    These are windows of one correspondence, where layers are wanted in windows of their own.
    """
    windows = {id(window): window for window in found.values()}
    sums: Maps = {}
    first = 0
    for number, shape in enumerate(next(iter(windows.values())).shapes):
        count = patch_count([shape])
        places = {}
        for key, window in windows.items():
            here = (window.index >= first) & (window.index < first + count)
            if bool(here.any()):
                places[key] = _places(window.index - first, here, shape)
        if places:
            maps = encode(number)
            for layer, window in found.items():
                if id(window) not in places:
                    continue
                sources, used, reached, starts = places[id(window)]
                cells = _to_cells(maps[layer], CELLS[layer], used)
                if layer not in sums:
                    height, width = _positions(window)
                    sums[layer] = cells.new_zeros(height * width, cells.shape[1])
                _gather(sums[layer], cells, (sources, reached, starts))
        first += count
    for layer, window in found.items():
        height, width = _positions(window)
        sums[layer] /= _overlaps(height, width, window.index.device).view(-1, 1)
        sums[layer] = _from_cells(sums[layer], height, width, CELLS[layer])
    return sums


def _positions(correspondence: Correspondence) -> tuple[int, int]:
    """Return the size (h, w) of LR, whose patches the correspondence has."""
    height, width = correspondence.index.shape
    return height + PATCH - 1, width + PATCH - 1


def weight_map(correspondence: Correspondence) -> Tensor:
    """Return S* at every LR position, float32 [1, h, w]: the mean weight of the patches over it."""
    weight = correspondence.weight
    height, width = _positions(correspondence)
    padded = F.pad(weight[None, None], [PATCH - 1] * 4)
    sums = F.avg_pool2d(padded, PATCH, stride=1, divisor_override=1)[0]
    return sums / _overlaps(height, width, weight.device)


def _places(
    index: Tensor, here: Tensor, shape: tuple[int, int]
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Return which cells of a version go where, for its patches `index` where `here`.

    Int64: the source cells, in the order of the cells they go to, as places in the next; the cells
    that are sources at all, or None where they are so many that to copy all is as fast; the target
    cells that get any, ascending; and for each of these where its sources begin. `shape`: of the
    version's relu3_1 map.
    """
    rows, columns = here.nonzero(as_tuple=True)
    patches, width = index[here], here.shape[1] + PATCH - 1
    patch_columns = shape[1] - PATCH + 1
    down, right = torch.meshgrid(*[torch.arange(PATCH, device=index.device)] * 2, indexing="ij")
    shifted = [
        (row[:, None] + down.flatten()) * line + column[:, None] + right.flatten()
        for row, column, line in (
            (patches // patch_columns, patches % patch_columns, shape[1]),
            (rows, columns, width),
        )
    ]
    sources, targets = (cells.flatten() for cells in shifted)
    order = targets.argsort(stable=True)
    reached, counts = targets[order].unique_consecutive(return_counts=True)
    starts = counts.cumsum(0) - counts
    used, places = sources.unique(return_inverse=True)
    if 2 * len(used) < shape[0] * shape[1]:
        return places[order], used, reached, starts
    return sources[order], None, reached, starts


def _gather(sums: Tensor, cells: Tensor, places: tuple[Tensor, Tensor, Tensor]) -> None:
    """Add to `sums` the cells that `_places` sends there: one fused pass of gather and sum."""
    sources, reached, starts = places
    sums.index_add_(0, reached, F.embedding_bag(sources, cells, starts, mode="sum"))


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
    patches = torch.ones(1, 1, height - PATCH + 1, width - PATCH + 1, device=device)
    padded = F.pad(patches, [PATCH - 1] * 4)
    return F.avg_pool2d(padded, PATCH, stride=1, divisor_override=1)[0, 0]
