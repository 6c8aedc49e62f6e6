"""Swapped maps of three layers, against fold and unfold."""

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


def main() -> None:
    """Time a training pair, and check that the maps are the same."""
    options = parse(str(__doc__))
    encoder = load_encoder("random", 0, torch.device("cpu"))
    hr, ref = (photo[:160, :160] for photo in album()[:2])
    maps = encoder.encode(ref)
    lr_map = encoder.encode(upscale(downscale(hr)))["relu3_1"]
    found = match(lr_map, [encoder.encode(down_up(ref))["relu3_1"]])
    ways = {
        "ours: shifted gathers of cells": lambda: swap(found, lambda version: maps),
        "fold and unfold": lambda: folded(found, maps),
    }
    compare("Swapped maps of a 160×160 px pair", ways, options.repeats)
    ours, theirs = (way() for way in ways.values())
    error = max(float((ours[layer] - theirs[layer]).abs().max()) for layer in CELLS)
    print(f"  largest difference: {error:.1e}")


if __name__ == "__main__":
    main()
