"""What whoever builds a data set should know of it: starved levels, too few groups, leaks."""

from collections import Counter

import numpy as np

from srntt_pipeline.albums.levels import level_name
from srntt_pipeline.albums.manifest_rows import TrainRow
from srntt_pipeline.albums.near_duplicates import NearDuplicate
from srntt_pipeline.albums.pairs import Counts
from srntt_pipeline.albums.survey import CountedAlbum, Survey, count_histogram
from srntt_pipeline.config import BuildParams


def advise(
    *,
    params: BuildParams,
    survey: Survey,
    training: list[CountedAlbum],
    train: list[TrainRow],
    groups: int,
    near_duplicates: list[NearDuplicate],
) -> list[str]:
    """Return warnings, a line each; `training` are the albums that are not for testing."""
    return [
        *_train_warnings(params, training, Counter(row.level for row in train)),
        *_test_warnings(params, survey, groups),
        *_leak_warnings(params, near_duplicates),
    ]


def _train_warnings(
    params: BuildParams, training: list[CountedAlbum], cropped: Counter[str]
) -> list[str]:
    """Say which levels are starved: below half an even share of the training pairs there are."""
    if not params.train_pairs:
        return []
    if not cropped:
        return [
            "no training pairs: no album outside the test set has pairs with a level by "
            f"{_by(params)} and {params.crop_matches} matches in a crop of {params.crop_px} px"
        ]
    even = round(cropped.total() / params.levels)
    starved = [k for k in range(1, params.levels + 1) if 2 * cropped[level_name(k)] < even]
    histogram = count_histogram(training, params) if starved else np.zeros((0, 0), np.int64)
    return [
        f"{level_name(k)} is starved: {cropped[level_name(k)]} of {cropped.total()} training "
        f"pairs, an even share is {even}; "
        + _fill(k, even, cropped[level_name(k)], histogram, params)
        for k in starved
    ]


def _fill(level: int, even: int, crops: int, histogram: Counts, params: BuildParams) -> str:
    """Return what would fill a starved `level`, judged by what its pairs have yielded.

    `histogram` int64 [levels + 1, most + 1]: the training albums' pairs per level and match count.
    """
    pairs = int(histogram[level].sum())
    if params.levels_by == "bands" and (crops or not pairs):
        wanted = even * pairs // crops if crops else even
        band = params.level_bands[level - 1]
        above = params.level_bands[level - 2] if level > 1 else histogram.shape[1]
        counts = histogram.sum(axis=0)[:above]
        for lower in range(min(band, len(counts)) - 1, 0, -1):
            if counts[lower:].sum() >= wanted:
                return f"a band from {lower} on, not {band}, would fill it"
    return (
        f"its {pairs} photo pairs gave no more crops of {params.crop_px} px with "
        f"{params.crop_matches} matches, and no lower band would: add photos, or lower crop_matches"
    )


def _test_warnings(params: BuildParams, survey: Survey, groups: int) -> list[str]:
    if not params.test_groups or groups:
        return []
    present = [k for k in range(1, params.levels + 1) if survey.pairs[:, k].any()]
    return [
        f"no test groups: no photo has a reference at each of {params.levels} levels by "
        f"{_by(params)} (levels present: {', '.join(map(level_name, present)) or 'none'}), or "
        "there is one album only; try other bands or levels_by quantiles"
    ]


def _leak_warnings(params: BuildParams, leaks: list[NearDuplicate]) -> list[str]:
    if not leaks:
        return []
    done = "trained on all the same" if params.keep_near_duplicates else "kept out of training"
    return [f"{len(leaks)} photos are near-duplicates of test photos, {done}: see summary.json"]


def _by(params: BuildParams) -> str:
    return f"bands {list(params.level_bands)}" if params.levels_by == "bands" else "quantiles"
