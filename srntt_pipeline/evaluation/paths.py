"""Where the files of an evaluation lie in its folder."""

import re
from pathlib import Path

IMAGES, GRIDS = Path("images"), Path("grids")


def slug(text: str) -> str:
    """Return `text` as a file name: `SRNTT-l2 (SISR)` → `srntt-l2-sisr`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def image_path(method: str, reference: str, name: str) -> Path:
    """Return where an output image lies below the evaluation's folder."""
    return IMAGES / slug(method) / slug(reference) / f"{name}.png"
