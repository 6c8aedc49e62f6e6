"""Where the files of an evaluation lie in its folder."""

import re
from pathlib import Path

from srntt_pipeline.evaluation.protocols import PAPER_MAKING, Making
from srntt_pipeline.files import fingerprint

PER_IMAGE = "per_image.csv"
IMAGES, GRIDS, MEASURED = Path("images"), Path("grids"), Path("measured")


def slug(text: str) -> str:
    """Return `text` as a file name: `SRNTT-l2 (SISR)` → `srntt-l2-sisr`; without such, a hash."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or fingerprint(text)[:8]


def image_path(method: str, reference: str, name: str, making: Making = PAPER_MAKING) -> Path:
    """Return where an output image lies below the evaluation's folder.

    Pictures of another LR than the paper's, Pillow's of HR cropped to multiples of 4, have a
    folder of their own, such as `images/matlab-4/`.
    """
    folder = IMAGES if making == PAPER_MAKING else IMAGES / f"{making.kernel}-{making.multiple}"
    return folder / slug(method) / slug(reference) / f"{name}.png"
