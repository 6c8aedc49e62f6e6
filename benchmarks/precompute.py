"""The whole precompute of a pair, stage by stage, against the usual ways to do it in PyTorch.

Ours, against ways named by how they match and how they swap: a loop over patches (for matching
LOOPED patches are timed, and scaled), a convolution with patches as kernels, unfold and a matrix
product; and a loop over patches or fold. These keep the maps of all versions, mask no corners that
rotation left empty, and write float32 maps with np.savez; ours are float16 with checksums. Images
and the encoder of what is matched are the same for all.

Bounds: operations over the rate of a matrix product measured here, and the bytes that must be read
and written over the rate of copying measured here. A whole is the sum of its stages; its peak is
that of one run.
"""

import os
import statistics
import tempfile
from functools import partial
from pathlib import Path

import torch
from pair_stages import KEPT_INDEX, KEPT_MAPS, MATCH, SWAP, USUAL, WHOLE, Pair, Run
from photographs import album
from resources import copy_rate, peak, product_rate
from threadpoolctl import threadpool_limits
from timing import parse, processor, seconds
from usual import LOOPED, match_looped

from srntt_pipeline.images import crop_to_multiple
from srntt_pipeline.maps import LAYERS
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.references import augmentations

OURS = "ours"
Rates = tuple[float, float]  # operations and bytes a second
Times = dict[str, dict[str, float]]  # by way and stage
Peaks = dict[str, dict[str, int]]


def measure(pair: Pair, repeats: int) -> tuple[Times, Peaks]:
    """Return median seconds and peak bytes of each way and stage, and of the wholes."""
    ways = {OURS: pair.ours()} | {way: pair.usual(*how) for way, how in USUAL.items()}
    peaks: Peaks = {way: {} for way in ways}
    taken: dict[str, dict[str, list[float]]] = {
        way: {name: [] for name in runs} for way, runs in ways.items()
    }
    for turn in range(repeats):
        for way, runs in ways.items():
            for name, run in runs.items():

                def timed(run: Run = run, values: list[float] = taken[way][name]) -> None:
                    values.append(seconds(run))

                if turn:
                    timed()
                else:
                    peaks[way][name] = peak(timed)
    times = {
        way: {name: statistics.median(values) for name, values in runs.items()}
        for way, runs in taken.items()
    }
    for whole, store in ((KEPT_INDEX, "correspondence"), (KEPT_MAPS, "maps")):
        times[OURS][whole] = sum(times[OURS][name] for name in WHOLE[whole])
        peaks[OURS][whole] = peak(partial(pair.our_whole, store))
    for way, how in USUAL.items():
        if match_looped in how:
            times[way][MATCH] *= pair.found.index.numel() / LOOPED
        all_times = times[OURS] | times[way]
        times[way][KEPT_MAPS] = sum(all_times[name] for name in WHOLE[KEPT_MAPS])
        peaks[way][KEPT_MAPS] = peak(partial(pair.usual_whole, *how))
    return times, peaks


def report(title: str, pair: Pair, repeats: int, rates: Rates) -> None:
    """Print a line for each stage and for the wholes, then ratios and what bounds ours."""
    times, peaks = measure(pair, repeats)
    bounds = {
        name: (work.operations / rates[0], work.moved / rates[1])
        for name, work in pair.work().items()
    }
    print(f"\n{title}: ms, MiB at most, times as long as ours (median of {repeats})")
    heads = f"{OURS:>15}" + "".join(f"{way:>25}" for way in USUAL)
    print(f"  {'':<28}{heads}   bounds: arithmetic (of direct convolutions), memory")
    for name, ours in times[OURS].items():
        line = f"  {name:<28}{1000 * ours:>9.1f}{peaks[OURS][name] / 2**20:>6.0f}"
        for way in USUAL:
            if name in times[way]:
                line += f"{1000 * times[way][name]:>11.1f}{peaks[way][name] / 2**20:>6.0f}"
                line += f"{times[way][name] / ours:>6.1f} ×"
            else:
                line += f"{'':>25}"
        if name in bounds:
            line += "{:>17.1f}{:>9.2f}".format(*(1000 * bound for bound in bounds[name]))
        print(line.rstrip())
    for way in USUAL:
        pasted, ours = (times[who][MATCH] + times[who][SWAP] for who in (way, OURS))
        whole = times[way][KEPT_MAPS]
        print(
            f"  {way}: match + swap {pasted / ours:.1f} × ours; "
            f"whole {whole / times[OURS][KEPT_MAPS]:.1f} × ours with maps kept, "
            f"{whole / times[OURS][KEPT_INDEX]:.1f} × with the correspondence"
        )
    for whole, names in WHOLE.items():
        shares: dict[str, float] = {}
        for name in names:
            stage = name.split(":")[0]
            shares[stage] = shares.get(stage, 0) + times[OURS][name] / times[OURS][whole]
        parts = ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items())
        least = sum(max(bounds[name]) for name in names if name in bounds)
        most = max(shares, key=lambda stage: shares[stage])
        print(f"  ours, {whole}: bound by {most} ({parts}); bounds sum to {1000 * least:.0f} ms")
    error = max(
        float((pair.swapped[layer] - maps[layer]).abs().max() / maps[layer].abs().max())
        for maps in (swapper(pair.found, pair.maps) for _, swapper in USUAL.values())
        for layer in LAYERS
    )
    print(f"  swapped maps differ by at most {error:.1e} of their maximum", flush=True)


def main() -> None:
    """Compare a training pair with 1 and 12 versions, and a test group with four references."""
    options = parse(str(__doc__).splitlines()[0], "encoder-weights", "threads")
    threads = int(options.threads or 1)
    torch.set_num_threads(threads)
    encoder = load_encoder(options.encoder_weights or "random", 0, torch.device("cpu"))
    photos = [crop_to_multiple(photo) for photo in album()]
    small = [photo[:160, :160] for photo in photos[:2]]
    large = [photo[:332, :500] for photo in photos[:5]]
    twelve = augmentations((1.0, 0.7, 1.4), (0.0, -20.0, 20.0, 180.0))
    one = augmentations((1.0,), (0.0,))
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(threads, user_api="blas"):
        rates = product_rate(), copy_rate()
        print(
            f"Precompute of a pair, {encoder.identity}, {processor()}, {threads} thread(s) of "
            f"{os.cpu_count()} cores, {rates[0] / 1e9:.0f} GFLOP/s in matrix products, "
            f"{rates[1] / 1e9:.1f} GB/s read and written in copies"
        )
        for title, (hr, *refs), versions, repeats in (
            ("160×160, 1 version", small, one, options.repeats),
            ("160×160, 12 versions", small, twelve, options.repeats),
            ("500×332, 4 references", large, one, max(1, options.repeats // 5)),
        ):
            pair = Pair(hr, refs, versions, encoder, Path(folder))
            report(title, pair, repeats, rates)


if __name__ == "__main__":
    main()
