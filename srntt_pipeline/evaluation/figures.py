"""Figures of the page beside its grids: training curves, and what was matched where."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.paths import PAGE
from srntt_pipeline.evaluation.pictures import Pictures
from srntt_pipeline.figures import save_figure
from srntt_pipeline.files import fingerprint, read_json, write_json
from srntt_pipeline.methods import Method
from srntt_pipeline.methods.method import ALL
from srntt_pipeline.swaps.match_figure import draw
from srntt_pipeline.text import short_name

LOSSES, VALIDATION, METRICS = "loss.csv", "validation.csv", "metrics.json"
_PSNR, _BICUBIC = "psnr_db", "validation_bicubic_psnr_db"
_NO_CURVE = ("step", "phase")
_SHARE = "_share"
_MOST_PANELS = 24
_MANY = 100  # values; from there on their mean is drawn over them
_LARGEST_RATIO = 50  # above it an axis is logarithmic
_DRAWING = 2  # the way that matches are drawn: a picture of another is drawn anew
_INK, _FAINT = "black", "0.72"
_STYLES = ("-", "--", ":", "-.")
_MARKERS = "os^Dv"


@dataclass(frozen=True)
class _Phase:
    """A phase of the training, its first and last step."""

    name: str
    first: int
    last: int


def draw_curves(folder: Path, path: Path) -> bool:
    """Draw the curves of a training, `loss.csv` and `validation.csv` in `folder`, to `path` (PNG).

    The validation with bicubic's PSNR, which `metrics.json` tells; a panel for each column of the
    losses, and one for their shares of the gradient; phases are bands that are named at the top.
    Returns False, and draws nothing, where there are no such files.
    """
    losses, validation = _read(folder / LOSSES), _read(folder / VALIDATION)
    tables = [table for table in (losses, validation) if table is not None]
    if not tables:
        return False
    phases = _phases(tables[0])
    shares = [] if losses is None else [name for name in losses if name.endswith(_SHARE)]
    terms = [] if losses is None else [n for n in losses if n not in (*_NO_CURVE, *shares)]
    if losses is not None:  # one loss of weight 1 is the sum itself
        terms = [n for n in terms if n == "loss" or not losses[n].equals(losses.get("loss"))]
    terms = terms[:_MOST_PANELS]
    names = ["" for _ in range((validation is not None) + bool(shares))] + terms
    figure = Figure(figsize=(9, 2.1 * len(names) + 0.2 * len(phases) + 0.9), layout="constrained")
    ratios = [0.2 * max(len(phases), 1), *(2.1 for _ in names)]
    named, *panels = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
    _name_phases(named, phases)
    for panel in panels:
        _bands(panel, phases)
    rest = iter(panels)
    if validation is not None:
        _draw_validation(next(rest), validation, _bicubic(folder))
    if losses is not None:
        for term in terms:
            _draw_loss(next(rest), losses, term)
        if shares:
            _draw_shares(next(rest), losses, shares)
    panels[-1].set_xlabel("training step")
    panels[-1].set_xlim(0, 1.01 * max(int(table["step"].max()) for table in tables))
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
        [images.scene.made_from(ALL), method.identity(images.scene, ALL), title, _DRAWING]
    )
    described = path.with_suffix(".json")
    known = path.exists() and described.exists()
    if not known or read_json(described, "delete it") != made_from:
        save_figure(draw(method.match(images.scene, images.hr), title), path)
        write_json(described, made_from)
    return shown


def _read(path: Path) -> pd.DataFrame | None:
    """Return the numbers of a table by step, with the phase as text; None without a curve."""
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError):  # not there, empty, or no CSV
        return None
    numbers = rows.select_dtypes("number").dropna(axis=1, how="all")
    if "step" not in numbers or not len(rows) or len(numbers.columns) < 2:
        return None
    phase = rows["phase"].astype(str) if "phase" in rows else pd.Series("", rows.index)
    return numbers.assign(phase=phase)


def _phases(rows: pd.DataFrame) -> list[_Phase]:
    """Return the phases in their order; none where they have no name."""
    parts = rows.groupby("phase", sort=False)["step"]
    return [_Phase(str(name), int(part.min()), int(part.max())) for name, part in parts if name]


def _bicubic(folder: Path) -> float | None:
    """Return the PSNR of bicubic in the validation, dB, where it is told."""
    try:
        value = read_json(folder / METRICS, "").get(_BICUBIC)
    except (OSError, InputError, AttributeError):  # not there, or damaged
        return None
    return float(value) if isinstance(value, int | float) else None


def _name_phases(axes: Axes, phases: Sequence[_Phase]) -> None:
    """Write the names, each on a line of its own from the phase's first step on."""
    axes.set_axis_off()
    axes.set_ylim(len(phases) or 1, 0)
    end = max((phase.last for phase in phases), default=1)
    for line, phase in enumerate(phases):
        left = phase.first - 1
        late = left > 0.6 * end  # there is more room on the left
        axes.annotate(
            f"{short_name(phase.name)}, from step {phase.first:,}", (left, line + 0.5),
            (-4 if late else 4, 0), textcoords="offset points", ha="right" if late else "left",
            va="center", fontsize=9, annotation_clip=False,
        )  # fmt: skip
        axes.plot([left, left], [line, len(phases)], color=_INK, linewidth=0.9, clip_on=False)


def _bands(axes: Axes, phases: Sequence[_Phase]) -> None:
    for number, phase in enumerate(phases):
        if number % 2:
            axes.axvspan(phase.first - 1, phase.last, color="0.94", linewidth=0, zorder=0)
        axes.axvline(phase.first - 1, color=_INK, linewidth=0.9)
    axes.grid(alpha=0.3)


def _draw_validation(axes: Axes, rows: pd.DataFrame, bicubic: float | None) -> None:
    for column in (name for name in rows if name not in _NO_CURVE):
        label = "network" if column == _PSNR else column
        axes.plot(rows["step"], rows[column], color=_INK, marker="o", markersize=4, label=label)
    if bicubic is not None and _PSNR in rows:
        axes.axhline(bicubic, color=_INK, linestyle="--", label=f"bicubic, {bicubic:.2f} dB")
    if _PSNR in rows:
        axes.set_ylabel("PSNR (dB)")
    axes.set_title("Validation: mean PSNR of RGB, no border", loc="left", fontsize=10)
    axes.legend(fontsize=8)


def _draw_loss(axes: Axes, rows: pd.DataFrame, column: str) -> None:
    parts = rows[["step", "phase", column]].dropna()
    values = parts[column]
    many = len(values) > _MANY
    axes.plot(
        parts["step"], values, color=_FAINT if many else _INK, linewidth=0.6 if many else 1.4,
        marker="" if many else ".", label="each step",
    )  # fmt: skip
    if many:
        window = len(values) // 40
        # Phases have losses of their own: no mean goes over two of them.
        smooth = values.groupby(parts["phase"], sort=False).rolling(window, min_periods=1).mean()
        smooth = smooth.droplevel(0)
        for number, (_, part) in enumerate(smooth.groupby(parts["phase"], sort=False)):
            label = f"mean of {window} steps" if number == 0 else None
            axes.plot(rows["step"][part.index], part, color=_INK, linewidth=1.5, label=label)
        axes.legend(fontsize=8)
    if values.min() > 0 and values.max() > _LARGEST_RATIO * values.min():
        axes.set_yscale("log")
    axes.set_ylabel("loss (no unit)")
    whole = "Training loss: the weighted sum" if column == "loss" else f"{column}, unweighted"
    axes.set_title(whole, loc="left", fontsize=10)


def _draw_shares(axes: Axes, rows: pd.DataFrame, columns: Sequence[str]) -> None:
    for number, column in enumerate(columns):
        parts = rows[["step", column]].dropna()
        axes.plot(
            parts["step"], 100 * parts[column], label=column.removesuffix(_SHARE),
            linestyle=_STYLES[number % len(_STYLES)], marker=_MARKERS[number % len(_MARKERS)],
            markersize=4, color=str(0.18 * (number % len(_STYLES))),
        )  # fmt: skip
    axes.set(ylabel="share (%)", ylim=(-3, 103))
    axes.set_title("Share of each loss in the gradient by SR", loc="left", fontsize=10)
    axes.legend(fontsize=8)
