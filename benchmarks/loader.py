"""Loading training pairs with their swapped maps: rebuilt, stored by us, and stored as .npz.

Prints the processor's time for a sample, and samples/s with 0, 1 and 2 workers of a DataLoader,
beside the bytes on disk. Files were just
written, so they come from memory: a disk of B MB/s adds at least MB / B seconds to each sample.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from photographs import album
from timing import parse, processor, seconds
from torch.utils.data import DataLoader, Dataset

from srntt_pipeline.config import SwapParams
from srntt_pipeline.images import crop_to_multiple, downscale, read_rgb, write_png
from srntt_pipeline.layout import TRAIN_INPUT, TRAIN_REF, TrainPair, read_train_pairs
from srntt_pipeline.maps import LAYERS, to_tensor
from srntt_pipeline.swaps.convert import convert_shards
from srntt_pipeline.swaps.dataset import SwappedPair, SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.shards import Shards

PAIRS, SAMPLES = 8, 24


class Npz(Dataset[SwappedPair]):
    """Maps in a .npz file a pair, as scripts write them."""

    def __init__(self, pairs: list[TrainPair], folder: Path) -> None:
        self._pairs, self._folder = pairs, folder

    def __getitem__(self, index: int) -> SwappedPair:
        pair = self._pairs[index]
        hr = crop_to_multiple(read_rgb(pair.hr))
        with np.load(self._folder / f"{pair.name}.npz") as file:
            maps = {layer: torch.from_numpy(file[layer]).float() for layer in LAYERS}
            weight = torch.from_numpy(file["weight"])
        lr = to_tensor(downscale(hr))
        return SwappedPair(name=pair.name, lr=lr, hr=to_tensor(hr), maps=maps, weight=weight)


def main() -> None:
    """Time some passes over a few pairs."""
    options = parse(str(__doc__).splitlines()[0], "dataset", "encoder-weights")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = Path(options.dataset) if options.dataset else demo(folder / "dataset")
        pairs = read_train_pairs(dataset)[:PAIRS]
        print(f"Training pairs with swapped maps, {processor()}, one thread a worker; samples/s")
        heads = "".join(f"{n:>6} w." for n in (0, 1, 2))
        print(f"  {'':<36} {'MB a pair':>10} {'CPU ms':>8}{heads}")
        for title, data, where in ways(dataset, pairs, options.encoder_weights or "random", folder):
            size = sum(path.stat().st_size for path in where.iterdir())
            counted = len(list(where.glob("*.npz"))) or len(Shards(where).names)
            rates = [rate(data, workers, len(pairs)) for workers in (0, 1, 2)]
            shown = "".join(f"{value:>9.1f}" for value in rates)
            size_mb, cost = size / counted / 1e6, cpu_ms(data, len(pairs))
            print(f"  {title:<36} {size_mb:>10.3f} {cost:>8.1f}{shown}", flush=True)
        if torch.cuda.is_available():
            shards = Shards(folder / "swaps")
            encoder = load_encoder(options.encoder_weights or "random", 0, torch.device("cuda"))
            on_gpu = SwappedPairs(pairs, shards, encoder)
            on_gpu[0]
            print(f"  rebuilt on the GPU, in one process: {rate(on_gpu, 0, len(pairs)):.1f}")


def ways(
    dataset: Path, pairs: list[TrainPair], weights: str, folder: Path
) -> Iterator[tuple[str, Dataset[SwappedPair], Path]]:
    """Yield title, data set and folder of each way to keep maps."""
    params = SwapParams(encoder_weights=weights, scales=(1.0,), rotations_deg=(0.0,))
    swaps = folder / "swaps"
    precompute_swaps(dataset, swaps, params, workers=1, device="cpu")
    rebuilt = SwappedPairs(pairs, Shards(swaps), load_encoder(weights, 0, torch.device("cpu")))
    yield "ours: correspondences, maps rebuilt", rebuilt, swaps
    for dtype in ("float16", "float32"):
        for codec in ("none", "lzf", "gzip"):
            out = folder / f"{dtype}-{codec}"
            convert_shards(
                swaps, out, dataset, store="maps", maps_dtype=dtype, maps_codec=codec, workers=1,
                device="cpu",
            )  # fmt: skip
            yield f"ours: maps, {dtype}, {codec}", SwappedPairs(pairs, Shards(out), None), out
    items = [rebuilt[index] for index in range(len(pairs))]
    for title, write in (("", np.savez), ("compressed ", np.savez_compressed)):
        for dtype in ("float16", "float32"):
            out = folder / f"{title}{dtype}"
            out.mkdir()
            for item in items:
                arrays = {layer: maps.numpy().astype(dtype) for layer, maps in item["maps"].items()}
                write(out / f"{item['name']}.npz", weight=item["weight"].numpy(), **arrays)
            yield f"maps in {title}.npz, {dtype}", Npz(pairs, out), out


def rate(data: Dataset[SwappedPair], workers: int, pairs: int) -> float:
    """Return samples/s over SAMPLES draws, beginning when the first has come."""
    order = [index % pairs for index in range(SAMPLES + 1)]
    loader = iter(DataLoader(data, batch_size=None, sampler=order, num_workers=workers))
    next(loader)
    return SAMPLES / seconds(lambda: list(map(len, loader)))


def cpu_ms(data: Dataset[SwappedPair], pairs: int) -> float:
    """Return the processor's time for a sample, ms: what else runs on the machine hardly counts."""
    start = time.process_time()
    for index in range(SAMPLES):
        data[index % pairs]
    return 1000 * (time.process_time() - start) / SAMPLES


def demo(folder: Path) -> Path:
    """Write crops of a demo album as training pairs."""
    photos = album()
    for i in range(PAIRS):
        write_png(folder / TRAIN_INPUT / f"{i}.png", photos[i][100:260, 100:260])
        write_png(folder / TRAIN_REF / f"{i}.png", photos[i + 1][100:260, 100:260])
    return folder


if __name__ == "__main__":
    main()
