"""What every figure shares."""

import io
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from srntt_pipeline.files import write_bytes
from srntt_pipeline.images import RGB, write_png
from srntt_pipeline.text import printable, shortened

matplotlib.use("agg")  # pictures are files; no screen is needed

_LONGEST_LINE = 160  # characters
_LARGEST_PX = 30_000  # Matplotlib refuses sides of 65,536 px
# Of PNG's compression: with the default, 6, files are 1 % smaller and take 1.6 times as long.
_LEVEL = 4


def save_figure(figure: Figure, path: Path, dpi: float = 110) -> None:
    """Write `figure` as PNG, whole or not at all; `images.read_made_from` knows it as ours.

    As PDF, without the time, where the name ends in .pdf; images are in it as they are.
    Its texts are shown as they are, never as formulas.
    """
    _as_it_is(figure)
    dpi = min(dpi, _LARGEST_PX / max(figure.get_size_inches()))
    with warnings.catch_warnings():
        # File names may be in scripts that Matplotlib's font lacks: boxes, not a broken figure.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        _lay_out(figure, dpi)
        if path.suffix == ".pdf":
            for image in figure.findobj(AxesImage):
                image.set_interpolation("none")  # else they have as many pixels as the page has dpi
            # TrueType: publishers refuse Matplotlib's own kind of fonts, Type 3.
            content = io.BytesIO()
            with matplotlib.rc_context({"pdf.fonttype": 42}):
                figure.savefig(content, format="pdf", metadata={"CreationDate": None})
            write_bytes(path, content.getvalue())
        else:
            write_png(path, _pixels(figure, dpi), "figure", dpi=(dpi, dpi), compress_level=_LEVEL)


def _pixels(figure: Figure, dpi: float) -> RGB:
    """Return a figure, drawn at that resolution: it has no transparent part."""
    figure.dpi = dpi
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _lay_out(figure: Figure, dpi: float) -> None:
    """Place the axes as the figure's layout says, to a millionth of its sides.

    The solver adds up in the order of addresses in memory, so the last bit differs from run to run,
    and with it now and then a line's pixels.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    figure.dpi = dpi  # texts' sizes depend on it
    engine.execute(figure)
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


class Sheet:
    """A figure filled with pictures and texts; lengths are inches, from the upper left."""

    def __init__(self, width: float) -> None:
        self._figure, self._width = Figure(), width
        self._axes: list[tuple[Axes, float, float, float, float]] = []
        self._texts: list[tuple[Text, float, float]] = []

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return new axes there, without ticks and frame."""
        # The label tells Matplotlib that they are others than those that it has.
        axes = self._figure.add_axes((0, 0, 1, 1), label=str(len(self._axes)))
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.patch.set_visible(False)
        self._axes.append((axes, left, top, width, height))
        return axes

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """Write lines of text whose upper left corner is there, in a style of Matplotlib's."""
        self._texts.append((self._figure.text(0, 0, text, **{"va": "top", **style}), left, top))

    def finish(self, height: float) -> Figure:
        """Return the figure, `height` high."""
        width = self._width
        self._figure.set_size_inches(width, height)
        for axes, left, top, wide, high in self._axes:
            place = (left / width, 1 - (top + high) / height, wide / width, high / height)
            axes.set_position(place)
        for text, left, top in self._texts:
            text.set_position((left / width, 1 - top / height))
        return self._figure


def frame(axes: Axes, corner: tuple[float, float], width: float, height: float) -> None:
    """Frame a box from its corner (x, y): black in white, to be seen on any photo."""
    around = [withStroke(linewidth=3.6, foreground="white")]
    axes.add_patch(
        Rectangle(
            corner, width, height, fill=False, edgecolor="black", linewidth=1.4,
            path_effects=around,
        )
    )  # fmt: skip


def spread(count: int, most: int) -> list[int]:
    """Return up to `most` indices spread evenly over `count` things, to show some of many."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})
