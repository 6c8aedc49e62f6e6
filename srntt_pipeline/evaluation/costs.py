"""What methods cost, beside their numbers: `costs.csv`, a row a method."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srntt_pipeline.files import csv_bytes, read_csv, write_bytes

COSTS = (
    "parameters", "multiply_adds_per_pixel", "seconds_per_image", "peak_memory_mib", "cost_device",
)  # fmt: skip
COSTS_FILE = "costs.csv"
COLUMNS = ("method", *COSTS, "image", "reference", "made_from")


def write_costs(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_bytes(path, csv_bytes(COLUMNS, rows))


def read_costs(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / COSTS_FILE
    if not path.is_file():
        return {}
    (_, header), *rows = read_csv(path)
    return {row[0]: dict(zip(header, row, strict=True)) for _, row in rows}
