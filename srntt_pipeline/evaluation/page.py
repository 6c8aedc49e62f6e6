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

from srntt_pipeline.evaluation.columns import DATASET, PROTOCOL, lay_out, number
from srntt_pipeline.evaluation.table_formats import to_html
from srntt_pipeline.files import write_bytes
from srntt_pipeline.text import printable

PAGE = Path("page")  # below the evaluation's folder: pictures that only the page needs
SOFTWARE = (
    "srntt-pipeline", "torch", "torchvision", "numpy", "pillow", "scikit-image",
    "opencv-contrib-python",
)  # fmt: skip

Row = Mapping[str, Any]


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
            "table": to_html(lay_out(rows, without=(DATASET, PROTOCOL))),
            "bars": _bars(rows),
        }
        for name, rows in by_protocol.items()
    ]
    page = environment.get_template("index.html.j2").render(
        page=description, protocols=protocols, data=data, software=_software()
    )
    write_bytes(out / "index.html", page.encode())


def _bars(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return PSNR by method and reference as bars: widths in % over the range of all rows."""
    values = [(row, number(row, "psnr_db")) for row in rows]
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
