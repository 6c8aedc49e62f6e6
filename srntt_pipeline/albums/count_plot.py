"""The histogram of match counts: how many photo pairs there are at each level."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srntt_pipeline.albums.levels import level_name
from srntt_pipeline.config import BuildParams
from srntt_pipeline.figures import save_figure

_GROWTH = 1.15  # from a bar to the next: the axis is logarithmic
_APART = 1.25  # factor between two ticks that can be read beside each other

Histogram = npt.NDArray[np.int64]


def draw(path: Path, whole: Histogram, test: Histogram, params: BuildParams) -> None:
    """Plot the match counts of all photo pairs to `path` (PNG): training albums, then test albums.

    `whole`, of all albums, and `test`, of the test albums: int64 [levels + 1, most + 1], pairs per
    level (0: none) and match count; `most` may be smaller for `test`. Bars are darker the higher
    the level; bands of counts, where they make the levels, are labelled with their pairs.
    """
    test = np.pad(test, ((0, 0), (0, whole.shape[1] - test.shape[1])))
    bands = params.level_bands if params.levels_by == "bands" else ()
    end = max(whole.shape[1], round(1.5 * max(bands, default=0)), 3)
    figure = Figure(figsize=(8.5, 6), layout="constrained")
    figure.suptitle("SIFT matches of the photo pairs", fontweight="bold")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, name, histogram in zip(
        panels, ("Training", "Test"), (whole - test, test), strict=True
    ):
        _bars(axes, histogram, end, bands)
        axes.set(xscale="log", xlim=(1, end), ylabel="ordered photo pairs")
        title = f"{name} albums: {histogram.sum():,} ordered photo pairs"
        axes.set_title(title, loc="left", pad=30 if bands else 6, fontsize=11)
        _label_bands(axes, histogram, end, bands)
    if not bands:
        panels[0].legend(loc="upper left", fontsize=8)
    places = _apart([*bands, *(10**power for power in range(int(math.log10(end)) + 1))])
    panels[1].set_xticks(places, [f"{place:,}" for place in places])
    panels[1].minorticks_off()
    panels[1].set_xlabel(
        f"best SIFT matches of HR in Ref (ratio {params.ratio:g}); pairs without any stand at 1"
    )
    save_figure(figure, path)


def _bars(axes: Axes, histogram: Histogram, end: int, bands: Sequence[int]) -> None:
    levels = len(histogram) - 1
    counts = np.maximum(np.arange(histogram.shape[1]), 1)  # the axis has no 0
    edges = {1, end, *(max(band, 1) for band in bands)}  # no bar holds two levels
    edge = 1
    while edge < end:
        edge = min(max(edge + 1, round(_GROWTH * edge)), end)
        edges.add(edge)
    order = [0, *range(levels, 0, -1)]
    axes.hist(
        [counts] * len(order),
        sorted(edges),
        weights=[histogram[k] for k in order],
        stacked=True,
        label=["no level", *(level_name(k) for k in order[1:])],
        color=["0.93", *matplotlib.colormaps["viridis"](np.linspace(0.9, 0.05, levels))],
        edgecolor="0.2",
        linewidth=0.5,
    )
    axes.set_ylim(0, 1.05 * max(histogram.sum(axis=0).max(), axes.dataLim.y1, 1))


def _label_bands(axes: Axes, histogram: Histogram, end: int, bands: Sequence[int]) -> None:
    """Write above each band which level it is and how many pairs it has, with a line between."""
    if not bands:
        return
    starts = [1, *(max(band, 1) for band in reversed(bands)), end]  # rising: none, lowest, …, L1
    for place, (left, right) in enumerate(itertools.pairwise(starts)):
        level = (len(bands) + 1 - place) % (len(bands) + 1)
        pairs = int(histogram[level].sum())
        if place:
            axes.axvline(left, color="black", linewidth=0.9, linestyle=(0, (4, 2)))
        axes.annotate(
            f"{level_name(level) if level else 'no level'}\n{pairs:,}",
            (math.sqrt(left * right), 1), (0, 3), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="bottom", fontsize=9,
            fontweight="bold" if level else "normal",
        )  # fmt: skip


def _apart(places: Sequence[int]) -> list[int]:
    """Return those of `places`, the first first, that leave each other room; at least 1."""
    kept: list[int] = []
    for place in places:
        if place >= 1 and all(max(place, k) >= _APART * min(place, k) for k in kept):
            kept.append(place)
    return sorted(kept)
