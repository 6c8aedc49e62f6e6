"""What a table of results shows: its columns, their headings, order, digits and words.

Every such table is laid out here, be it an evaluation's, the paper's, Markdown, a page or LaTeX;
`table_formats` only sets what `lay_out` returns.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srntt_pipeline.evaluation.costs import shown_count
from srntt_pipeline.metrics import METRICS

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column: its heading, a row's text in it, and whether that is words, not a number."""

    heading: str
    text: Callable[[Row], str]
    words: bool = False


@dataclass(frozen=True)
class Shown:
    """A table of text: the columns, and the cells of each row."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


def number(row: Row, key: str) -> float | None:
    """Return a number of a row, be it there as a number or as text; None for none."""
    value = row.get(key)
    return None if value is None or value == "" else float(value)


def _words(heading: str, key: str) -> Column:
    return Column(heading, lambda row: "" if row.get(key) is None else str(row[key]), words=True)


def _number(heading: str, key: str, digits: int) -> Column:
    return Column(heading, lambda row: _shown(number(row, key), f".{digits}f"))


def _difference(key: str, digits: int) -> Column:
    def text(row: Row) -> str:
        ours, paper = number(row, key), number(row, f"paper_{key}")
        return "" if ours is None or paper is None else f"{ours - paper:+.{digits}f}"

    return Column("difference", text)


def _interval(heading: str, key: str, digits: int) -> Column:
    def text(row: Row) -> str:
        low, high = number(row, f"{key}_low"), number(row, f"{key}_high")
        return "" if low is None or high is None else f"{low:.{digits}f}…{high:.{digits}f}"

    return Column(heading, text)


def _count(heading: str, key: str) -> Column:
    def text(row: Row) -> str:
        value = number(row, key)
        return "" if value is None else shown_count(value)

    return Column(heading, text)


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


COST_COLUMNS = (
    _count("Parameters", "parameters"),
    _count("Multiply-adds per px", "multiply_adds_per_pixel"),
    Column("s per image", lambda row: _shown(number(row, "seconds_per_image"), ".3g")),
    _number("Memory (MiB)", "peak_memory_mib", 0),
)
DATASET, PROTOCOL = _words("Data set", "dataset"), _words("Protocol", "protocol")
# The paper has two digits of PSNR and three of SSIM; so has a difference from it.
COLUMNS = (
    DATASET,
    _words("Method", "method"),
    _words("Variant", "variant"),
    _words("Reference", "reference"),
    _number("Images", "images", 0),
    _number("PSNR (dB)", "psnr_db", 2),
    _number("paper PSNR", "paper_psnr_db", 2),
    _difference("psnr_db", 2),
    _number("published PSNR", "published_psnr_db", 2),
    _number("SSIM", "ssim", 4),
    _number("paper SSIM", "paper_ssim", 3),
    _difference("ssim", 3),
    _number("published SSIM", "published_ssim", 3),
    _interval("PSNR 95 %", "psnr_db", 2),
    _interval("SSIM 95 %", "ssim", 4),
    *(
        column
        for metric in METRICS.values()
        for column in (
            _number(metric.heading, metric.name, 4),
            _interval(f"{metric.heading} 95 %", metric.name, 4),
        )
    ),
    *COST_COLUMNS,
    PROTOCOL,
    _words("Measured", "measured"),
    _words("Source", "source"),
    _words("Note", "note"),
)


def lay_out(rows: Sequence[Row], without: Collection[Column] = ()) -> Shown:
    """Return the rows of a table as text, without those columns that no row fills."""
    cells = {column: [column.text(row) for row in rows] for column in COLUMNS}
    kept = tuple(column for column in COLUMNS if column not in without and any(cells[column]))
    return Shown(kept, tuple(zip(*(cells[column] for column in kept), strict=True)))
