"""What a method costs beside its quality: `costs.csv` in an evaluation's folder, and its words.

Costs are measured where a method ran; they are no part of what is reproduced to the byte.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import csv_bytes, read_csv, write_bytes

COSTS_FILE = "costs.csv"
# Weights of the network; multiply-adds for each pixel of SR; of one image: seconds, and the most
# memory of the process or the device, MiB; the device that seconds and memory are of.
COSTS = (
    "parameters", "multiply_adds_per_pixel", "seconds_per_image", "peak_memory_mib", "cost_device",
)  # fmt: skip
COLUMNS = ("method", *COSTS, "image", "reference", "made_from")
COST_NOTE = (
    "Costs are of one image of the data set, with all its references where the method takes them; "
    "seconds and memory were measured on"
)
_NUMBERS = COSTS[:-1]

Row = dict[str, Any]


def write_costs(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the costs of methods, a row each; None, or no key, for what is not known of one."""
    full = [{column: row.get(column) for column in COLUMNS} for row in rows]
    write_bytes(path, csv_bytes(COLUMNS, full))


def read_costs(folder: Path) -> dict[str, Row]:
    """Return the costs in an evaluation's folder by method; none of one that was made without.

    Numbers are int where they are whole, else float; None is unknown. Raises InputError when the
    file is not one of `write_costs`.
    """
    path = folder / COSTS_FILE
    if not path.is_file():
        return {}
    try:
        (_, header), *lines = read_csv(path)
        rows = [dict(zip(header, cells, strict=True)) for _, cells in lines if cells]
        return {row["method"]: _costs(row) for row in rows}
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not what evaluate writes ({error}); evaluate again") from None


def _costs(row: Mapping[str, str]) -> Row:
    costs: Row = {column: row[column] or None for column in COLUMNS}
    for name in _NUMBERS:
        if costs[name] is not None:
            number = float(costs[name])
            if not (math.isfinite(number) and number >= 0):
                raise ValueError(f"{name} is {costs[name]}")
            costs[name] = int(number) if number.is_integer() else number
    return costs


def shown_count(value: float) -> str:
    """Return a count in three digits: `864`, `71.4 k`, `1.52 M`, `2.1 G`."""
    for unit in ("", " k", " M", " G"):
        text = f"{value:.3g}"
        if float(text) < 1000:
            return text + unit
        value /= 1000
    return f"{value:.3g} T"


def cost_notes(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return on which devices the costs in the rows of a table were measured; nothing without."""
    methods: dict[str, list[str]] = {}
    for row in table:
        if device := row.get("cost_device"):
            methods.setdefault(device, [])
            if row["method"] not in methods[device]:
                methods[device].append(row["method"])
    if not methods:
        return []
    if len(methods) == 1:
        told = next(iter(methods))
    else:
        told = "; ".join(f"{', '.join(names)} on {device}" for device, names in methods.items())
    return [f"{COST_NOTE} {told}."]
