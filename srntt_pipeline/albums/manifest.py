"""The manifest is the data set: which photo, which box, which partner, which level.

The images are cut from it afterwards (`pixels`), so whoever has the photos can rebuild a data set
whose photos can't be passed on. This module alone knows the manifest's format; `docs/formats.md`
describes every column.
"""

import csv
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import csv_bytes

TRAIN, TEST, REJECTED, ORIGIN = "train.csv", "test.csv", "rejected.csv", "origin.json"


@dataclass(frozen=True, order=True)
class TrainRow:
    """A training pair: two square crops of one size, cut from two photos of one album.

    Boxes are given by their top left corner, px, in the photos at working size.
    """

    name: str
    album: str
    level: str
    matches: int
    crop_matches: int
    size_px: int
    hr_photo: str
    hr_x_px: int
    hr_y_px: int
    hr_sha256: str
    ref_photo: str
    ref_x_px: int
    ref_y_px: int
    ref_sha256: str


@dataclass(frozen=True, order=True)
class TestRow:
    """An image of a test group, a whole photo: `k` 0 is HR, k ≥ 1 the reference of level Lk."""

    __test__ = False  # not a test, whatever pytest makes of its name

    group: str
    k: int
    album: str
    level: str
    matches: int | None
    photo: str
    sha256: str


@dataclass(frozen=True, order=True)
class Rejected:
    """A file that was found but not used, and why."""

    album: str
    photo: str
    reason: str


Row = TypeVar("Row", TrainRow, TestRow, Rejected)


def manifest_bytes(row_type: type[Row], rows: Iterable[Row]) -> bytes:
    """Return `rows` as the CSV that a manifest file holds: sorted, one line each."""
    columns = [field.name for field in dataclasses.fields(row_type)]
    return csv_bytes(columns, map(dataclasses.asdict, sorted(rows)))


def read_manifest(row_type: type[Row], path: Path) -> list[Row]:
    """Read a manifest file; raise InputError that names the file and line when it is not one."""
    fields = dataclasses.fields(row_type)
    line = 0
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            if header != [field.name for field in fields]:
                raise InputError(f"{path}: not a manifest: its header is {header}")
            rows = []
            for cells in reader:
                line = reader.line_num
                kinds = zip(fields, cells, strict=True)
                rows.append(row_type(*(_value(field.type, cell) for field, cell in kinds)))
            return rows
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        place = f"line {line}: " if line else ""
        raise InputError(f"{path}: {place}cannot read the manifest ({error})") from None


def _value(kind: Any, text: str) -> Any:
    if kind is str:
        return text
    return int(text) if text or kind is int else None
