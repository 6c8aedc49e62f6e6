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
from srntt_pipeline.albums.manifest import Manifest
from srntt_pipeline.albums.manifest_rows import TestRow, TrainRow
from srntt_pipeline.config import BuildParams
from srntt_pipeline.figures import save_figure, spread
from srntt_pipeline.images import read_rgb
from srntt_pipeline.layout import TRAIN_INPUT, TRAIN_REF, group_file
from srntt_pipeline.text import short_name

_SHEET_GROUPS, _SHEET_PAIRS = 8, 4


def summarise(manifest: Manifest) -> dict[str, Any]:
    """Return the content of `summary.json`: plain numbers, by level where that tells more."""
    origin = manifest.origin
    cropped = Counter(row.level for row in manifest.train)
    levels = map(level_name, range(1, origin.params.levels + 1))
    return {
        "name": origin.name,
        **origin.counts.model_dump(mode="json"),
        "rejected": len(manifest.rejected),
        "train_pairs": len(manifest.train),
        "train_pairs_per_level": {level: cropped[level] for level in levels},
        "test_albums": origin.test_albums,
        "test_groups": manifest.groups,
        "near_duplicates": origin.near_duplicates,
        "warnings": _warnings(manifest),
    }


def _warnings(manifest: Manifest) -> list[str]:
    part = manifest.origin.rebuilt_from
    if not part:
        return manifest.origin.warnings
    return [
        f"rebuilt without {part.missing_photos} photos that are missing or changed: "
        f"{len(manifest.train)} of {part.train_pairs} training pairs and {manifest.groups} of "
        f"{part.test_groups} test groups are here; photos and photo_pairs are the whole's"
    ]


def plot_match_counts(path: Path, histogram: npt.NDArray[np.int64], params: BuildParams) -> None:
    """Plot the match counts of all photo pairs, coloured by level.

    `histogram` int64 [levels + 1, most + 1]: pairs per level (0: none) and match count.
    """
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    bands = params.level_bands if params.levels_by == "bands" else ()
    counts = np.maximum(np.arange(histogram.shape[1]), 1)  # none stands at 1: the axis is log
    most = max(int(counts[-1]), 2) + 1
    # Bars of ever more counts, since the axis is logarithmic; no bar holds two levels.
    edges = {1, most, *(max(band, 1) for band in bands)}
    edge = 1
    while edge < most:
        edge = max(edge + 1, round(1.15 * edge))
        edges.add(min(edge, most))
    order = [0, *range(params.levels, 0, -1)]
    axes.hist(
        [counts] * len(order),
        sorted(edges),
        weights=[histogram[k] for k in order],
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
        title=f"{histogram.sum()} photo pairs",
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
            _show(
                line[row.k],
                root / group_file(row.group, row.k),
                f"{title}\n{short_name(row.photo)}",
            )
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
