"""Loading training pairs from correspondences, against swapped maps stored in full."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from photographs import album
from timing import compare, parse

from srntt_pipeline.config import SwapParams
from srntt_pipeline.images import write_png
from srntt_pipeline.layout import TRAIN_INPUT, TRAIN_REF, read_train_pairs
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import LAYERS, load_encoder
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.shards import Shards

PAIRS = 8


def main() -> None:
    """Time one pass over a few pairs from disk, and weigh what lies there."""
    options = parse(str(__doc__))
    photos = album()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i in range(PAIRS):
            write_png(folder / TRAIN_INPUT / f"{i}.png", photos[i][100:260, 100:260])
            write_png(folder / TRAIN_REF / f"{i}.png", photos[i + 1][100:260, 100:260])
        params = SwapParams(encoder_weights="random", scales=(1.0,), rotations_deg=(0.0,))
        precompute_swaps(folder, folder / "swaps", params, workers=1, device="cpu")
        pairs, encoder = read_train_pairs(folder), load_encoder("random", 0, torch.device("cpu"))
        kept = SwappedPairs(pairs, Shards(folder / "swaps"), encoder, cache_bytes=1 << 30)
        rebuilt = SwappedPairs(pairs, Shards(folder / "swaps"), encoder)
        for i, pair in enumerate(kept[i] for i in range(PAIRS)):
            arrays = {layer: pair["maps"][layer].numpy() for layer in LAYERS}
            np.savez_compressed(folder / f"{i}-packed.npz", **arrays)
            np.savez(folder / f"{i}.npz", **arrays)

        def stored(suffix: str) -> None:
            for i in range(PAIRS):
                with np.load(folder / f"{i}{suffix}") as file:
                    for layer in LAYERS:
                        torch.from_numpy(file[layer])

        compare(
            f"Swapped maps of {PAIRS} pairs of 160×160 px, one reference version",
            {
                "ours: rebuilt from correspondences": lambda: [rebuilt[i] for i in range(PAIRS)],
                "ours: kept in memory": lambda: [kept[i] for i in range(PAIRS)],
                "maps in .npz": lambda: stored(".npz"),
                "maps in compressed .npz": lambda: stored("-packed.npz"),
            },
            options.repeats,
        )
        for title, pattern in (
            ("correspondences", "swaps/*"), (".npz", "[0-9].npz"), ("compressed", "*-packed.npz")
        ):  # fmt: skip
            size = sum(path.stat().st_size for path in folder.glob(pattern)) / PAIRS
            print(f"  {title}: {size / 1e3:.1f} kB a pair on disk")


if __name__ == "__main__":
    main()
