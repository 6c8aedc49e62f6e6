"""The HTML page of an evaluation: tables, pictures to compare, and their provenance.

One static folder that needs no network: `index.html` with its style and script in it, and pictures
that it names relatively. Without JavaScript, the tables and the first image's pictures are there.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from srntt_pipeline.evaluation.page_data import Picture, Shown, page_data
from srntt_pipeline.evaluation.page_dots import dots
from srntt_pipeline.evaluation.page_tables import page_table
from srntt_pipeline.evaluation.previews import (
    PREVIEW_PX,
    PREVIEW_QUALITY,
    REFERENCE_PX,
    REFERENCE_QUALITY,
)
from srntt_pipeline.files import write_bytes
from srntt_pipeline.text import printable

SOFTWARE = (
    "srntt-pipeline", "torch", "torchvision", "numpy", "pillow", "scikit-image",
    "opencv-contrib-python",
)  # fmt: skip

Row = Mapping[str, Any]


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
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    by_protocol: dict[str, list[Row]] = {}
    for row in table:
        by_protocol.setdefault(row["protocol"], []).append(row)
    protocols = [
        {
            "name": name,
            "meaning": description.protocols.get(name, ""),
            "table": page_table(rows),
            "dots": dots(rows),
        }
        for name, rows in by_protocol.items()
    ]
    page = environment.get_template("index.html.j2").render(
        page=description,
        protocols=protocols,
        data=page_data(description.shown),
        software=_software(),
        limits={
            "preview": (PREVIEW_PX, PREVIEW_QUALITY),
            "reference": (REFERENCE_PX, REFERENCE_QUALITY),
        },
    )
    write_bytes(out / "index.html", page.encode())


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
