"""What one evaluation or several wrote, read back for tables over all of them."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.costs import COST_NOTE, read_costs
from srntt_pipeline.evaluation.not_run import NotRun
from srntt_pipeline.evaluation.over_seeds import spread_over_seeds, with_means
from srntt_pipeline.evaluation.paper import PROTOCOL_NOTE
from srntt_pipeline.evaluation.paths import PER_IMAGE
from srntt_pipeline.evaluation.protocols import PROTOCOLS, of_given_lr
from srntt_pipeline.evaluation.tables import Row, comparisons, summarise
from srntt_pipeline.files import folders_with, read_csv, read_json
from srntt_pipeline.metrics import METRICS


@dataclass(frozen=True)
class Results:
    """The numbers of evaluations.

    `table`: rows as in table.csv, by data set, method, reference and protocol; `comparisons`: rows
    as in comparisons.csv, over all evaluations; `references`: by data set, the most references of
    an image; `given_lr`: (data set, protocol) whose LR came with the test set; `not_run`: by data
    set, what methods were not run on; `notes`: what each evaluation says. `per_image`: rows as in
    per_image.csv, each with the `folder` that it is from. Seeds of one network have rows of their
    mean too (`over_seeds`).
    """

    table: dict[tuple[str, ...], Row]
    comparisons: list[Row]
    references: Mapping[str, int]
    given_lr: frozenset[tuple[str, str]]
    not_run: Mapping[str, Sequence[NotRun]]
    notes: list[str]
    per_image: Sequence[Row] = ()

    @property
    def datasets(self) -> list[str]:
        """The data sets, in the order given."""
        return list(dict.fromkeys(dataset for dataset, *_ in self.table))

    @property
    def methods(self) -> list[str]:
        """The methods that have numbers, in the order in which they were evaluated."""
        return list(dict.fromkeys(method for _, method, *_ in self.table))

    @property
    def averaged(self) -> frozenset[str]:
        """The methods that are seeds of a network of which there is a mean."""
        return frozenset(seed for row in self.per_image for seed in row.get("of_seeds", ()))

    def find(self, dataset: str, method: str, reference: str) -> list[Row]:
        """Return the rows of that number, one for each protocol."""
        keys = ((dataset, method, reference, protocol) for protocol in PROTOCOLS)
        return [self.table[key] for key in keys if key in self.table]

    def has(self, dataset: str, method: str) -> bool:
        """Whether the method has a number on the data set at all."""
        return any(key[:2] == (dataset, method) for key in self.table)

    def why_not(self, dataset: str, method: str, reference: str) -> str | None:
        """Return the reason that evaluate noted for a number that is missing, if it did."""
        # What is of all references is of one protocol alone, where there are numbers by others.
        wanted = (reference,) if self.has(dataset, method) else (reference, "")
        noted = [
            one
            for one in self.not_run.get(dataset, ())
            if one.method == method and one.reference in wanted
        ]
        # Where the method does not take the reference there is no image to tell of.
        noted.sort(key=lambda one: (not one.reference, one.image != ""))
        if not noted:
            return None
        images = len({one.image for one in noted if one.image})
        first = noted[0]
        return f"no SR of {images} images: {first.reason}" if first.image else first.reason


def read_results(folders: Sequence[Path]) -> Results:
    """Read what `evaluate` wrote to `folders`, or to folders in them.

    Of numbers that stand in several, and of costs, one is kept. Raises InputError when two numbers
    disagree, or a folder is not one of evaluate's.
    """
    folders = [found for folder in folders for found in folders_with(folder, PER_IMAGE)]
    measured, costs = _rows(folders)
    per_image = with_means(measured)
    notes, not_run = _notes(folders)
    by_dataset: dict[str, list[Row]] = {}
    for row in per_image:
        by_dataset.setdefault(row["dataset"], []).append(row)
    table: dict[tuple[str, ...], Row] = {
        row_key(row): row
        for dataset, rows in by_dataset.items()
        for row in summarise(rows, _with_seeds(costs.get(dataset, {}), rows))
    }
    of_means: dict[tuple[str, ...], list[Row]] = {}
    for row in per_image:
        if "of_seeds" in row:
            of_means.setdefault(row_key(row), []).append(row)
    for key, mean in of_means.items():
        table[key] |= spread_over_seeds(mean, by_dataset[key[0]])
    return Results(
        table,
        comparisons(per_image),
        {
            dataset: max(row["reference_images"] for row in rows)
            for dataset, rows in by_dataset.items()
        },
        frozenset((row["dataset"], row["protocol"]) for row in per_image if of_given_lr(row)),
        not_run,
        notes,
        per_image,
    )


def _with_seeds(costs: Mapping[str, Row], rows: Sequence[Row]) -> dict[str, Row]:
    """Return the costs of methods, of means over seeds those of the first seed that has any."""
    found = dict(costs)
    for row in rows:
        for seed in reversed(row.get("of_seeds", ())):
            if seed in costs:
                found[row["method"]] = costs[seed]
    return found


def row_key(row: Row) -> tuple[str, str, str, str]:
    """Return data set, method, reference and protocol of a row."""
    return row["dataset"], row["method"], row["reference"], row["protocol"]


def _rows(folders: Sequence[Path]) -> tuple[list[Row], dict[str, dict[str, Row]]]:
    """Return the rows of per_image.csv, and the costs by data set and method."""
    rows: dict[tuple[str, ...], tuple[Row, Path]] = {}
    costs: dict[str, dict[str, Row]] = {}
    for folder in folders:
        own = read_per_image(folder / PER_IMAGE)
        for row in own:
            known, first = rows.setdefault((*row_key(row), row["image"]), (row, folder))
            if of_given_lr(known) != of_given_lr(row):
                raise InputError(
                    f"{folder} and {first} measured image {row['image']} of {row['dataset']} from "
                    "different LR, one as given (--lr), one made; name one of them"
                )
            if any(known[name] != row[name] for name in ("psnr_db", "ssim")):
                raise InputError(
                    f"{folder} and {first} disagree on {row['method']}, {row['reference']}, image "
                    f"{row['image']} of {row['dataset']}; evaluate both checkpoints in one run, "
                    "which tells them apart"
                )
        measured = {m: cost for m, cost in read_costs(folder).items() if cost["cost_device"]}
        for dataset in dict.fromkeys(row["dataset"] for row in own):
            costs[dataset] = measured | costs.get(dataset, {})
    return [{**row, "folder": folder} for row, folder in rows.values()], costs


def read_per_image(path: Path) -> list[Row]:
    """Read the rows of a `per_image.csv`, at least one; raise InputError."""
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


def _notes(folders: Sequence[Path]) -> tuple[list[str], dict[str, list[NotRun]]]:
    """Return each note once, with the data sets that it is of, and what was not run on each."""
    datasets: dict[str, list[str]] = {}
    not_run: dict[str, list[NotRun]] = {}
    for path in (folder / "notes.json" for folder in folders):
        content = read_json(path, "evaluate again")
        try:
            for note in content["notes"]:
                datasets.setdefault(f"{note}", []).append(f"{content['dataset']}")
            own = not_run.setdefault(f"{content['dataset']}", [])
            own += [_not_run_of(one) for one in content.get("not_run", [])]
        except (AttributeError, KeyError, TypeError):
            raise InputError(f"{path}: not what evaluate writes; evaluate again") from None
    told = [
        f"{', '.join(dict.fromkeys(names))}: {note}"
        for note, names in datasets.items()
        if not note.endswith(PROTOCOL_NOTE) and not note.startswith(COST_NOTE)
    ]
    return told, not_run


def _not_run_of(content: Mapping[str, Any]) -> NotRun:
    return NotRun(*(f"{content[name]}" for name in ("method", "reference", "image", "reason")))
