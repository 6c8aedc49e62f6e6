"""How Figure 5 looks: HR with a box, references below it, and the box enlarged by each method."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from PIL import Image

from srntt_pipeline.evaluation.detail import Detail
from srntt_pipeline.evaluation.figure5_examples import Example, Output
from srntt_pipeline.images import RGB, resize
from srntt_pipeline.text import short_name

# In pixels, so that details are enlarged by whole numbers and look as they are.
_DPI = 220
_WIDTH = 1584  # 7.2 inches: two columns of a paper
_GAP = 14
_LINE = 30
_FONT = 7.5  # points
_SMALLEST = 0.8  # of that; what is longer still loses its middle
_MOST_COLUMNS = 5
_LEAST_LEFT = 460  # of the width, for HR and references
_CROPS = 208, 320  # side of a detail: of five columns, and where there is room
_LEAST_HEIGHT = 460  # of HR with its references
_BOX = ("white", 3.0), ("#c00000", 1.4)  # two lines, so that it is seen on any ground


def draw_figure(
    examples: Sequence[Example], pictures: Sequence[Mapping[Path, RGB]]
) -> tuple[Figure, float]:
    """Return the figure of `examples`, each with its `pictures` by path, and its dpi.

    Each example has its `detail`.
    """
    blocks = [_Block(example, images) for example, images in zip(examples, pictures, strict=True)]
    left = max(block.left for block in blocks) + _GAP
    width = left + max(block.columns * block.cell[1] for block in blocks) - _GAP
    height = sum(block.height for block in blocks) + 2 * _GAP * (len(blocks) - 1)
    sheet = _Sheet(height, width)
    top = 0
    for block in blocks:
        block.draw(sheet, top, left)
        top += block.height + 2 * _GAP
    return sheet.figure, _DPI


class _Sheet:
    """A figure on which pictures and lines are placed by pixels from its left upper corner."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.figure = Figure(figsize=(width / _DPI, height / _DPI))

    def picture(
        self, image: RGB, left: int, top: int, size: tuple[int, int], box: Detail | None = None
    ) -> None:
        """Show `image` at a `size` (height, width); with a box around a detail of it.

        It is enlarged as it is, pixel by pixel, and shrunk by Lanczos.
        """
        height, width = size
        scale = width / image.shape[1]
        if height < image.shape[0]:
            image = resize(image, height, width, Image.Resampling.LANCZOS)
        place = left / self.width, 1 - (top + height) / self.height
        axes = self.figure.add_axes((*place, width / self.width, height / self.height))
        axes.imshow(image, interpolation="none", aspect="auto", extent=(0, width, height, 0))
        axes.axis("off")
        for colour, line in _BOX if box else ():
            assert box is not None
            corner = box.left * scale, box.top * scale
            sides = box.width * scale, box.height * scale
            axes.add_patch(Rectangle(corner, *sides, fill=False, edgecolor=colour, linewidth=line))

    def line(self, text: str, left: int, top: int, width: int, bold: bool = False) -> None:
        """Write a line in the middle of `width` px, smaller if it is long."""
        weight = "bold" if bold else "normal"
        text = short_name(text)
        factor = width / _text_width(text, weight)
        if factor < _SMALLEST:
            text = short_name(text, max(int(len(text) * factor / _SMALLEST) - 1, 3))
            factor = width / _text_width(text, weight)
        self.figure.text(
            (left + width / 2) / self.width, 1 - (top + _LINE / 2) / self.height, text,
            fontsize=_FONT * min(factor, 1), fontweight=weight, ha="center", va="center",
        )  # fmt: skip


def _text_width(text: str, weight: str) -> float:
    """Return the width of a text of the whole font size, px."""
    font = FontProperties(size=_FONT, weight=weight)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return max(float(width), 1.0) * _DPI / 72


@dataclass(frozen=True)
class _Block:
    """One image: at the left HR and below it the references, at the right details in rows."""

    example: Example
    images: Mapping[Path, RGB]

    @property
    def detail(self) -> Detail:
        assert self.example.detail is not None
        return self.example.detail

    @property
    def columns(self) -> int:
        return min(_MOST_COLUMNS, math.ceil((1 + len(self.example.outputs)) / 2))

    @property
    def box(self) -> int:
        """The side of the square that a detail may fill."""
        room = (_WIDTH - _LEAST_LEFT) // self.columns - _GAP
        return min(max(room, _CROPS[0]), _CROPS[1])

    @property
    def crop(self) -> tuple[int, int]:
        """Height and width of a detail: a whole multiple of its pixels, or shrunk into the box."""
        height, width = self.detail.height, self.detail.width
        whole = self.box // max(height, width)
        factor = whole or self.box / max(height, width)
        return max(1, round(height * factor)), max(1, round(width * factor))

    @property
    def cell(self) -> tuple[int, int]:
        """Height and width of a detail with its two lines and its distance from the next."""
        return self.crop[0] + 2 * _LINE + _GAP // 2, max(self.crop[1], _CROPS[0]) + _GAP

    @property
    def height(self) -> int:
        rows = math.ceil((1 + len(self.example.outputs)) / self.columns)
        return max(rows * self.cell[0], _LEAST_HEIGHT)

    @property
    def left(self) -> int:
        """The width of HR and of the references side by side."""
        references = [width + _GAP for _, width in self.references.values()]
        return max(self.hr[1], sum(references) - _GAP)

    @cached_property
    def hr(self) -> tuple[int, int]:
        """Height and width of HR: with references, three fifths of the height are its own."""
        height = self.height * 3 // 5 if self.example.references else self.height
        return _within(self.images[self.example.hr], height - _LINE, self._room)

    @cached_property
    def references(self) -> dict[str, tuple[int, int]]:
        """Height and width of each reference: they share what HR leaves below it."""
        names = list(self.example.references)
        height = self.height - self.hr[0] - 2 * _LINE - _GAP // 2
        room, sizes = self._room + _GAP, {}
        for place, name in enumerate(names):
            # Each may take its share of what those before it left.
            share = max(room // (len(names) - place) - _GAP, 1)
            sizes[name] = _within(self.images[self.example.references[name]], height, share)
            room -= sizes[name][1] + _GAP
        return sizes

    @property
    def _room(self) -> int:
        return _WIDTH - self.columns * self.cell[1] - _GAP

    def draw(self, sheet: _Sheet, top: int, left: int) -> None:
        """Draw it below `top`, its details right of `left`."""
        self._draw_hr(sheet, top)
        best = max(output.psnr_db for output in self.example.outputs)
        for place, output in enumerate([None, *self.example.outputs]):
            row, column = divmod(place, self.columns)
            below, right = top + row * self.cell[0], left + column * self.cell[1]
            self._draw_detail(sheet, output, right, below, best)

    def _draw_hr(self, sheet: _Sheet, top: int) -> None:
        height, width = self.hr
        sheet.picture(self.images[self.example.hr], 0, top, self.hr, self.detail)
        sheet.line(f"{self.example.image}: HR", 0, top + height, width)
        left, top = 0, top + height + _LINE + _GAP // 2
        for name, size in self.references.items():
            sheet.picture(self.images[self.example.references[name]], left, top, size)
            sheet.line(f"Ref. {name}", left, top + size[0], size[1])
            left += size[1] + _GAP

    def _draw_detail(
        self, sheet: _Sheet, output: Output | None, left: int, top: int, best: float
    ) -> None:
        image = self.images[output.path if output else self.example.hr]
        height, width = self.crop
        across = self.cell[1] - _GAP
        sheet.picture(self.detail.of(image), left + (across - width) // 2, top, self.crop)
        sheet.line(output.label if output else "HR", left, top + height, across)
        if output:
            value = f"{output.psnr_db:.2f}"
            bold = value == f"{best:.2f}" and len(self.example.outputs) > 1
            sheet.line(f"{value} dB", left, top + height + _LINE, across, bold)


def _within(image: RGB, height: int, width: int) -> tuple[int, int]:
    """Return height and width of an image that fills these without losing its shape."""
    factor = min(height / image.shape[0], width / image.shape[1])
    return max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor))
