"""What scales, rotations and shifts of the references buy on real pairs, and what they cost."""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from timing import processor

from srntt_pipeline.images import RGB, crop_to_multiple, downscale, read_rgb, upscale
from srntt_pipeline.swaps.correspondence import Correspondence
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.patches import PatchNumbers
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


def pairs(train: Path) -> Iterator[tuple[RGB, list[RGB]]]:
    """Yield HR and reference of each training pair."""
    for path in sorted((train / "input").glob("*.png")):
        yield read_rgb(path), [read_rgb(train / "ref" / path.name)]


def groups(test: Path) -> Iterator[tuple[RGB, list[RGB]]]:
    """Yield HR and the first reference, L1, of each test group."""
    for path in sorted(test.glob("*_0.png")):
        ref = path.with_name(path.name.replace("_0", "_1"))
        yield read_rgb(path, grey=True), [read_rgb(ref, grey=True)]


def augmented(found: Correspondence, versions: Sequence[Augmentation]) -> float:
    """Return the share of LR patches whose match is in a version other than the first."""
    maps = PatchNumbers(found.shapes).places(found.index).grid
    return float((maps % len(versions) > 0).float().mean())


def report(title: str, samples: list[tuple[RGB, list[RGB]]], encoder: Encoder) -> None:
    """Print a row of the table for each way, means over `samples`."""
    print(f"\n{title}, {processor()}, {torch.get_num_threads()} thread(s)\n")
    print("| augmentation | versions | matched in another version | swap error | mean S* | CPU s |")
    print("|---|---|---|---|---|---|")
    for name, versions in WAYS.items():
        rows = []
        for whole, refs in samples:
            hr = crop_to_multiple(whole)
            start = time.process_time()
            found = match_images(upscale(downscale(hr)), refs, versions, encoder)
            taken = time.process_time() - start
            swapped = swap_features(found, refs, versions, encoder).maps["relu3_1"]
            truth = encoder.encode(hr)["relu3_1"]
            error = float((swapped - truth).norm() / truth.norm())
            rows.append((augmented(found, versions), error, float(found.cosine.mean()), taken))
        share, error, weight, taken = np.mean(rows, 0)
        row = name, len(versions), f"{share:.1%}", f"{error:.4f}", f"{weight:.4f}", f"{taken:.2f}"
        print("|", " | ".join(map(str, row)), "|", flush=True)


def main() -> None:
    """Measure the training pairs and the test groups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="folder that holds train/ and test/CUFED5/")
    parser.add_argument("--encoder-weights", default="imagenet")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, help="only so many of each kind")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    encoder = load_encoder(options.encoder_weights, 0, torch.device("cpu"))
    for title, found in (
        ("training pairs", list(pairs(options.dataset / "train"))),
        ("test groups with L1", list(groups(options.dataset / "test" / "CUFED5"))),
    ):
        if samples := found[: options.samples]:
            report(f"{len(samples)} {title}", samples, encoder)


if __name__ == "__main__":
    main()
