"""Where VGG19's maps find matches and where a network's own do, on real pairs and known truth.

`python benchmarks/learnt.py CUFED --encoder-weights FILE --matching-checkpoint ttsr-rec`. Maps that
are swapped in are VGG19's in all rows. Swap errors are errors of these maps, which favours matches
by them; the image rebuilt of the matched patches (`paste`) favours neither. Of HR that was moved or
turned it is known where each patch lies.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from augmentations import SHIFTS, Sample, groups, moved, pairs
from timing import processor

from srntt_pipeline.config import MatchParams
from srntt_pipeline.images import crop_to_multiple, downscale
from srntt_pipeline.maps import LAYERS
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.match_sources import Match, paste, sources
from srntt_pipeline.swaps.matcher import Matcher, load_matcher
from srntt_pipeline.swaps.windowed import swap_features

Floats = npt.NDArray[np.float64]
_SIDE_PX = 160
_TURNS = [(angle, scale) for angle in (-10, -5, 5, 10) for scale in (0.9, 1.1)]


@dataclass(frozen=True)
class Known:
    """A sample whose truth is known.

    `to_ref`: [2, 3], the affine map from x, y of HR, px, to those of the reference; None: unknown.
    """

    sample: Sample
    to_ref: Floats | None = field(default=None)


def shifted(hr: npt.NDArray[np.uint8]) -> Iterator[Known]:
    """Yield crops of HR with the same moved by 0–3 px each way."""
    for (down, right), sample in moved(hr, _SIDE_PX).items():
        yield Known(sample, np.array([[1.0, 0, -right], [0, 1, -down]]))


def turned(hr: npt.NDArray[np.uint8]) -> Iterator[Known]:
    """Yield a crop of HR with the same place of HR turned about its middle and scaled."""
    top, left = ((length - _SIDE_PX) // 2 for length in hr.shape[:2])
    crop = np.s_[top : top + _SIDE_PX, left : left + _SIDE_PX]
    middle = hr.shape[1] / 2, hr.shape[0] / 2
    for angle, scale in _TURNS:
        turn = cv2.getRotationMatrix2D(middle, angle, scale)
        # OpenCV counts from the centre of the first pixel, we from its corner.
        of_centres = turn.copy()
        of_centres[:, 2] += turn[:, :2].sum(1) / 2 - 0.5
        size = hr.shape[1], hr.shape[0]
        whole = cv2.warpAffine(hr, of_centres, size, flags=cv2.INTER_CUBIC)
        to_ref = turn.copy()
        to_ref[:, 2] += turn[:, :2] @ (left, top) - (left, top)
        yield Known((hr[crop], [np.asarray(whole[crop], np.uint8)]), to_ref)


def measured(known: Known, matcher: Matcher) -> list[float]:
    """Return swap errors by layer, squared error of the pasted image, and shares of patches found.

    Found: within 1 px, and within 4 px, of the truth, of those whose truth lies in the reference.
    """
    hr, refs = crop_to_multiple(known.sample[0]), known.sample[1]
    lr = downscale(hr)
    found = matcher.match(lr, refs)
    match = Match(hr, matcher.upscaler(lr), refs, matcher.versions, found)
    maps = swap_features(found, refs, matcher.versions, matcher.encoder).maps
    truth = matcher.encoder.encode(hr)
    errors = [float((maps[layer] - truth[layer]).norm() / truth[layer].norm()) for layer in LAYERS]
    apart = np.square(paste(match).astype(float) - hr).mean()
    return [*errors, float(apart), *_found(known, match)]


def _found(known: Known, match: Match) -> list[float]:
    if known.to_ref is None:
        return [np.nan, np.nan]
    centres = sources(match).centres
    rows, columns = (4.0 * np.arange(length) + 6 for length in centres.shape[:2])
    x, y = np.meshgrid(columns, rows)
    truth = np.stack([x, y], -1) @ known.to_ref[:, :2].T + known.to_ref[:, 2]
    height, width = match.refs[0].shape[:2]
    inside = ((truth >= 6) & (truth <= (width - 6, height - 6))).all(-1)
    far = np.linalg.norm(centres - truth, axis=-1)[inside]
    return [float((far <= most).mean()) for most in (1.001, 4.001)]


def report(title: str, samples: Sequence[Known], matchers: dict[str, Matcher]) -> None:
    """Print a row for each way to match, means over `samples`; PSNR of the mean squared error."""
    print(f"\n{len(samples)} {title}, {processor()}, {torch.get_num_threads()} thread(s)\n")
    columns = ["matches", *(f"error {layer}" for layer in LAYERS), "pasted, dB"]
    columns += ["within 1 px", "within 4 px"]
    print("|", " | ".join(columns), "|\n|", " | ".join(["---"] * len(columns)), "|")
    for name, matcher in matchers.items():
        means = np.mean([measured(known, matcher) for known in samples], 0)
        *errors, apart, near, far = means
        shares = ["" if np.isnan(share) else f"{share:.1%}" for share in (near, far)]
        cells = [
            name,
            *(f"{error:.4f}" for error in errors),
            f"{10 * np.log10(255**2 / apart):.2f}",
            *shares,
        ]
        print("|", " | ".join(cells), "|", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="folder that holds train/ and test/CUFED5/")
    parser.add_argument("--encoder-weights", default="imagenet")
    parser.add_argument("--matching-checkpoint", nargs="+", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoder = load_encoder(options.encoder_weights, 0, torch.device("cpu"))
    plain = {"scales": (1.0,), "rotations_deg": (0.0,)}
    named = {"VGG19": plain}
    for path in options.matching_checkpoint:
        named[path] = {**plain, "matching": "learnt", "matching_checkpoint": path}
    matchers = {
        f"{name}, {way}": load_matcher(MatchParams(**given, refine=refine), encoder)
        for way, refine in (("on the grid", "none"), ("to the pixel", "relu3_1"))
        for name, given in named.items()
    }
    test = options.dataset / "test" / "CUFED5"
    hr = next(groups(test))[0]
    for title, samples in (
        ("training pairs", map(Known, pairs(options.dataset / "train"))),
        ("test groups with L1", map(Known, groups(test, 1))),
        ("test groups with L4", map(Known, groups(test, 4))),
        (f"crops of HR, moved by 0–{max(SHIFTS)} px each way", shifted(hr)),
        ("crops of HR, turned by 5° or 10° and scaled by 0.9 or 1.1", turned(hr)),
    ):
        report(title, list(samples), matchers)


if __name__ == "__main__":
    main()
