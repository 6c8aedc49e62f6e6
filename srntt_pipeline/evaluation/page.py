"""The HTML page of an evaluation: tables, pictures to compare, and what made it all.

One static folder that needs no network: `index.html` with its style and script in it, and pictures
that it names relatively. Without JavaScript, tables and pictures are still there.
"""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, select_autoescape

from srntt_pipeline.files import write_bytes
from srntt_pipeline.text import printable

PAGE = Path("page")  # below the evaluation's folder: pictures that only the page needs
SOFTWARE = (
    "srntt-pipeline", "torch", "torchvision", "numpy", "pillow", "scikit-image",
    "opencv-contrib-python",
)  # fmt: skip

Row = Mapping[str, Any]
# Measure: its name in the table, digits shown, the paper's column.
_MEASURES = {
    "psnr_db": ("PSNR (dB)", 2, "paper_psnr_db"),
    "ssim": ("SSIM", 4, "paper_ssim"),
    "lpips": ("LPIPS", 4, ""),
    "dists": ("DISTS", 4, ""),
}
_PAPER_DIGITS = {"psnr_db": 2, "ssim": 3}


@dataclass(frozen=True)
class Picture:
    """One picture of an image: `path` relative to the page; `kind` is `input`, `output`, `truth` or
    `reference`; `value` is what stands below it, such as its PSNR.
    """

    label: str
    path: Path
    kind: str
    value: str = ""

    @property
    def url(self) -> str:
        """The path as a relative URL."""
        return quote(self.path.as_posix())


@dataclass(frozen=True)
class Shown:
    """An image with its pictures; `figures` are wide ones below them: grid, matches."""

    name: str
    pictures: Sequence[Picture]
    figures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Description:
    """What the page says beside numbers. `protocols`: what each means; `made_of`: sections of
    (key, value), such as a checkpoint's; `files`: links; all paths relative to the page.
    """

    title: str
    notes: Sequence[str] = ()
    protocols: Mapping[str, str] = field(default_factory=dict)
    shown: Sequence[Shown] = ()
    curves: Sequence[Picture] = ()
    made_of: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    files: Sequence[str] = ()


def write_page(out: Path, description: Description, table: Sequence[Row]) -> None:
    """Write `index.html` into `out` with the rows of table.csv, by protocol, and the description.

    Rows have `method`, `reference`, `protocol`, `images` and measures, as numbers or as text;
    measures with `_low` and `_high` are shown with their interval.
    """
    environment = Environment(
        loader=PackageLoader("srntt_pipeline.evaluation"),
        autoescape=select_autoescape(["html.j2"]),
        keep_trailing_newline=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    data = [
        {
            "name": printable(shown.name),
            "pictures": [
                {"label": printable(p.label), "url": p.url, "kind": p.kind, "value": p.value}
                for p in shown.pictures
            ],
        }
        for shown in description.shown
    ]
    by_protocol: dict[str, list[Row]] = {}
    for row in table:
        by_protocol.setdefault(row["protocol"], []).append(row)
    protocols = [
        {
            "name": name,
            "meaning": description.protocols.get(name, ""),
            "table": _cells(rows),
            "bars": _bars(rows),
        }
        for name, rows in by_protocol.items()
    ]
    page = environment.get_template("index.html.j2").render(
        page=description, protocols=protocols, data=data, software=_software()
    )
    write_bytes(out / "index.html", page.encode())


def _cells(rows: Sequence[Row]) -> dict[str, Any]:
    """Return header and cells of a table, as text; columns that no row fills are left out."""
    columns: list[tuple[str, list[str]]] = [
        ("Method", [str(row["method"]) for row in rows]),
        ("Reference", [str(row["reference"]) for row in rows]),
        ("Images", [str(row["images"]) for row in rows]),
    ]
    for measure, (name, digits, paper) in _MEASURES.items():
        ours = [_number(row.get(measure)) for row in rows]
        columns.append((name, [_text(value, digits) for value in ours]))
        ends = [[_number(row.get(f"{measure}_{end}")) for row in rows] for end in ("low", "high")]
        columns.append(
            (
                f"{name.split()[0]} 95 %",
                [
                    "" if low is None or high is None else f"{low:.{digits}f}…{high:.{digits}f}"
                    for low, high in zip(*ends, strict=True)
                ],
            )
        )
        if paper:
            theirs = [_number(row.get(paper)) for row in rows]
            short = _PAPER_DIGITS[measure]
            columns.append((f"paper {name.split()[0]}", [_text(v, short) for v in theirs]))
            columns.append(
                (
                    "difference",
                    [
                        "" if a is None or b is None else f"{a - b:+.{short}f}"
                        for a, b in zip(ours, theirs, strict=True)
                    ],
                )
            )
    filled = [column for column in columns if any(column[1])]
    return {
        "columns": [name for name, _ in filled],
        "rows": list(zip(*[cells for _, cells in filled], strict=True)),
    }


def _bars(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return PSNR by method and reference as bars: widths in % over the range of all rows."""
    values = [(row, _number(row.get("psnr_db"))) for row in rows]
    finite = [value for _, value in values if value is not None and math.isfinite(value)]
    if not finite:
        return []
    low, high = math.floor(min(finite)), max(finite)
    bars: dict[str, list[dict[str, str]]] = {}
    for row, value in values:
        if value is not None and math.isfinite(value):
            width = 100 * (value - low) / (high - low) if high > low else 100
            bar = {"reference": str(row["reference"]), "value": f"{value:.2f}"}
            bars.setdefault(str(row["method"]), []).append({**bar, "width": f"{width:.1f}"})
    return [{"method": method, "bars": own, "low": low} for method, own in bars.items()]


def _number(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _text(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def facts(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return nested JSON-able content as lines of (key, value): `train.steps`, `400`."""
    lines = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += [(f"{key}.{inner}", text) for inner, text in facts(value)]
        else:
            lines.append((key, value if isinstance(value, str) else json.dumps(value)))
    return lines


def _software() -> list[tuple[str, str]]:
    """Return name and version of what computes the numbers."""
    found = [("Python", platform.python_version())]
    for name in SOFTWARE:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:  # run from a source tree, or another build of OpenCV
            continue
    return found
