"""Best SIFT matches: the ratio test, decided exactly as OpenCV's brute-force matcher decides it.

A descriptor of one photo has a best match in another when its nearest descriptor there is nearer
than `ratio` times the next nearest (Lowe). The number of best matches grades the similarity of two
photos (paper section 4). Cross-checked nearest neighbours do not: on the released CUFED5 their
counts do not fall from level to level, the ratio test's do.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from srntt_pipeline.config import Matching
from srntt_pipeline.portable import portable
from srntt_pipeline.sift import (
    Descriptors,
    Mask,
    Nearest,
    SiftFeatures,
    ratio_test,
    squared_distances,
)

Points = npt.NDArray[np.float32]

# Fewer matches fit any model: four points define a homography, eight a fundamental matrix.
_LEAST = {"homography": 5, "fundamental": 9}


class PairMatches(NamedTuple):
    """Photos a < b of an album by their places: best matches of a in b (`forth`), b in a."""

    a: int
    b: int
    forth: Nearest
    back: Nearest


def match_both_ways(a: Descriptors, b: Descriptors, matching: Matching) -> tuple[Nearest, Nearest]:
    """Return the best matches of `a` in `b` and of `b` in `a`, from one matrix of distances.

    With `matching.mutual`, only those whose ends are each other's nearest neighbours. What is
    compared is the distance: of two descriptors that are equally near, both are the nearest.
    """
    squared = squared_distances(a, b)
    if not squared.size:
        return ratio_test(squared, matching.ratio), ratio_test(squared.T, matching.ratio)
    forth = ratio_test(squared, matching.ratio)
    # Three times as fast as a copy of NumPy's transposed view.
    back = ratio_test(np.asarray(cv2.transpose(squared), np.float32), matching.ratio)
    if not matching.mutual:
        return forth, back
    nearest_of_a, nearest_of_b = squared.min(axis=1), squared.min(axis=0)
    return (
        Nearest(forth.place, forth.is_match & (nearest_of_a == nearest_of_b[forth.place])),
        Nearest(back.place, back.is_match & (nearest_of_b == nearest_of_a[back.place])),
    )


def pairs_of(photos: int, split: int | None) -> Iterator[tuple[int, range]]:
    """Yield the pairs of so many `photos`, by their places: each first one with its partners.

    All pairs without `split`; with it, those of one of the first `split` photos with one of the
    rest, which are two blocks of an album.
    """
    for a in range(photos if split is None else split):
        yield a, range(a + 1 if split is None else split, photos)


def verify(xy: Points, other_xy: Points, matching: Matching) -> Mask:
    """Tell which of K matches, float32 [K, 2] px each, one geometry explains, bool [K].

    OpenCV's MAGSAC fits the homography (a plane, or a camera that turned) or the fundamental matrix
    (a rigid scene) of `matching.verify` and keeps what lies within `matching.verify_px`.
    """
    if matching.verify == "none":
        return np.ones(len(xy), np.bool_)
    mask = None
    if len(xy) >= _LEAST[matching.verify]:
        fit = cv2.findHomography if matching.verify == "homography" else cv2.findFundamentalMat
        with portable():
            _, mask = fit(
                xy, other_xy, method=cv2.USAC_MAGSAC, ransacReprojThreshold=matching.verify_px,
                maxIters=2000, confidence=0.999,
            )  # fmt: skip
    return np.zeros(len(xy), np.bool_) if mask is None else mask.ravel().astype(np.bool_)


def verified(query: SiftFeatures, train: SiftFeatures, found: Nearest, matching: Matching) -> Mask:
    """Return `found.is_match`, the matches of `query` in `train`, less what `verify` rejects."""
    left = found.is_match.copy()
    other = train.xy[found.place[left]]
    left[left] = verify(query.xy[left], other, matching)
    return left


def best_matches(
    query: SiftFeatures, train: SiftFeatures, matching: Matching
) -> npt.NDArray[np.intp]:
    """Return the best matches of `query` in `train`, verified, as index pairs [K, 2]."""
    forth, _ = match_both_ways(query.descriptors, train.descriptors, matching)
    left = verified(query, train, forth, matching)
    return np.stack([np.flatnonzero(left), forth.place[left]], axis=1)
