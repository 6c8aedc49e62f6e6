"""What to know of a data set that was built: levels with few pairs, too few groups, leaks."""

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
        *_scarce(params, training, Counter(row.level for row in train)),
        *what_is_lacking(params, survey, len(train), groups),
        *_leak_warnings(params, near_duplicates),
    ]


def what_is_lacking(
    params: BuildParams, survey: Survey, pairs: int, groups: int, *, unasked: bool = False
) -> list[str]:
    """Return why there are no training `pairs` and no test `groups`, a line for each, if so.

    Only of what `params` ask for, or with `unasked` of both.
    """
    lacking = []
    if not pairs and (unasked or params.train_pairs):
        lacking.append(f"no training pairs: {_why_no_pairs(params)}")
    if not groups and (unasked or params.test_groups):
        lacking.append(f"no test groups: {_why_no_groups(params, survey)}")
    return lacking


def _why_no_pairs(params: BuildParams) -> str:
    if not params.train_pairs:
        return "train_pairs is 0"
    return (
        f"no album outside the test set has pairs with a level by {_by(params)} and "
        f"{params.crop_matches} matches in a crop of {params.crop_px} px"
    )


def _why_no_groups(params: BuildParams, survey: Survey) -> str:
    if not params.test_groups:
        return "test_groups is 0"
    usable = [album.name for album, n in zip(survey.albums, survey.photos, strict=True) if n > 1]
    if len(usable) == 1:
        return (
            f"there is one album with two usable photos, {usable[0]}, and no album of a test photo "
            "is trained on; a test set needs a second album, or this one's photos in two folders"
        )
    present = [k for k in range(1, params.levels + 1) if survey.pairs[:, k].any()]
    return (
        f"no photo has a reference at each of {params.levels} levels by {_by(params)} (levels "
        f"present: {', '.join(map(level_name, present)) or 'none'}); try other bands, or levels_by "
        "quantiles"
    )


def _scarce(params: BuildParams, training: list[CountedAlbum], cropped: Counter[str]) -> list[str]:
    """Say which levels have few pairs: below half an even share of the training pairs there are.

    Judged by the albums that are trained on: no pair of a test album can fill a level.
    """
    if not cropped:
        return []
    even = round(cropped.total() / params.levels)
    scarce = [k for k in range(1, params.levels + 1) if 2 * cropped[level_name(k)] < even]
    histogram = count_histogram(training, params) if scarce else np.zeros((0, 0), np.int64)
    return [
        f"{level_name(k)} has few pairs: {cropped[level_name(k)]} of {cropped.total()} training "
        f"pairs, an even share is {even}; "
        + _fill(k, even, cropped[level_name(k)], histogram, params)
        for k in scarce
    ]


def _fill(level: int, even: int, crops: int, histogram: Counts, params: BuildParams) -> str:
    """Return what would fill a `level` with few pairs, judged by what its pairs have yielded.

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
        f"its {pairs} photo pairs in albums to train on gave no more crops of {params.crop_px} px "
        f"with {params.crop_matches} matches, and no lower band would: add photos, or lower "
        "crop_matches"
    )


def _leak_warnings(params: BuildParams, leaks: list[NearDuplicate]) -> list[str]:
    if not leaks:
        return []
    done = "trained on all the same" if params.keep_near_duplicates else "kept out of training"
    return [f"{len(leaks)} photos are near-duplicates of test photos, {done}: see summary.json"]


def _by(params: BuildParams) -> str:
    return f"bands {list(params.level_bands)}" if params.levels_by == "bands" else "quantiles"
