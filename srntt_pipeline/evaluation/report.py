"""Picture grids and the HTML page of an evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from srntt_pipeline.degradation import Making, make_hr
from srntt_pipeline.evaluation.gallery import describe, forget_others
from srntt_pipeline.evaluation.measure import GroupJob
from srntt_pipeline.evaluation.page import write_page
from srntt_pipeline.evaluation.paths import GRIDS, image_path
from srntt_pipeline.evaluation.pictures import LR_IMAGE, REFERENCES
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.figures import save_figure, spread
from srntt_pipeline.images import RGB, read_rgb
from srntt_pipeline.layout import Group
from srntt_pipeline.methods.method import NONE
from srntt_pipeline.outputs import Output

_MOST_GRIDS = 8


def write_report(
    output: Output,
    *,
    table: Sequence[dict[str, Any]],
    per_image: Sequence[dict[str, Any]],
    protocols: Sequence[Protocol],
    jobs: Sequence[GroupJob],
    run: Mapping[str, Any],
    notes: Sequence[str],
    workers: int = 1,
) -> None:
    """Write grids and the page; pictures and their PSNR are of the first protocol.

    `jobs`: of the groups that were measured. Grids show the first method, which is the baseline,
    and the first that takes references; `run`: what the page says of the run beside protocols and
    methods.
    """
    out, methods = output.folder, jobs[0].methods
    groups = [job.group for job in jobs]
    others = sorted(methods[1:], key=lambda method: method.takes(NONE))
    compared = [method.name for method in (methods[0], *others[:1])]
    main = protocols[0]
    rows = [row for row in per_image if row["protocol"] == main.name]
    shown = [groups[i] for i in spread(len(groups), _MOST_GRIDS)]
    for group in shown:
        own = [row for row in rows if row["image"] == group.name and row["method"] in compared]
        draw_grid(out, group, own, main.making)
    description = describe(
        out,
        rows,
        jobs=jobs,
        in_full={group.name for group in shown},
        protocols=protocols,
        run=run,
        title=f"{table[0]['dataset']}: ×4 super-resolution with references",
        notes=notes,
        workers=workers,
    )
    write_page(out, description, table)
    forget_others(output, description)


def draw_grid(
    out: Path,
    group: Group,
    rows: Sequence[Mapping[str, Any]],
    making: Making,
) -> None:
    """Draw one group: outputs with PSNR, the same detail of each, and the reference behind each.

    `rows`: of the outputs to draw, as in per_image.csv.
    """
    hr = make_hr(read_rgb(group.hr, grey=True), making)
    columns: list[tuple[str, RGB, RGB | None]] = []
    for row in rows:
        reference = row["reference"]
        label = row["method"] if reference == NONE else f"{row['method']}, {reference}"
        sr = read_rgb(out / row["picture"])
        behind = _shown_reference(out, group, reference, making)
        columns.append((f"{label}\n{row['psnr_db']:.2f} dB", sr, behind))
    lr = read_rgb(out / image_path(LR_IMAGE, NONE, group.name, making))
    columns = [("LR", lr, None), *columns, ("HR", hr, None)]
    top, left, height, width = _finest_detail(hr)
    shape = hr.shape[0] / hr.shape[1]
    figure = Figure(figsize=(2.3 * len(columns), 2.3 * (2 * shape + 1) + 0.6), layout="constrained")
    axes = figure.subplots(
        3, len(columns), squeeze=False, height_ratios=[shape, height / width, shape]
    )
    for axis in axes.flat:
        axis.axis("off")
    for (title, image_, reference_), column in zip(columns, axes.T, strict=True):
        factor = image_.shape[0] / hr.shape[0]
        column[0].imshow(image_, interpolation="nearest")
        column[0].set_title(title, fontsize=9)
        box = (left * factor - 0.5, top * factor - 0.5), width * factor, height * factor
        column[0].add_patch(Rectangle(*box, fill=False, edgecolor="yellow", linewidth=1))
        high = slice(round(top * factor), round((top + height) * factor))
        wide = slice(round(left * factor), round((left + width) * factor))
        column[1].imshow(image_[high, wide], interpolation="nearest")
        if reference_ is not None:
            column[2].imshow(reference_)
            column[2].set_title("its reference", fontsize=8)
    save_figure(figure, out / GRIDS / f"{group.name}.png")


def _shown_reference(out: Path, group: Group, reference: str, making: Making) -> RGB | None:
    if reference in group.refs:
        return read_rgb(group.refs[reference], grey=True)
    path = out / image_path(REFERENCES, reference, group.name, making)
    return read_rgb(path) if path.exists() else None


def _finest_detail(hr: RGB) -> tuple[int, int, int, int]:
    """Return top, left, height, width of the quarter-size window with the most gradient."""
    grey = hr.mean(axis=2)
    energy = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    height, width = hr.shape[0] // 16 * 4 or 4, hr.shape[1] // 16 * 4 or 4
    sums = np.pad(energy.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    windows = (
        sums[height:, width:]
        - sums[:-height, width:]
        - sums[height:, :-width]
        + sums[:-height, :-width]
    )
    windows = windows[::4, ::4]  # whole LR pixels
    top, left = np.unravel_index(windows.argmax(), windows.shape)
    return int(top) * 4, int(left) * 4, height, width
