"""Codecs for stored maps: size, and the processor's time to write and to read a pair."""

import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from photographs import album
from timing import parse, processor

from srntt_pipeline.images import crop_to_multiple, downscale, read_rgb, upscale
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.maps import LAYERS
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.references import Augmentation
from srntt_pipeline.swaps.windowed import swap_features

CODECS: dict[str, dict[str, Any]] = {
    "none": {},
    "lzf": {"compression": "lzf"},
    "shuffle, lzf": {"compression": "lzf", "shuffle": True},
    "gzip 1": {"compression": "gzip", "compression_opts": 1},
    "shuffle, gzip 1": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    "shuffle, gzip 4": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
}


def main() -> None:
    """Write and read the maps of a few pairs with each codec, all with Fletcher-32."""
    options = parse(str(__doc__), "dataset", "encoder-weights")
    encoder = load_encoder(options.encoder_weights or "random", 0, torch.device("cpu"))
    if options.dataset:
        pairs = read_train_pairs(Path(options.dataset))[::4]
        images = [(crop_to_multiple(read_rgb(pair.hr)), read_rgb(pair.ref)) for pair in pairs]
    else:
        photos = [photo[100:260, 100:260] for photo in album()[:4]]
        images = list(pairwise(photos))
    tried = [Augmentation(1.0, 0.0)]
    items = []
    for hr, ref in images:
        found = match_images(upscale(downscale(hr)), [ref], tried, encoder)
        items.append(swap_features(found, [ref], tried, encoder).maps)
    print(f"Maps of {len(items)} pairs, {encoder.identity.source}, {processor()}")
    for dtype in ("float16", "float32"):
        for name, codec in CODECS.items():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "maps.h5")
                start = time.process_time()
                with h5py.File(path, "w") as file:
                    for number, maps in enumerate(items):
                        for layer in LAYERS:
                            values = maps[layer].numpy().astype(dtype)
                            file.create_dataset(
                                f"{number}/{layer}", data=values, chunks=values.shape,
                                fletcher32=True, **codec,
                            )  # fmt: skip
                written = time.process_time()
                for _ in range(options.repeats):
                    with h5py.File(path) as file:
                        for number in range(len(items)):
                            for layer in LAYERS:
                                np.asarray(file[f"{number}/{layer}"])
                read = (time.process_time() - written) / options.repeats
                size = path.stat().st_size / len(items) / 1e6
            print(
                f"  {dtype}, {name:<16} {size:6.2f} MB a pair"
                f"{1000 * (written - start) / len(items):8.0f} ms to write"
                f"{1000 * read / len(items):8.1f} ms to read",
                flush=True,
            )


if __name__ == "__main__":
    main()
