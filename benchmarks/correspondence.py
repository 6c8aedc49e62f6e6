"""Matching on relu3_1, against the usual ways: time, peak memory, bounds by arithmetic and memory.

One thread, then two where the machine has them. The loop over patches is timed on some LR patches
and scaled up.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import torch
from photographs import album
from resources import copy_rate, memory, peak, product_rate
from threadpoolctl import threadpool_limits
from timing import processor, seconds
from torch import Tensor
from torch.nn import functional as F
from usual import LOOPED, match_convolved, match_looped, match_unfolded, patches

from srntt_pipeline.images import RGB, crop_to_multiple, downscale, upscale
from srntt_pipeline.matching.correspondence import match_maps
from srntt_pipeline.memory import MAX_MEMORY
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.references import Augmentation, augment, augmentations, down_up

try:
    import faiss
except ImportError:
    faiss = None


def ours(lr: Tensor, refs: Sequence[Tensor]) -> Tensor:
    """Return the best match of each LR patch, [patches], as the pipeline finds it."""
    return match_maps(lr, refs).index.flatten()


def searched(lr: Tensor, refs: Sequence[Tensor]) -> Tensor:
    """Return it from faiss's exact inner-product index of all Ref patches."""
    index = faiss.IndexFlatIP(9 * lr.shape[0])
    for ref in refs:
        index.add(np.ascontiguousarray(patches(ref).T.numpy()))
    queries = np.ascontiguousarray(F.unfold(lr[None], 3)[0].T.numpy())
    return torch.from_numpy(index.search(queries, 1)[1][:, 0])


Way = Callable[[Tensor, Sequence[Tensor]], Tensor]
WAYS: dict[str, Way] = {
    "ours: sums of shifted products": ours,
    "unfold and one matrix product": match_unfolded,
    "convolution (Eq. 2 as written)": match_convolved,
    f"loop over patches ({LOOPED} timed, scaled)": match_looped,
}
if faiss is not None:
    WAYS["faiss: exact inner-product index"] = searched
UNFOLD = list(WAYS)[1]


def compare(title: str, lr: Tensor, refs: list[Tensor], names: Sequence[str], repeats: int) -> None:
    """Print time, ratio and peak memory of each way, in turns, and the bounds."""
    count = (lr.shape[1] - 2) * (lr.shape[2] - 2)
    scale = {name: count / LOOPED if WAYS[name] is match_looped else 1.0 for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, int] = {}
    for turn in range(repeats):
        for name in names:

            def run(name: str = name) -> None:
                times[name].append(scale[name] * seconds(lambda: WAYS[name](lr, refs)))

            if turn:
                run()
            else:
                peaks[name] = peak(run)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"\n{title} (median of {repeats})")
    for name, median in medians.items():
        ratio = median / medians[names[0]]
        print(
            f"  {name:<42} {1000 * median:10.1f} ms {ratio:7.2f} × ours"
            f"{peaks[name] / 2**20:8.0f} MiB"
        )
    multiplied = 2 * lr.numel() * sum(ref[0].numel() for ref in refs)
    moved = lr.nbytes + sum(ref.nbytes for ref in refs)
    for bound, time in (
        ("arithmetic: the products alone", multiplied / product_rate()),
        ("memory: the maps read once", moved / copy_rate()),
    ):
        print(f"  {f'bound by {bound}':<42} {1000 * time:10.1f} ms")
    same = ours(lr, refs) == match_unfolded(lr, refs)
    print(f"  same match as unfold: {same.float().mean():.2%} of patches", flush=True)


def precisions(lr: Tensor, refs: list[Tensor]) -> None:
    """Print what reduced precisions cost and change."""
    exact = match_maps(lr, refs)
    for precision in ("bfloat16", "float16"):
        found = match_maps(lr, refs, precision=precision)
        taken = seconds(lambda precision=precision: match_maps(lr, refs, precision=precision))
        print(
            f"  {precision} products (CPU) {1000 * taken:10.1f} ms: "
            f"{found.agreement(exact):.2%} of matches are float32's"
        )


def relu3_1(encoder: Encoder, image: RGB) -> Tensor:
    """Return the map of Ref↓↑."""
    return encoder.encode(down_up(image))["relu3_1"]


def whole(encoder: Encoder, photos: list[RGB]) -> None:
    """Time the largest search: 500×332, four references in twelve versions each."""
    hr, *refs = (photo[:332, :500] for photo in photos[:5])
    versions = augmentations((1.0, 0.7, 1.4), (0.0, -20.0, 20.0, 180.0))
    low = upscale(downscale(hr))
    taken = 0.0

    def run() -> None:
        nonlocal taken
        taken = seconds(lambda: match_images(low, refs, versions, encoder))

    added = peak(run)
    print(
        f"\n500×332 with {len(refs)} references × {len(versions)} versions, encoder included: "
        f"{taken:.1f} s; peak memory of the process {memory('VmHWM') / 2**20:.0f} MiB, of which "
        f"{added / 2**20:.0f} MiB for this (bound on the search: {MAX_MEMORY / 2**20:.0f} MiB)"
    )


def main() -> None:
    """Compare both sizes that matter: a training pair and a CUFED5 test group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="of the small cases")
    parser.add_argument("--encoder-weights", default="random")
    parser.add_argument("--whole", action="store_true", help="only 500×332 with 4 × 12 versions")
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoder = load_encoder(options.encoder_weights, 0, torch.device("cpu"))
    photos = [crop_to_multiple(photo) for photo in album()]
    if options.whole:
        whole(encoder, photos)
        return
    small = [photo[:160, :160] for photo in photos]
    turned = [Augmentation(s, r) for s in (1.0, 0.7, 1.4) for r in (0.0, -20.0, 20.0, 180.0)]
    cases = []
    for title, hr, refs, names, repeats in (
        ("160×160, 1 version", small[0], small[1:2], list(WAYS), options.repeats),
        ("160×160, 12 versions", small[0], [augment(small[1], t) for t in turned], list(WAYS), 1),
        ("500×332, 1 reference", photos[0], photos[1:2], list(WAYS), 1),
        ("500×332, 4 references", photos[0], photos[1:5], list(WAYS)[:2], 1),
    ):
        maps = [relu3_1(encoder, ref[:332, :500]) for ref in refs]
        cases.append((title, relu3_1(encoder, hr[:332, :500]), maps, names, repeats))
    for threads in (1, 2) if (os.cpu_count() or 1) > 1 else (1,):
        torch.set_num_threads(threads)
        if faiss is not None:
            faiss.omp_set_num_threads(threads)
        with threadpool_limits(threads, user_api="blas"):
            print(
                f"\n{processor()}, {threads} thread(s), {product_rate() / 1e9:.0f} GFLOP/s, "
                f"{copy_rate() / 1e9:.1f} GB/s copied"
            )
            for case in cases:
                compare(*case)
            if threads == 1:
                precisions(cases[0][1], cases[0][2])


if __name__ == "__main__":
    main()
