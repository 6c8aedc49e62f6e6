"""PSNR by method and reference as dots with their intervals, all on one axis of the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import MaxNLocator

from srntt_pipeline.evaluation.columns import number

Row = Mapping[str, Any]
_MOST_TICKS = 6


@dataclass(frozen=True)
class Dot:
    """A mean and its 95 % interval, if it has one: places on the axis, % of its length."""

    reference: str
    text: str
    at: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Dots:
    """The axis, as places (%) with their labels (dB), and the dots of each method."""

    ticks: Sequence[tuple[float, str]]
    methods: Mapping[str, Sequence[Dot]]
    intervals: bool


def dots(rows: Sequence[Row]) -> Dots | None:
    """Return the PSNR of the rows of one protocol; None where no row has a finite one."""
    drawn = [(row, _finite(row, "psnr_db")) for row in rows]
    bounds = [_finite(row, f"psnr_db_{end}") for row in rows for end in ("low", "high")]
    values = [value for value in [*(value for _, value in drawn), *bounds] if value is not None]
    if all(value is None for _, value in drawn):
        return None
    ticks = [
        float(t)
        for t in MaxNLocator(_MOST_TICKS, steps=[1, 2, 5, 10]).tick_values(min(values), max(values))
    ]

    def place(value: float | None) -> float | None:
        """Return where on the axis a value lies, %."""
        return (
            None if value is None else round(100 * (value - ticks[0]) / (ticks[-1] - ticks[0]), 2)
        )

    methods: dict[str, list[Dot]] = {}
    for row, value in drawn:
        if value is not None:
            low, high = (place(_finite(row, f"psnr_db_{end}")) for end in ("low", "high"))
            dot = Dot(str(row["reference"]), f"{value:.2f}", place(value) or 0.0, low, high)
            methods.setdefault(str(row["method"]), []).append(dot)
    labels = [(place(tick) or 0.0, f"{tick:g}") for tick in ticks]
    return Dots(labels, methods, any(bound is not None for bound in bounds))


def _finite(row: Row, name: str) -> float | None:
    value = number(row, name)
    return value if value is not None and math.isfinite(value) else None
