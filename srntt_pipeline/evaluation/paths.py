"""Where the files of an evaluation lie in its folder."""

import re
from collections.abc import Iterable
from pathlib import Path

from srntt_pipeline.degradation import PAPER_MAKING, Making
from srntt_pipeline.files import fingerprint

PER_IMAGE = "per_image.csv"
TABLES = (
    "table.csv", "table.md", PER_IMAGE, "comparisons.csv", "costs.csv", "metrics.json",
    "notes.json", "index.html",
)  # fmt: skip
IMAGES, GRIDS, MEASURED = Path("images"), Path("grids"), Path("measured")
PAGE = Path("page")  # pictures that only the page needs


def slug(text: str) -> str:
    """Return `text` as a file name: `SRNTT-l2 (SISR)` → `srntt-l2-sisr`; without such, a hash."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or fingerprint(text)[:8]


def image_path(method: str, reference: str, name: str, making: Making = PAPER_MAKING) -> Path:
    """Return where an output image lies below the evaluation's folder.

    Pictures of another LR than the paper's, Pillow's of HR cropped to multiples of 4, have a
    folder of their own, such as `images/matlab-4/`; of LR that came with the test set
    `images/pillow-4-given/`.
    """
    kind = f"{making.kernel}-{making.multiple}" + "-given" * making.given
    folder = IMAGES if making == PAPER_MAKING else IMAGES / kind
    return folder / slug(method) / slug(reference) / f"{name}.png"


def measured_path(name: str) -> Path:
    """Return where the numbers of an image lie below the evaluation's folder."""
    return MEASURED / f"{name}.json"


def output_files(
    names: Iterable[str], pictures: Iterable[tuple[str, str]], makings: Iterable[Making]
) -> list[Path]:
    """Return where the output images (method, reference) and numbers of images `names` can lie."""
    shown = list(pictures)
    images = [
        image_path(method, reference, name, making)
        for name in names
        for making in makings
        for method, reference in shown
    ]
    return images + [measured_path(name) for name in names]
