"""The picture grid of a test image: HR once, a detail of each output, and the references."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from srntt_pipeline.degradation import Making, make_hr
from srntt_pipeline.evaluation.detail import Detail, choose_detail
from srntt_pipeline.evaluation.paths import GRIDS, image_path
from srntt_pipeline.evaluation.pictures import LR_IMAGE, REFERENCES
from srntt_pipeline.figures import Sheet, frame, save_figure
from srntt_pipeline.images import RGB, SCALE, read_rgb
from srntt_pipeline.layout import Group
from srntt_pipeline.methods.method import NONE
from srntt_pipeline.text import short_name

MOST_CROPS = 12  # in two rows; more take more rows
_WIDTH, _GAP, _LINE, _REFERENCE = 14.0, 0.12, 0.19, 1.2  # inches
_DPI = 110, 300
_SHAPES = 0.6, 2.5  # a picture's width by its height, at least and at most: others leave room
_DECIMALS = {"psnr_db": 2, "ssim": 4}
_WRITTEN = {"psnr_db": (" dB", 0.04, "right"), "ssim": ("", 0.14, "left")}


@dataclass(frozen=True)
class _Crop:
    """A detail and what is written below it; `numbers`, PSNR and SSIM, of outputs alone."""

    label: str
    pixels: RGB
    numbers: Mapping[str, float] | None = None


def grid_files(names: Iterable[str]) -> list[Path]:
    """Return where the grids of the images `names` lie below the evaluation's folder."""
    return [GRIDS / f"{name}{suffix}" for name in names for suffix in (".png", ".pdf")]


def draw_grid(out: Path, group: Group, rows: Sequence[Mapping[str, Any]], making: Making) -> None:
    """Draw one group as PNG, and as PDF whose text is text and whose pixels are as they are.

    HR with a box; what is in the box of HR, LR and each output, with PSNR and SSIM of the whole
    image, the best of each in bold; and the references. `rows`: of the outputs to draw, of one
    protocol, as in per_image.csv.
    """
    hr = make_hr(read_rgb(group.hr, grey=True), making)
    outputs = [read_rgb(out / row["picture"]) for row in rows]
    detail = choose_detail(hr, outputs)
    lr = read_rgb(out / image_path(LR_IMAGE, NONE, group.name, making))
    crops = [_Crop("HR", detail.of(hr)), _Crop("LR", _of_lr(detail, lr))]
    references: dict[str, RGB] = {}
    for row, output in zip(rows, outputs, strict=True):
        reference = row["reference"]
        label = row["method"] if reference == NONE else f"{row['method']}, {reference}"
        numbers = {name: round(float(row[name]), digits) for name, digits in _DECIMALS.items()}
        crops.append(_Crop(label, detail.of(output), numbers))
        shown = _reference(out, group, reference, making)
        if shown is not None:
            references[reference] = shown
    protocol = rows[0]["protocol"] if rows else ""
    figure, dpi = _figure(group.name, hr, detail, crops, references, protocol)
    for file in grid_files([group.name]):
        save_figure(figure, out / file, dpi)


def _figure(
    name: str,
    hr: RGB,
    detail: Detail,
    crops: Sequence[_Crop],
    references: Mapping[str, RGB],
    protocol: str,
) -> tuple[Figure, float]:
    """Return the figure and its resolution, dpi, at which details lose no pixel."""
    rows = 2 if len(crops) <= MOST_CROPS else math.ceil(2 * len(crops) / MOST_CROPS)
    columns = math.ceil(len(crops) / rows)
    below = 2.3 * _LINE  # what is written there
    between = below + _GAP
    # Crops are so high that they and the picture, as high as all rows, fill the width.
    sizes = hr.shape[:2], (detail.height, detail.width)
    wide, shape = (float(np.clip(w / h, *_SHAPES)) for h, w in sizes)
    room = _WIDTH - 2 * _GAP - (columns + 1) * _GAP
    high = (room - wide * (rows - 1) * between) / (wide * rows + columns * shape)
    picture = rows * high + (rows - 1) * between

    sheet, top = Sheet(_WIDTH), _GAP + 1.3 * _LINE
    sheet.text(_GAP, _GAP, f"{short_name(name)}: HR, with the box of the details", fontsize=10)
    axes = sheet.axes(_GAP, top, picture * wide, picture)
    axes.imshow(hr)
    frame(axes, (detail.left - 0.5, detail.top - 0.5), detail.width, detail.height)
    numbered = [crop.numbers for crop in crops if crop.numbers]
    if numbered:
        told = f"PSNR, SSIM: of the whole image, protocol {protocol}; bold: the best"
        sheet.text(_WIDTH - _GAP, _GAP, told, fontsize=10, ha="right")
    best = {key: max((each[key] for each in numbered), default=math.nan) for key in _DECIMALS}
    for number, crop in enumerate(crops):
        row, column = divmod(number, columns)
        left = 3 * _GAP + picture * wide + column * (high * shape + _GAP)
        above = top + row * (high + between)
        sheet.axes(left, above, high * shape, high).imshow(crop.pixels)
        middle, above = left + high * shape / 2, above + high + 0.04
        sheet.text(middle, above, crop.label, fontsize=9, ha="center")
        for key, value in (crop.numbers or {}).items():
            unit, apart, side = _WRITTEN[key]
            sheet.text(
                middle + apart, above + _LINE, f"{value:.{_DECIMALS[key]}f}{unit}", fontsize=9,
                ha=side, fontweight="bold" if value == best[key] else "normal",
            )  # fmt: skip
    top += picture + between
    if references:
        top = _strip(sheet, top, references)
    return sheet.finish(top), float(np.clip(detail.width / (high * shape), *_DPI))


def _strip(sheet: Sheet, top: float, references: Mapping[str, RGB]) -> float:
    """Draw the references beside each other; return where they end."""
    shapes = {name: image.shape[1] / image.shape[0] for name, image in references.items()}
    room = _WIDTH - (len(shapes) + 1) * _GAP
    high = min(_REFERENCE, room / sum(shapes.values()))
    left = _GAP
    for name, image in references.items():
        sheet.text(left, top, f"Ref: {name}", fontsize=9)
        axes = sheet.axes(left, top + 1.1 * _LINE, high * shapes[name], high)
        axes.imshow(image)
        left += high * shapes[name] + _GAP
    return top + 1.1 * _LINE + high + _GAP


def _reference(out: Path, group: Group, reference: str, making: Making) -> RGB | None:
    if reference in group.refs:
        return read_rgb(group.refs[reference], grey=True)
    path = out / image_path(REFERENCES, reference, group.name, making)
    return read_rgb(path) if path.exists() else None


def _of_lr(detail: Detail, lr: RGB) -> RGB:
    """Return the detail of an LR image, whose pixels are SCALE of HR's."""
    left, top, width, height = (
        value // SCALE for value in (detail.left, detail.top, detail.width, detail.height)
    )
    return Detail(left, top, width, height).of(lr)
