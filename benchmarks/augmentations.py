"""What versions of the references, and matches to the pixel, buy on real pairs, and their cost.

Two parts: `finer` compares matches on the grid of four pixels, refined ones, and sixteen shifted
versions of each reference, on all layers; `versions` compares scales, rotations and shifts.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from timing import processor

from srntt_pipeline.config import Refine
from srntt_pipeline.images import RGB, crop_to_multiple, downscale, read_rgb, upscale
from srntt_pipeline.maps import LAYERS
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.matching.patches import PatchNumbers
from srntt_pipeline.swaps.cached_encoder import CachedEncoder
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.references import Augmentation, augmentations
from srntt_pipeline.swaps.windowed import swap_features

SCALES, ROTATIONS, SHIFTS = (1.0, 0.7, 1.4), (0.0, -20.0, 20.0), (0, 1, 2, 3)
WAYS = {
    "none": augmentations((1.0,), (0.0,)),
    "scales 0.7, 1.4": augmentations(SCALES, (0.0,)),
    "rotations ±20°": augmentations((1.0,), ROTATIONS),
    "shifts 1–3 px": augmentations((1.0,), (0.0,), SHIFTS),
    "scales and rotations": augmentations(SCALES, ROTATIONS),
    "all": augmentations(SCALES, ROTATIONS, SHIFTS),
}
# Bytes of maps that the encoder keeps for each pair, as `precompute-swaps` has it.
_ROOM = 256 << 20

Sample = tuple[RGB, list[RGB]]


@dataclass(frozen=True)
class Way:
    """A way to match: the versions, and how matches are refined."""

    versions: list[Augmentation]
    refine: Refine = "none"
    best: int = 1


NONE, SIXTEEN = "none", "16 versions"
FINER = {
    NONE: Way(WAYS["none"]),
    SIXTEEN: Way(WAYS["shifts 1–3 px"]),
    "refined": Way(WAYS["none"], "relu3_1"),
    "refined, 3 best": Way(WAYS["none"], "relu3_1", 3),
    "refined, relu1_1": Way(WAYS["none"], "relu1_1"),
}


@dataclass(frozen=True)
class Outcome:
    """The correspondence of a sample, its swap errors by layer, and CPU seconds."""

    found: Correspondence
    errors: list[float]
    matching: float
    swapping: float


def pairs(train: Path) -> Iterator[Sample]:
    """Yield HR and reference of each training pair."""
    for path in sorted((train / "input").glob("*.png")):
        yield read_rgb(path), [read_rgb(train / "ref" / path.name)]


def groups(test: Path, level: int = 1) -> Iterator[Sample]:
    """Yield HR and the reference of one level, L1 or another, of each test group."""
    for path in sorted(test.glob("*_0.png")):
        ref = path.with_name(path.name.replace("_0", f"_{level}"))
        yield read_rgb(path, grey=True), [read_rgb(ref, grey=True)]


def moved(hr: RGB, side: int = 160) -> dict[tuple[int, int], Sample]:
    """Return a crop from the middle of HR with the same moved down and right, by (down, right)."""
    top, left = ((length - side) // 2 for length in hr.shape[:2])
    return {
        (down, right): (
            hr[top : top + side, left : left + side],
            [hr[top + down : top + down + side, left + right : left + right + side]],
        )
        for down in SHIFTS
        for right in SHIFTS
    }


def run(sample: Sample, way: Way, encoder: Encoder) -> Outcome:
    """Match and swap a sample, as `precompute-swaps` does, with nothing kept from before."""
    hr, refs = crop_to_multiple(sample[0]), sample[1]
    lr_up = upscale(downscale(hr))
    cached = CachedEncoder(encoder, _ROOM)
    start = time.process_time()
    found = match_images(lr_up, refs, way.versions, cached, refine=way.refine, refine_best=way.best)
    between = time.process_time()
    maps = swap_features(found, refs, way.versions, cached).maps
    end = time.process_time()
    truth = encoder.encode(hr)
    errors = [float((maps[layer] - truth[layer]).norm() / truth[layer].norm()) for layer in LAYERS]
    return Outcome(found, errors, between - start, end - between)


def report_finer(title: str, samples: Sequence[Sample], encoder: Encoder) -> None:
    """Print a row for each way, means over `samples`.

    The share of a layer is what the way gains of the gain of sixteen versions. Times of the ways
    are over those of sixteen versions.
    """
    _heading(title)
    columns = ["way", *LAYERS, *(f"share {layer}" for layer in LAYERS)]
    columns += ["matching, CPU s", "× 16 versions", "swap, CPU s", "both, × 16 versions"]
    _row(columns)
    _row(["---"] * len(columns))
    means: dict[str, tuple[npt.NDArray[np.float64], float, float]] = {}
    for name, way in FINER.items():
        outcomes = [run(sample, way, encoder) for sample in samples]
        means[name] = (
            np.mean([one.errors for one in outcomes], 0),
            float(np.mean([one.matching for one in outcomes])),
            float(np.mean([one.swapping for one in outcomes])),
        )
    worst, _, _ = means[NONE]
    least, matching_16, swapping_16 = means[SIXTEEN]
    for name, (errors, matching, swapping) in means.items():
        shares = (worst - errors) / (worst - least)
        whole = (matching + swapping) / (matching_16 + swapping_16)
        cells = [name, *(f"{error:.3f}" for error in errors), *(f"{share:.0%}" for share in shares)]
        cells += [f"{matching:.2f}", f"{matching / matching_16:.2f}", f"{swapping:.2f}"]
        _row([*cells, f"{whole:.2f}"])


def augmented(found: Correspondence, versions: Sequence[Augmentation]) -> float:
    """Return the share of LR patches whose match is in a version other than the first."""
    maps = PatchNumbers(found.shapes).places(found.index).grid
    return float((maps % len(versions) > 0).float().mean())


def report_versions(title: str, samples: Sequence[Sample], encoder: Encoder) -> None:
    """Print a row for each choice of versions, means over `samples`; matches are on the grid."""
    _heading(title)
    columns = ["augmentation", "versions", "matched in another version", "swap error", "mean S*"]
    columns.append("matching, CPU s")
    _row(columns)
    _row(["---"] * len(columns))
    for name, versions in WAYS.items():
        rows = []
        for sample in samples:
            one = run(sample, Way(versions), encoder)
            share, weight = augmented(one.found, versions), float(one.found.cosine.mean())
            rows.append((share, one.errors[LAYERS.index("relu3_1")], weight, one.matching))
        share, error, weight, taken = np.mean(rows, 0)
        cells = [name, str(len(versions)), f"{share:.1%}", f"{error:.4f}", f"{weight:.4f}"]
        _row([*cells, f"{taken:.2f}"])


def _heading(title: str) -> None:
    print(f"\n{title}, {processor()}, {torch.get_num_threads()} thread(s)\n")


def _row(cells: Sequence[str]) -> None:
    print("|", " | ".join(cells), "|", flush=True)


def finer(dataset: Path, most: int | None, encoder: Encoder) -> None:
    """Measure matches to the pixel: training pairs, test groups, and HR against itself moved."""
    test = dataset / "test" / "CUFED5"
    for title, samples in (
        ("training pairs", list(pairs(dataset / "train"))),
        ("test groups with L1", list(groups(test, 1))),
        ("test groups with L4", list(groups(test, 4))),
    ):
        if some := samples[:most]:
            report_finer(f"{len(some)} {title}", some, encoder)
    for hr, _ in list(groups(test))[:1]:
        crops = moved(hr)
        report_finer("HR and itself moved by 0–3 px each way", list(crops.values()), encoder)
        report_finer("HR and itself moved by (1, 2) px", [crops[1, 2]], encoder)


def versions(dataset: Path, most: int | None, encoder: Encoder) -> None:
    """Measure scales, rotations and shifts: training pairs and test groups."""
    for title, samples in (
        ("training pairs", list(pairs(dataset / "train"))),
        ("test groups with L1", list(groups(dataset / "test" / "CUFED5"))),
    ):
        if some := samples[:most]:
            report_versions(f"{len(some)} {title}", some, encoder)


PARTS = {"finer": finer, "versions": versions}


def main() -> None:
    """Print the tables of the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="folder that holds train/ and test/CUFED5/")
    parser.add_argument("--part", choices=list(PARTS), help="one part alone")
    parser.add_argument("--encoder-weights", default="imagenet")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, help="only so many of each kind")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    encoder = load_encoder(options.encoder_weights, 0, torch.device("cpu"))
    for name, part in PARTS.items():
        if options.part in (None, name):
            part(options.dataset, options.samples, encoder)


if __name__ == "__main__":
    main()
