"""What one evaluation or several wrote, read back for tables over all of them."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.paper import PROTOCOL_NOTE
from srntt_pipeline.evaluation.paths import PER_IMAGE
from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.evaluation.tables import METRICS, Row, comparisons, summarise
from srntt_pipeline.files import folders_with, read_csv, read_json


@dataclass(frozen=True)
class Results:
    """The numbers of evaluations.

    `table`: rows as in table.csv, by data set, method, reference and protocol; `comparisons`: rows
    as in comparisons.csv, over all evaluations; `with_references`: the data sets that have any;
    `notes`: what each evaluation says of its methods.
    """

    table: dict[tuple[str, ...], Row]
    comparisons: list[Row]
    with_references: frozenset[str]
    notes: list[str]

    @property
    def datasets(self) -> list[str]:
        """The data sets, in the order given."""
        return list(dict.fromkeys(dataset for dataset, *_ in self.table))

    def find(self, dataset: str, method: str, reference: str) -> list[Row]:
        """Return the rows of that number, one for each protocol."""
        keys = ((dataset, method, reference, protocol) for protocol in PROTOCOLS)
        return [self.table[key] for key in keys if key in self.table]

    def has(self, dataset: str, method: str) -> bool:
        """Whether the method was evaluated on the data set at all."""
        return any(key[:2] == (dataset, method) for key in self.table)


def read_results(folders: Sequence[Path]) -> Results:
    """Read what `evaluate` wrote to `folders`, or to folders in them.

    Of numbers that stand in several, one is kept. Raises InputError when two of them disagree, or a
    folder is not one of evaluate's.
    """
    folders = [found for folder in folders for found in folders_with(folder, PER_IMAGE)]
    per_image = _rows(folders)
    return Results(
        {row_key(row): row for row in summarise(per_image)},
        comparisons(per_image),
        frozenset(row["dataset"] for row in per_image if int(row["reference_images"])),
        _notes(folders),
    )


def row_key(row: Row) -> tuple[str, str, str, str]:
    """Return data set, method, reference and protocol of a row."""
    return row["dataset"], row["method"], row["reference"], row["protocol"]


def _rows(folders: Sequence[Path]) -> list[Row]:
    rows: dict[tuple[str, ...], tuple[Row, Path]] = {}
    for folder in folders:
        for row in _read(folder / PER_IMAGE):
            known, first = rows.setdefault((*row_key(row), row["image"]), (row, folder))
            if any(known[name] != row[name] for name in ("psnr_db", "ssim")):
                raise InputError(
                    f"{folder} and {first} disagree on {row['method']}, {row['reference']}, image "
                    f"{row['image']} of {row['dataset']}; evaluate both checkpoints in one run, "
                    "which tells them apart"
                )
    return [row for row, _ in rows.values()]


def _read(path: Path) -> list[Row]:
    try:
        table = read_csv(path)
        _, header = next(table, (0, [""]))
        rows: list[dict[str, Any]] = [
            dict(zip(header, cells, strict=True)) for _, cells in table if cells
        ]
        if not rows:
            raise ValueError("it has no rows")
        for row in rows:
            for name in ("psnr_db", "ssim", *METRICS):
                if name in row:
                    row[name] = float(row[name])
                    if math.isnan(row[name]):
                        raise ValueError(f"{name} is no number")
            if missing := [
                name
                for name in ("dataset", "image", "method", "reference", "psnr_db", "ssim")
                if name not in row
            ]:
                raise ValueError(f"it has no column {missing[0]}")
            if row["protocol"] not in PROTOCOLS:
                raise ValueError(f"protocol {row['protocol']} is unknown")
            row["reference_images"] = int(row["reference_images"])
    except FileNotFoundError:
        raise InputError(f"{path} is missing; name a folder that evaluate wrote") from None
    except (OSError, UnicodeDecodeError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path}: not what evaluate writes ({error}); evaluate again") from None
    return rows


def _notes(folders: Sequence[Path]) -> list[str]:
    """Return each note once, with the data sets that it is of."""
    datasets: dict[str, list[str]] = {}
    for path in (folder / "notes.json" for folder in folders):
        content = read_json(path, "evaluate again")
        try:
            for note in content["notes"]:
                datasets.setdefault(f"{note}", []).append(f"{content['dataset']}")
        except (KeyError, TypeError):
            raise InputError(f"{path}: not what evaluate writes; evaluate again") from None
    return [
        f"{', '.join(dict.fromkeys(names))}: {note}"
        for note, names in datasets.items()
        if not note.endswith(PROTOCOL_NOTE)
    ]
