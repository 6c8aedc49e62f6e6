"""What a person looks at after a build: numbers, the histogram of counts, the contact sheet."""

from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srntt_pipeline.albums.levels import level_name
from srntt_pipeline.albums.manifest import Rejected, TestRow, TrainRow
from srntt_pipeline.albums.near_duplicates import NearDuplicate
from srntt_pipeline.albums.survey import CountedAlbum, Counts, Survey, count_histogram
from srntt_pipeline.config import BuildParams
from srntt_pipeline.figures import save_figure, spread
from srntt_pipeline.images import read_rgb
from srntt_pipeline.layout import TRAIN_INPUT, TRAIN_REF, group_file

_SHEET_GROUPS, _SHEET_PAIRS = 8, 4


def summarise(
    *,
    name: str,
    params: BuildParams,
    survey: Survey,
    is_test: npt.NDArray[np.bool_],
    train: list[TrainRow],
    test: list[TestRow],
    rejected: list[Rejected],
    near_duplicates: list[NearDuplicate],
) -> dict[str, Any]:
    """Return the content of `summary.json`: plain numbers, by level where that tells more."""
    levels = range(1, params.levels + 1)
    per_level = survey.pairs.sum(axis=0)
    cropped = Counter(row.level for row in train)
    groups = len({row.group for row in test})
    training = [a for a, of_test in zip(survey.albums, is_test, strict=True) if not of_test]
    return {
        "name": name,
        "albums": int((survey.photos > 0).sum()),
        "photos": int(survey.photos.sum()),
        "rejected": len(rejected),
        "photo_pairs": int(per_level.sum()),
        "photo_pairs_per_level": {level_name(k): int(per_level[k]) for k in levels},
        "photo_pairs_without_level": int(per_level[0]),
        "train_pairs": len(train),
        "train_pairs_per_level": {level_name(k): cropped[level_name(k)] for k in levels},
        "test_albums": [a.name for a, of in zip(survey.albums, is_test, strict=True) if of],
        "test_groups": groups,
        "near_duplicates": [f"{leak.album}/{leak.photo}: {leak}" for leak in near_duplicates],
        "warnings": [
            *_train_warnings(params, training, cropped),
            *_test_warnings(params, survey, groups),
            *_leak_warnings(params, near_duplicates),
        ],
    }


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


def plot_match_counts(path: Path, survey: Survey, params: BuildParams) -> None:
    """Plot the histogram of match counts of all photo pairs, coloured by level."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    bands = params.level_bands if params.levels_by == "bands" else ()
    counts = np.maximum(
        np.arange(survey.histogram.shape[1]), 1
    )  # none stands at 1: the axis is log
    most = max(int(counts[-1]), 2) + 1
    # Bands are among the edges, so that no bar holds two levels.
    edges = sorted({*np.geomspace(1, most, 60).astype(int).tolist(), *(max(b, 1) for b in bands)})
    order = [0, *range(params.levels, 0, -1)]
    axes.hist(
        [counts] * len(order),
        edges,
        weights=[survey.histogram[k] for k in order],
        stacked=True,
        label=["no level", *(level_name(k) for k in order[1:])],
        color=["0.8", *matplotlib.colormaps["viridis"](np.linspace(0.1, 0.9, params.levels))],
    )
    for k, band in enumerate(bands, start=1):
        axes.axvline(max(band, 1), color="black", linewidth=0.8)
        axes.annotate(
            f"{level_name(k)} ≥ {band}", (max(band, 1), 0.98), (3, 0), va="top", fontsize=8,
            xycoords=("data", "axes fraction"), textcoords="offset points",
        )  # fmt: skip
    axes.set(
        xscale="log",
        xlabel=f"best SIFT matches of HR in Ref (ratio {params.ratio:g})",
        ylabel="ordered photo pairs",
        title=f"{survey.pairs.sum()} photo pairs in {int((survey.photos > 1).sum())} albums",
    )
    axes.legend(loc="upper left")
    save_figure(figure, path)


def contact_sheet(path: Path, root: Path, train: list[TrainRow], test: list[TestRow]) -> None:
    """Draw some test groups, HR and references with their counts, and some training pairs by level.

    `root` is the data set's folder, whose images are shown.
    """
    groups = sorted({row.group for row in test})
    shown = [groups[i] for i in spread(len(groups), _SHEET_GROUPS)]
    levels = sorted({row.level for row in train})
    columns = max([2 * _SHEET_PAIRS if train else 1, *(row.k + 1 for row in test)])
    rows = max(1, len(shown) + len(levels))
    figure = Figure(figsize=(1.9 * columns, 1.75 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for line, group in zip(axes, shown, strict=False):
        for row in (row for row in test if row.group == group):
            title = f"group {group}: HR" if row.k == 0 else f"{row.level}: {row.matches} matches"
            _show(line[row.k], root / group_file(row.group, row.k), f"{title}\n{row.photo}")
    for line, level in zip(axes[len(shown) :], levels, strict=False):
        candidates = [row for row in train if row.level == level]
        for place, index in enumerate(spread(len(candidates), _SHEET_PAIRS)):
            pair = candidates[index]
            file = f"{pair.name}.png"
            _show(line[2 * place], root / TRAIN_INPUT / file, f"{level} train {pair.name}: HR")
            title = f"Ref: {pair.matches}, {pair.crop_matches} in crop"
            _show(line[2 * place + 1], root / TRAIN_REF / file, title)
    if not shown and not levels:
        axes.flat[0].text(0, 0, "no test groups, no training pairs")
    save_figure(figure, path)


def _show(axis: Axes, path: Path, title: str) -> None:
    axis.imshow(read_rgb(path))
    axis.set_title(title, fontsize=7)
