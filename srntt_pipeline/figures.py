"""What every figure shares."""

import io
import warnings
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axis import Tick
from matplotlib.figure import Figure
from matplotlib.text import Text

from srntt_pipeline.files import write_bytes
from srntt_pipeline.images import MADE_FROM
from srntt_pipeline.text import printable, shortened

matplotlib.use("agg")  # pictures are files; no screen is needed

_LONGEST_LINE = 160  # characters
_LARGEST_PX = 30_000  # Matplotlib refuses sides of 65,536 px


def save_figure(figure: Figure, path: Path, dpi: float = 110) -> None:
    """Write `figure` as PNG, whole or not at all; `images.read_made_from` knows it as ours.

    As PDF, without the time, where the name ends in .pdf.
    Its texts are shown as they are, never as formulas.
    """
    _as_it_is(figure)
    dpi = min(dpi, _LARGEST_PX / max(figure.get_size_inches()))
    content = io.BytesIO()
    with warnings.catch_warnings():
        # File names may be in scripts that Matplotlib's font lacks: boxes, not a broken figure.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        _lay_out(figure, dpi)
        if path.suffix == ".pdf":
            figure.savefig(content, format="pdf", metadata={"CreationDate": None})
        else:
            figure.savefig(content, format="png", dpi=dpi, metadata={MADE_FROM: "figure"})
    write_bytes(path, content.getvalue())


def _lay_out(figure: Figure, dpi: float) -> None:
    """Place the axes as the figure's layout says, to a millionth of its sides.

    The solver adds up in the order of addresses in memory, so the last bit differs from run to run,
    and with it now and then a line's pixels.
    """
    if figure.get_layout_engine() is None:
        return
    figure.dpi = dpi  # texts' sizes depend on it
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = axes.get_position(original=True).bounds
        axes.set_position((round(left, 6), round(bottom, 6), round(width, 6), round(height, 6)))


def _as_it_is(figure: Figure) -> None:
    """Keep Matplotlib from reading names as formulas, and from lines that nothing can show."""
    # The labels of ticks are Matplotlib's own: on logarithmic axes they are formulas.
    ticks = {text for tick in figure.findobj(Tick) for text in tick.findobj(Text)}
    for text in figure.findobj(Text):
        if text not in ticks:
            lines = printable(text.get_text(), keep="\n").split("\n")
            text.set_text("\n".join(shortened(line, _LONGEST_LINE) for line in lines))
            text.set_parse_math(False)


def spread(count: int, most: int) -> list[int]:
    """Return up to `most` indices spread evenly over `count` things, to show some of many."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})
