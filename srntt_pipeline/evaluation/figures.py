"""Figures of the page beside its grids: training curves, and what was matched where."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from srntt_pipeline.evaluation.paths import PAGE
from srntt_pipeline.evaluation.pictures import Pictures
from srntt_pipeline.figures import save_figure
from srntt_pipeline.files import fingerprint, read_json, write_json
from srntt_pipeline.methods import Method
from srntt_pipeline.methods.method import ALL
from srntt_pipeline.swaps.match_figure import draw
from srntt_pipeline.text import short_name

CURVES = ("loss.csv", "validation.csv")
_NO_CURVE = ("step", "phase")
_MOST_PANELS = 24
_LARGEST_RATIO = 50  # above it an axis is logarithmic


def draw_curves(folder: Path, path: Path) -> bool:
    """Draw the curves of a training, `loss.csv` and `validation.csv` in `folder`, to `path`.

    A panel for each column but `step` and `phase`, phases shaded. Returns False, and draws nothing,
    where there are no such files.
    """
    panels = []
    for name in CURVES:
        try:
            rows = pd.read_csv(folder / name)
        except (OSError, ValueError):  # not there, empty, or no CSV
            continue
        numbers = rows.select_dtypes("number")
        if "step" in numbers and len(rows):
            panels += [(name, rows, column) for column in numbers if column not in _NO_CURVE]
    panels = panels[:_MOST_PANELS]
    if not panels:
        return False
    figure = Figure(figsize=(9, 2.4 * len(panels) + 0.4), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axis, (name, rows, column) in zip(axes, panels, strict=True):
        values = rows[column].dropna()  # shares of the gradient are told of some steps alone
        steps = rows["step"][values.index]
        axis.plot(steps, values, linewidth=0.6 if len(values) > 100 else 1.4)
        if len(values) > 100:
            smooth = values.rolling(max(len(values) // 40, 2), min_periods=1).mean()
            axis.plot(steps, smooth, linewidth=1.6)
        if values.min() > 0 and values.max() > _LARGEST_RATIO * values.min():
            axis.set_yscale("log")
        if "phase" in rows:
            for number, (phase, part) in enumerate(rows.groupby("phase", sort=False)):
                start, end = part["step"].min() - 1, part["step"].max()
                axis.axvspan(start, end, color=f"C{number + 2}", alpha=0.08, label=str(phase))
            axis.legend(fontsize=8)
        axis.set(ylabel=column, title=name)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    save_figure(figure, path)
    return True


def draw_match(images: Pictures, methods: Sequence[Method]) -> Path | None:
    """Draw what the patches of LR are matched with in the references; return the PNG's path.

    By the first of `methods` that matches patches; None, and nothing is drawn, where none does or
    there are no references. Drawn only where it is not that picture already: the JSON beside it
    says of what. While `images` are made, the correspondence is at hand and not searched again.
    """
    method = next((method for method in methods if method.matches), None)
    group = images.group
    if method is None or not group.refs:
        return None
    shown = PAGE / "matches" / f"{group.name}.png"
    path, title = images.out / shown, f"{short_name(group.name)}: {', '.join(group.refs)}"
    made_from = fingerprint(
        [images.scene.made_from(ALL), method.identity(images.scene, ALL), title]
    )
    described = path.with_suffix(".json")
    known = path.exists() and described.exists()
    if not known or read_json(described, "delete it") != made_from:
        save_figure(draw(method.match(images.scene, images.hr), title), path)
        write_json(described, made_from)
    return shown
