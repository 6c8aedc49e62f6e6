"""What every figure shares."""

import io
import warnings
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from srntt_pipeline.files import write_bytes
from srntt_pipeline.images import MADE_FROM

matplotlib.use("agg")  # pictures are files; no screen is needed


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Write `figure` as PNG, whole or not at all; `images.read_made_from` knows it as ours."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        # File names may be in scripts that Matplotlib's font lacks: boxes, not a broken figure.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(content, format="png", dpi=dpi, metadata={MADE_FROM: "figure"})
    write_bytes(path, content.getvalue())


def spread(count: int, most: int) -> list[int]:
    """Return up to `most` indices spread evenly over `count` things, to show some of many."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})
