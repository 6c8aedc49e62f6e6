"""Swapped maps of three layers, against fold and unfold and against a loop over patches."""

import torch
from photographs import album
from timing import compare, parse
from usual import swap_folded, swap_looped

from srntt_pipeline.images import downscale, upscale
from srntt_pipeline.maps import CELLS
from srntt_pipeline.matching.correspondence import match_maps
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.references import down_up
from srntt_pipeline.swaps.swap import GridMaps, swap


def main() -> None:
    """Time a training pair, and check that the maps are the same."""
    options = parse(str(__doc__))
    encoder = load_encoder("random", 0, torch.device("cpu"))
    hr, ref = (photo[:160, :160] for photo in album()[:2])
    maps = encoder.encode(ref)
    lr_map = encoder.encode(upscale(downscale(hr)))["relu3_1"]
    found = match_maps(lr_map, [encoder.encode(down_up(ref))["relu3_1"]])
    ways = {
        "ours: gathered cells, summed as they come": lambda: swap(
            found, lambda version: GridMaps(maps)
        ),
        "fold and unfold": lambda: swap_folded(found, [maps]),
        "loop over patches": lambda: swap_looped(found, [maps]),
    }
    compare("Swapped maps of a 160×160 px pair", ways, options.repeats)
    ours, *others = (way() for way in ways.values())
    error = max(float((ours[layer] - m[layer]).abs().max()) for layer in CELLS for m in others)
    print(f"  largest difference: {error:.1e}")


if __name__ == "__main__":
    main()
