"""Swapped maps of three layers, against fold and unfold and against a loop over patches."""

import torch
from photographs import album
from timing import compare, parse
from torch.nn import functional as F

from srntt_pipeline.images import downscale, upscale
from srntt_pipeline.swaps.correspondence import Correspondence, match
from srntt_pipeline.swaps.encoder import CELLS, Maps, load_encoder
from srntt_pipeline.swaps.references import down_up
from srntt_pipeline.swaps.swap import swap


def folded(found: Correspondence, maps: Maps) -> Maps:
    """Return the swapped maps with every patch copied out (unfold) and summed back in (fold)."""
    swapped = {}
    for layer, side in CELLS.items():
        options = {"kernel_size": 3 * side, "stride": side}
        patches = F.unfold(maps[layer][None], **options)[:, :, found.index.flatten()]
        size = [(length + 2) * side for length in found.index.shape]
        overlaps = F.fold(torch.ones_like(patches), size, **options)
        swapped[layer] = (F.fold(patches, size, **options) / overlaps)[0]
    return swapped


def looped(found: Correspondence, maps: Maps) -> Maps:
    """Return the swapped maps by pasting patch after patch, as published implementations do."""
    columns = maps["relu3_1"].shape[2] - 2
    swapped = {}
    for layer, side in CELLS.items():
        source, patch = maps[layer], 3 * side
        size = [(length + 2) * side for length in found.index.shape]
        sums, overlaps = source.new_zeros(len(source), *size), source.new_zeros(size)
        for row, line in enumerate(found.index.tolist()):
            for column, index in enumerate(line):
                top, left = index // columns * side, index % columns * side
                here = (
                    slice(row * side, row * side + patch),
                    slice(column * side, column * side + patch),
                )
                sums[:, here[0], here[1]] += source[:, top : top + patch, left : left + patch]
                overlaps[here] += 1
        swapped[layer] = sums / overlaps
    return swapped


def main() -> None:
    """Time a training pair, and check that the maps are the same."""
    options = parse(str(__doc__))
    encoder = load_encoder("random", 0, torch.device("cpu"))
    hr, ref = (photo[:160, :160] for photo in album()[:2])
    maps = encoder.encode(ref)
    lr_map = encoder.encode(upscale(downscale(hr)))["relu3_1"]
    found = match(lr_map, [encoder.encode(down_up(ref))["relu3_1"]])
    ways = {
        "ours: gathered cells, summed as they come": lambda: swap(found, lambda version: maps),
        "fold and unfold": lambda: folded(found, maps),
        "loop over patches": lambda: looped(found, maps),
    }
    compare("Swapped maps of a 160×160 px pair", ways, options.repeats)
    ours, *others = (way() for way in ways.values())
    error = max(float((ours[layer] - m[layer]).abs().max()) for layer in CELLS for m in others)
    print(f"  largest difference: {error:.1e}")


if __name__ == "__main__":
    main()
