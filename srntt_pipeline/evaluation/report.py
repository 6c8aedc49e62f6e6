"""Tables, picture grids and what the HTML page of an evaluation shows."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from srntt_pipeline.evaluation.gallery import describe, forget_others
from srntt_pipeline.evaluation.page import write_page
from srntt_pipeline.evaluation.paper import paper_number
from srntt_pipeline.evaluation.paths import GRIDS, image_path, slug
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.evaluation.restore import Restorer
from srntt_pipeline.figures import save_figure, spread
from srntt_pipeline.files import csv_bytes, write_bytes, write_json
from srntt_pipeline.images import RGB, crop_to_multiple, read_rgb
from srntt_pipeline.layout import Group

TABLE_COLUMNS = (
    "dataset", "method", "reference", "protocol", "images", "psnr_db", "ssim",
    "paper_psnr_db", "paper_ssim",
)  # fmt: skip
_MOST_GRIDS = 8


def summarise(per_image: Sequence[dict[str, Any]], alone: bool) -> list[dict[str, Any]]:
    """Return the rows of `table.csv`: means over images by method and reference.

    `alone`: the set has no references. Rows stand in the order in which they first occur.
    """
    rows = pd.DataFrame(per_image)
    table = []
    for keys, group in rows.groupby(["dataset", "method", "reference", "protocol"], sort=False):
        dataset, method, reference, protocol = map(str, keys)
        paper = paper_number(dataset, method, reference, alone)
        table.append(
            {
                "dataset": dataset,
                "method": method,
                "reference": reference,
                "protocol": protocol,
                "images": len(group),
                "psnr_db": round(float(group["psnr_db"].mean()), 4),
                "ssim": round(float(group["ssim"].mean()), 5),
                "paper_psnr_db": paper.psnr_db if paper else None,
                "paper_ssim": paper.ssim if paper else None,
            }
        )
    return table


def write_report(
    out: Path,
    *,
    table: list[dict[str, Any]],
    per_image: list[dict[str, Any]],
    protocol: Protocol,
    groups: Sequence[Group],
    method: str | None,
    restorer_notes: list[str],
    restorer: Restorer | None = None,
    made_of: Mapping[str, Any] | None = None,
) -> None:
    """Write tables, metrics, grids and the page into `out`.

    `made_of`: what the page says of the run beside the checkpoint of `restorer`.
    """
    notes = [*restorer_notes, *_paper_notes(table)]
    write_bytes(out / "table.csv", csv_bytes(TABLE_COLUMNS, table))
    rounded = [
        {**row, "psnr_db": round(row["psnr_db"], 4), "ssim": round(row["ssim"], 5)}
        for row in per_image
    ]
    write_bytes(out / "per_image.csv", csv_bytes(list(rounded[0]), rounded))
    write_json(
        out / "metrics.json",
        {
            slug(f"{row['method']} {row['reference']}"): {
                # JSON knows no infinity, which is what equal images have.
                "psnr_db": row["psnr_db"] if math.isfinite(row["psnr_db"]) else None,
                "ssim": row["ssim"],
            }
            for row in table
        },
    )
    shown = [groups[i] for i in spread(len(groups), _MOST_GRIDS)]
    psnr = {(row["image"], row["method"], row["reference"]): row["psnr_db"] for row in per_image}
    for group in shown:
        draw_grid(out, group, method, psnr)
    environment = Environment(
        loader=PackageLoader("srntt_pipeline.evaluation"),
        autoescape=select_autoescape(["html.j2"]),
        keep_trailing_newline=True,
    )
    environment.filters["difference"] = _difference
    content = {
        "table": table,
        "protocol": protocol,
        "notes": notes,
    }
    text = environment.get_template("table.md.j2").render(**content)
    write_bytes(out / "table.md", text.encode())
    description = describe(
        out,
        per_image,
        groups=groups,
        in_full={group.name for group in shown},
        protocols=[protocol],
        restorers=[restorer] if restorer else [],
        run=made_of or {},
        title=f"{table[0]['dataset']}: ×4 super-resolution with references",
        notes=notes,
    )
    write_page(out, description, table)
    forget_others(out, description)


def _paper_notes(table: list[dict[str, Any]]) -> list[str]:
    if not any(row["paper_psnr_db"] for row in table):
        return []
    return [
        "The paper does not say how its numbers were measured; its columns follow different "
        "protocols (Urban100: paper-urban100; Sun80: near rgb; CUFED5: unknown). A difference is "
        "meaningful only where the protocol and the images are the same."
    ]


def _difference(ours: float, paper: float, digits: int) -> str:
    return f"{ours - paper:+.{digits}f}"


def draw_grid(
    out: Path,
    group: Group,
    method: str | None,
    psnr: dict[tuple[str, str, str], float],
) -> None:
    """Draw one group: outputs with PSNR, the same detail of each, and the reference behind each."""
    hr = crop_to_multiple(read_rgb(group.hr, grey=True))
    columns: list[tuple[str, RGB, RGB | None]] = []
    for (image, made_by, reference), value in psnr.items():
        if image == group.name and made_by in ("Bicubic", method):
            sr = read_rgb(out / image_path(made_by, reference, group.name))
            label = made_by if reference == "none" else f"{made_by}, {reference}"
            columns.append(
                (f"{label}\n{value:.2f} dB", sr, _shown_reference(out, group, reference))
            )
    lr = read_rgb(out / image_path("LR", "none", group.name))
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
        rows = slice(round(top * factor), round((top + height) * factor))
        cols = slice(round(left * factor), round((left + width) * factor))
        column[1].imshow(image_[rows, cols], interpolation="nearest")
        if reference_ is not None:
            column[2].imshow(reference_)
            column[2].set_title("its reference", fontsize=8)
    save_figure(figure, out / GRIDS / f"{group.name}.png")


def _shown_reference(out: Path, group: Group, reference: str) -> RGB | None:
    if reference in group.refs:
        return read_rgb(group.refs[reference], grey=True)
    path = out / image_path("references", reference, group.name)
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
