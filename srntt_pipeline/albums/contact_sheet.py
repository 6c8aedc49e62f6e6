"""The contact sheet: some test groups and training pairs of a data set, for a person to look at."""

from collections.abc import Sequence
from pathlib import Path

import cv2
from matplotlib.axes import Axes

from srntt_pipeline.albums.levels import level_name
from srntt_pipeline.albums.manifest import Manifest
from srntt_pipeline.albums.manifest_rows import TestRow, TrainRow
from srntt_pipeline.albums.pixels import Cut, CutJob, read_whole
from srntt_pipeline.figures import Sheet, frame, save_figure, spread
from srntt_pipeline.images import RGB, read_rgb
from srntt_pipeline.layout import TRAIN_INPUT, TRAIN_REF, group_file
from srntt_pipeline.text import short_name, shortened

_GROUPS, _PAIRS = 8, 3  # shown at most: groups in all, pairs of a level
# Inches.
_WIDTH, _MARGIN, _LABEL, _GAP, _LINE, _BAND = 10.8, 0.15, 1.3, 0.1, 0.16, 0.34
_THUMBNAIL_PX = 320


def draw(path: Path, root: Path, manifest: Manifest, jobs: Sequence[CutJob]) -> None:
    """Draw the contact sheet to `path` (PNG).

    Test groups: HR and references with their match counts. Training pairs, by level: both crops,
    and below them the photos with the boxes that the crops were cut from. `root` is the data set's
    folder, `jobs` tell which photo each image in it was cut from. Raises InputError.
    """
    sheet, origin = _Rows(), manifest.origin
    cut_from = {cut.path: (job, cut) for job in jobs for cut in job.cuts}
    title = f"Contact sheet of {short_name(origin.name)}"
    sheet.text(_MARGIN, sheet.top, title, fontsize=15, fontweight="bold")
    sheet.text(
        _MARGIN,
        sheet.top + 2 * _LINE,
        f"Matches: best SIFT matches of the HR photo in the reference photo, "
        f"ratio {origin.params.ratio:g}. Boxes: where the crops were cut.",
        fontsize=9,
    )
    sheet.top += 4 * _LINE
    groups = sorted({row.group for row in manifest.test})
    albums = sorted({row.album for row in manifest.test})
    sheet.band(f"TEST   {_told(len(groups), 'group', albums)}", "0.25", "white")
    for index in spread(len(groups), _GROUPS):
        rows = [row for row in manifest.test if row.group == groups[index]]
        _group(sheet, root, rows, origin.params.levels)
    albums = sorted({row.album for row in manifest.train})
    sheet.band(f"TRAINING   {_told(len(manifest.train), 'pair', albums)}", "0.85", "black")
    bands = origin.level_bands or {}
    for level in map(level_name, range(1, origin.params.levels + 1)):
        pairs = [row for row in manifest.train if row.level == level]
        band = f"≥ {bands[level]} matches" if level in bands else ""
        _level(sheet, root, level, band, pairs, cut_from)
    save_figure(sheet.finish(sheet.top + _MARGIN), path)


class _Rows(Sheet):
    """A sheet that is filled from the top."""

    def __init__(self) -> None:
        super().__init__(_WIDTH)
        self.top = _MARGIN

    def band(self, text: str, colour: str, ink: str) -> None:
        """Draw a heading over the whole width, and go on below it."""
        axes = self.axes(0, self.top, _WIDTH, _BAND)
        axes.patch.set_visible(True)
        axes.set_facecolor(colour)
        self.text(_MARGIN, self.top + _BAND / 2, text, color=ink, fontsize=11, fontweight="bold",
                  va="center")  # fmt: skip
        self.top += _BAND + _GAP


def _told(count: int, what: str, albums: Sequence[str]) -> str:
    if not count:
        return "none"
    named = shortened(", ".join(map(short_name, albums)), 70)
    of = f"{len(albums)} albums" if len(albums) > 1 else "the album"
    return f"{count} {what}{'s' * (count != 1)} of {of}: {named}"


def _group(sheet: _Rows, root: Path, rows: Sequence[TestRow], levels: int) -> None:
    """Draw a test group as a row: HR and a reference of each level."""
    by_level = {row.k: row for row in rows}
    width = (_WIDTH - _LABEL - _MARGIN) / (levels + 1) - _GAP
    images = {k: read_rgb(root / group_file(row.group, k)) for k, row in by_level.items()}
    height = width * min(max(image.shape[0] / image.shape[1] for image in images.values()), 1)
    sheet.text(_MARGIN, sheet.top, f"group {rows[0].group}", fontsize=10, fontweight="bold")
    sheet.text(_MARGIN, sheet.top + 1.3 * _LINE, short_name(rows[0].album, 18), fontsize=9)
    for k in range(levels + 1):
        left = _LABEL + k * (width + _GAP)
        if k not in by_level:
            sheet.text(left, sheet.top, f"{level_name(k)}: none", fontsize=9)
            continue
        row = by_level[k]
        told = "HR" if k == 0 else f"{row.level}: {row.matches} matches"
        _show(sheet.axes(left, sheet.top + 2 * _LINE, width, height), images[k],
              f"{told}\n{short_name(row.photo, 24)}")  # fmt: skip
    sheet.top += 2 * _LINE + height + 2 * _GAP


def _level(
    sheet: _Rows, root: Path, level: str, band: str, pairs: Sequence[TrainRow],
    cut_from: dict[Path, tuple[CutJob, Cut]],
) -> None:  # fmt: skip
    """Draw a level as a row: some of its training pairs, or `none`."""
    name = level if pairs else f"{level}: none"
    sheet.text(_MARGIN, sheet.top, name, fontsize=13, fontweight="bold")
    told = [f"{len(pairs)} pair{'s' * (len(pairs) != 1)}"] * bool(pairs) + [band] * bool(band)
    sheet.text(_MARGIN, sheet.top + 1.6 * _LINE, "\n".join(told), fontsize=9)
    if not pairs:
        sheet.top += 3.5 * _LINE + 2 * _GAP
        return
    cell = (_WIDTH - _LABEL - _MARGIN) / _PAIRS - _GAP
    side = (cell - 3 * _GAP) / 2
    heights = [2.2 * _LINE, side + 1.2 * _LINE, 0.75 * side + 1.2 * _LINE, _GAP]
    for place, index in enumerate(spread(len(pairs), _PAIRS)):
        row = pairs[index]
        left, top = _LABEL + place * (cell + _GAP), sheet.top
        card = sheet.axes(left, top, cell, sum(heights))
        card.patch.set_visible(True)
        card.set_facecolor("0.94")
        sheet.text(
            left + _GAP, top + 0.4 * _LINE, f"{row.name}  {short_name(row.album, 26)}\n"
            f"{row.matches} matches, {row.crop_matches} in the crops", fontsize=8,
        )  # fmt: skip
        for number, (kind, folder, photo) in enumerate(
            (("HR", TRAIN_INPUT, row.hr_photo), ("Ref", TRAIN_REF, row.ref_photo))
        ):
            x, y = left + _GAP + number * (side + _GAP), top + heights[0] + _LINE
            file = root / folder / f"{row.name}.png"
            _show(sheet.axes(x, y, side, side), read_rgb(file), f"{kind} crop")
            job, cut = cut_from[file]
            axes = sheet.axes(x, y + heights[1], side, 0.75 * side)
            _show(axes, read_whole(job), short_name(photo, 24))
            assert cut.box is not None  # crops have one
            frame(axes, cut.box[:2], cut.box[2], cut.box[2])
    sheet.top += sum(heights) + 2 * _GAP


def _show(axes: Axes, image: RGB, title: str) -> None:
    """Show an image, as small as it is seen, in coordinates of its pixels."""
    height, width = image.shape[:2]
    factor = min(_THUMBNAIL_PX / max(height, width), 1)
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    axes.imshow(small, extent=(0, width, height, 0))
    axes.set_title(title, fontsize=8, pad=2)
