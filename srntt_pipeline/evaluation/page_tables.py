"""The tables of an evaluation's page: their columns in the page's order, the best values marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srntt_pipeline.evaluation.columns import DATASET, PROTOCOL, Column, best_places, lay_out
from srntt_pipeline.methods.method import HR_WARP
from srntt_pipeline.metrics import METRICS

Row = Mapping[str, Any]
# By the heading of a column in which a value is the best, whether the lowest is, not the highest.
_LOWEST = {"PSNR (dB)": False, "SSIM": False} | {m.heading: True for m in METRICS.values()}
_LATE = "Images"  # behind the numbers, so that PSNR is within a phone's screen


@dataclass(frozen=True)
class Cell:
    """A cell: its text; whether it is words; whether it is the best with its reference (`best`),
    and of all rows but those of HR (warp), which shows HR itself (`top`).
    """

    text: str
    words: bool
    best: bool = False
    top: bool = False


@dataclass(frozen=True)
class PageTable:
    """Headings, each with whether its column is of words, and the rows."""

    head: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[Cell]]


def page_table(rows: Sequence[Row]) -> PageTable:
    """Return the rows of one protocol as the page's table.

    Values are best by what the table shows: rows of equal text are best together. There is no best
    of a single row.
    """
    shown = lay_out(rows, without=(DATASET, PROTOCOL))
    order = sorted(range(len(shown.columns)), key=lambda i: shown.columns[i].heading == _LATE)
    references = [str(row.get("reference", "")) for row in rows]
    columns = [
        _cells(shown.columns[i], [cells[i] for cells in shown.rows], references) for i in order
    ]
    head = [(shown.columns[i].heading, shown.columns[i].words) for i in order]
    return PageTable(head, list(zip(*columns, strict=True)))


def _cells(column: Column, texts: Sequence[str], references: Sequence[str]) -> list[Cell]:
    best: set[int] = set()
    top: set[int] = set()
    if column.heading in _LOWEST:
        lowest = _LOWEST[column.heading]
        values = {i: float(text) for i, text in enumerate(texts) if text}
        for reference in dict.fromkeys(references):
            own = {i: value for i, value in values.items() if references[i] == reference}
            best.update(best_places(own, texts, lowest=lowest))
        others = {i: value for i, value in values.items() if references[i] != HR_WARP}
        top.update(best_places(others, texts, lowest=lowest))
    return [Cell(text, column.words, i in best, i in top) for i, text in enumerate(texts)]
