"""The format of a manifest's tables: the columns of their rows, and how they are read and written.

The manifest is the data set: which photo, which box, which partner, which level. The images are cut
from it afterwards (`pixels`), so whoever has the photos can rebuild a data set whose photos can't
be passed on (`rebuild`). The classes of rows below define the format: what is read is checked
against them, and `docs/manifest.schema.json` is made from them. No other module knows it; `origin`
knows that of the file beside the tables, and `manifest` the folder that holds them all.
"""

import csv
import dataclasses
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from srntt_pipeline.config import LARGEST_PX
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import csv_bytes, read_csv
from srntt_pipeline.text import shortened

TRAIN, TEST, REJECTED, MISSING = "train.csv", "test.csv", "rejected.csv", "missing.csv"


def _inside(path: str) -> str:
    """Refuse a path that leads out of the albums' folder: a manifest may come from anywhere."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError("leads out of the albums folder")
    return path


Album = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        description="Folder of the photos below ALBUMS, `/` between nested ones.",
    ),
    AfterValidator(_inside),
]
Event = Annotated[
    str, Field(description="Event types of the album, sorted, joined by `; `; empty: unknown.")
]
Photo = Annotated[str, Field(pattern=r"^[^/\x00]+$", max_length=255), AfterValidator(_inside)]
Sha256 = Annotated[
    str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the photo's file, hexadecimal.")
]
# Bounds are far above what is built: what a foreign manifest says must not take all memory.
Pixel = Annotated[int, Field(ge=0, le=LARGEST_PX)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Importance = Annotated[
    float | None,
    Field(
        allow_inf_nan=False,
        description="Importance of the photo in its album, where CUFED tells it; else none.",
    ),
]


class _Row:
    """What all rows share: an order in which "none" comes first."""

    def __lt__(self, other: Any) -> bool:
        return _order(self) < _order(other)


def _order(row: Any) -> list[tuple[Any, ...]]:
    cells = (getattr(row, field.name) for field in dataclasses.fields(row))
    return [() if cell is None else (cell,) for cell in cells]


@dataclass(frozen=True)
class TrainRow(_Row):
    """A training pair: two square crops of one size, cut from two photos of one album.

    Boxes are given by their top left corner, px, in the photos at working size.
    """

    name: Annotated[
        str,
        Field(pattern="^[0-9]{1,12}$", description="File name of both crops, without `.png`."),
    ]
    album: Album
    event: Event
    level: Annotated[
        str,
        Field(pattern="^L[1-9]$", description="Level of the photo pair: L1 (most matches), L2, …"),
    ]
    matches: Annotated[
        Count, Field(description="Best SIFT matches of the HR photo in the reference photo.")
    ]
    crop_matches: Annotated[
        Count,
        Field(
            description="Of these, with one end inside the HR crop and the other inside the "
            "reference crop."
        ),
    ]
    size_px: Annotated[
        int, Field(ge=16, le=LARGEST_PX, multiple_of=4, description="Side of both crops, px.")
    ]
    hr_photo: Annotated[Photo, Field(description="File name in the album of HR's photo.")]
    hr_x_px: Annotated[Pixel, Field(description="Left edge of the HR crop, px.")]
    hr_y_px: Annotated[Pixel, Field(description="Top edge of the HR crop, px.")]
    hr_sha256: Sha256
    hr_importance: Importance
    ref_photo: Annotated[
        Photo, Field(description="File name in the album of the reference's photo.")
    ]
    ref_x_px: Annotated[Pixel, Field(description="Left edge of the reference crop, px.")]
    ref_y_px: Annotated[Pixel, Field(description="Top edge of the reference crop, px.")]
    ref_sha256: Sha256


@dataclass(frozen=True)
class TestRow(_Row):
    """An image of a test group, a whole photo: `k` 0 is HR, k ≥ 1 the reference of level Lk."""

    __test__ = False  # not a test, whatever pytest makes of its name

    group: Annotated[
        str, Field(pattern="^[0-9]{1,12}$", description="The group; its images are `GROUP_K.png`.")
    ]
    k: Annotated[int, Field(ge=0, le=9, description="0: HR; k ≥ 1: the reference of level Lk.")]
    album: Album
    event: Event
    level: Annotated[str, Field(pattern="^(HR|L[1-9])$", description="`HR`, L1, L2, …")]
    matches: Annotated[
        int | None,
        Field(
            ge=0, le=10**9, description="Best SIFT matches of HR in this photo; none for HR itself."
        ),
    ]
    photo: Annotated[Photo, Field(description="File name in the album.")]
    sha256: Sha256
    importance: Importance


@dataclass(frozen=True)
class Rejected(_Row):
    """A file that was found but not used, and why."""

    album: Annotated[str, Field(description="Folder of the file below ALBUMS.")]
    photo: Annotated[str, Field(description="File name in the album.")]
    reason: Annotated[str, Field(min_length=1, description="Why it was not used.")]


@dataclass(frozen=True)
class Missing(_Row):
    """A photo that a rebuild looked for in vain, and what that costs."""

    album: Album
    photo: Annotated[Photo, Field(description="File name in the album.")]
    problem: Annotated[
        str, Field(min_length=1, description="`missing`, `changed`, or why it cannot be read.")
    ]
    train_pairs: Annotated[Count, Field(description="Training pairs that need this photo.")]
    test_groups: Annotated[Count, Field(description="Test groups that need this photo.")]
    sha256: Sha256


Row = TypeVar("Row", TrainRow, TestRow, Rejected, Missing)
TABLES: dict[str, type[Any]] = {
    TRAIN: TrainRow,
    TEST: TestRow,
    REJECTED: Rejected,
    MISSING: Missing,
}
_COLUMNS = {
    row_type: [field.name for field in dataclasses.fields(row_type)] for row_type in TABLES.values()
}
# Columns whose cells may be empty for "none".
_OPTIONAL = {
    row_type: {
        name
        for name, kind in typing.get_type_hints(row_type).items()
        if type(None) in typing.get_args(kind)
    }
    for row_type in TABLES.values()
}
_ADAPTERS = {row_type: TypeAdapter(row_type) for row_type in TABLES.values()}


def manifest_bytes(row_type: type[Row], rows: Iterable[Row]) -> bytes:
    """Return `rows` as the CSV that a manifest file holds: sorted, one line each."""
    return csv_bytes(_COLUMNS[row_type], map(vars, sorted(rows)))


def read_manifest(row_type: type[Row], path: Path) -> list[Row]:
    """Read a manifest file; raise InputError that names the file and place when it is not one."""
    line = 0
    try:
        table, columns = read_csv(path), _COLUMNS[row_type]
        _, header = next(table, (0, None))
        if header != columns:
            raise InputError(
                f"{path}: not a manifest of this version: its header is "
                f"{shortened(str(header), 200)}, expected {','.join(columns)}"
            )
        rows = []
        for line, cells in table:  # noqa: B007 - told when a row is wrong
            rows.append(_row(row_type, cells))
        return rows
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        place = f"line {line}: " if line else ""
        raise InputError(f"{path}: {place}cannot read the manifest ({_first(error)})") from None


def _row(row_type: type[Row], cells: list[str]) -> Row:
    columns = _COLUMNS[row_type]
    if len(cells) != len(columns):
        raise ValueError(f"{len(cells)} cells for {len(columns)} columns")
    values = {
        column: None if cell == "" and column in _OPTIONAL[row_type] else cell
        for column, cell in zip(columns, cells, strict=True)
    }
    row: Row = _ADAPTERS[row_type].validate_python(values)
    return row


def _first(error: Exception) -> str:
    """Return what is wrong in a few words; of a row, the first wrong cell with its column."""
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    message = problem["msg"].removeprefix("Value error, ")
    given = shortened(repr(problem["input"]), 80)
    return f"{problem['loc'][0]}: {message[:1].lower()}{message[1:]}, got {given}"
