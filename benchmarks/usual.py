"""Matching and swapping as published implementations and their users do it in PyTorch.

All take φ(LR↑) and the relu3_1 maps of the reference versions, or a correspondence and the maps of
the versions on three layers, as our functions do.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.maps import CELLS, Maps
from srntt_pipeline.matching.correspondence import Correspondence, patch_norms
from srntt_pipeline.matching.patches import PatchNumbers

LOOPED = 20  # LR patches that the loop is timed on


def patches(maps: Tensor) -> Tensor:
    """Return the 3×3 patches as columns, [C·9, patches], each of unit length."""
    columns = F.unfold(maps[None], 3)[0]
    return columns / columns.norm(dim=0)


def match_unfolded(lr: Tensor, refs: Sequence[Tensor]) -> Tensor:
    """Return the best match of each LR patch, [patches], from one product of all 2304-long patches
    for each version.
    """
    columns = F.unfold(lr[None], 3)[0]
    best = lr.new_full((columns.shape[1],), -1)
    index = torch.zeros_like(best, dtype=torch.int64)
    first = 0
    for ref in refs:
        score, found = (patches(ref).T @ columns).max(0)
        index = torch.where(score > best, found + first, index)
        best = torch.maximum(score, best)
        first += PatchNumbers([(ref.shape[1], ref.shape[2])]).count
    return index


def match_convolved(lr: Tensor, refs: Sequence[Tensor], batch: int = 512) -> Tensor:
    """Return it as Eq. 2 has it: Ref patches are kernels, `batch` at a time for memory's sake."""
    kernels = torch.cat([patches(ref).T for ref in refs]).view(-1, lr.shape[0], 3, 3)
    best = lr.new_full((lr.shape[1] - 2, lr.shape[2] - 2), -1)
    index = torch.zeros_like(best, dtype=torch.int64)
    for start in range(0, len(kernels), batch):
        score, found = F.conv2d(lr[None], kernels[start : start + batch])[0].max(0)
        index = torch.where(score > best, found + start, index)
        best = torch.maximum(score, best)
    return index.flatten()


def match_looped(lr: Tensor, refs: Sequence[Tensor]) -> Tensor:
    """Return it for LOOPED patches: each LR patch is a kernel over the map divided by norms."""
    norms = [patch_norms(ref).flatten() for ref in refs]  # too quick to falsify the scaling
    columns = lr.shape[2] - 2
    found = []
    for number in range(LOOPED):
        row, column = divmod(number, columns)
        kernel = lr[None, :, row : row + 3, column : column + 3]
        scores = [
            F.conv2d(ref[None], kernel).flatten() / norm
            for ref, norm in zip(refs, norms, strict=True)
        ]
        found.append(torch.cat(scores).argmax())
    return torch.stack(found)


def swap_folded(found: Correspondence, versions: Sequence[Maps]) -> Maps:
    """Return the swapped maps with every patch copied out (unfold) and summed back in (fold)."""
    index, swapped = found.index.flatten(), {}
    for layer, side in CELLS.items():
        options = {"kernel_size": 3 * side, "stride": side}
        chosen = torch.empty(1, versions[0][layer].shape[0] * 9 * side**2, len(index))
        first = 0
        for maps, shape in zip(versions, found.shapes, strict=True):
            count = PatchNumbers([shape]).count
            here = (index >= first) & (index < first + count)
            if bool(here.any()):
                cut = F.unfold(maps[layer][None], **options)
                chosen[:, :, here] = cut[:, :, index[here] - first]
            first += count
        size = [(length + 2) * side for length in found.index.shape]
        overlaps = F.fold(torch.ones_like(chosen), size, **options)
        swapped[layer] = (F.fold(chosen, size, **options) / overlaps)[0]
    return swapped


def swap_looped(found: Correspondence, versions: Sequence[Maps]) -> Maps:
    """Return the swapped maps as published implementations do: all patches of the maps are cut out,
    then the matched ones are pasted one by one.
    """
    swapped = {}
    for layer, side in CELLS.items():
        channels, patch = versions[0][layer].shape[0], 3 * side
        cut = [F.unfold(maps[layer][None], patch, stride=side)[0].T for maps in versions]
        patches = torch.cat(cut).view(-1, channels, patch, patch)
        size = [(length + 2) * side for length in found.index.shape]
        sums, overlaps = torch.zeros(channels, *size), torch.zeros(size)
        for row, line in enumerate(found.index.tolist()):
            for column, index in enumerate(line):
                here = (
                    slice(row * side, row * side + patch),
                    slice(column * side, column * side + patch),
                )
                sums[:, here[0], here[1]] += patches[index]
                overlaps[here] += 1
        swapped[layer] = sums / overlaps
    return swapped
