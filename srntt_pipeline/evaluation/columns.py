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
    """A column: its heading, a row's text in it, and whether that is words, not a number.

    `best`: the key of a number of which the highest is the best; empty where none is.
    """

    heading: str
    text: Callable[[Row], str]
    words: bool = False
    best: str = ""


@dataclass(frozen=True)
class Shown:
    """A table of text: the columns, the cells of each row, and which (row, column) are bold."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: frozenset[tuple[int, int]] = frozenset()


def number(row: Row, key: str) -> float | None:
    """Return a number of a row, be it there as a number or as text; None for none."""
    value = row.get(key)
    return None if value is None or value == "" else float(value)


def _words(heading: str, key: str) -> Column:
    return Column(heading, lambda row: "" if row.get(key) is None else str(row[key]), words=True)


def _number(heading: str, key: str, digits: int, best: str = "") -> Column:
    return Column(heading, lambda row: _shown(number(row, key), f".{digits}f"), best=best)


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
    _number("PSNR (dB)", "psnr_db", 2, best="psnr_db"),
    _number("paper PSNR", "paper_psnr_db", 2),
    _difference("psnr_db", 2),
    _number("published PSNR", "published_psnr_db", 2),
    _number("SSIM", "ssim", 4, best="ssim"),
    _number("paper SSIM", "paper_ssim", 3),
    _difference("ssim", 3),
    _number("published SSIM", "published_ssim", 3),
    _number("Seeds", "seeds", 0),
    _number("PSNR sd of seeds", "psnr_db_sd", 2),
    _number("SSIM sd of seeds", "ssim_sd", 4),
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


def lay_out(
    rows: Sequence[Row],
    without: Collection[Column] = (),
    best_among: Sequence[str] = (),
    unranked: Collection[str] = (),
) -> Shown:
    """Return the rows of a table as text, without those columns that no row fills.

    `best_among`: keys; of the rows that agree in all of these, where there are several with a
    number, the best PSNR and SSIM are bold, and all that are shown alike. Nothing is bold without.
    `unranked`: methods that are left out of that.
    """
    cells = {column: [column.text(row) for row in rows] for column in COLUMNS}
    kept = tuple(column for column in COLUMNS if column not in without and any(cells[column]))
    bold = [
        (row, place)
        for place, column in enumerate(kept)
        if column.best and best_among
        for row in _best(rows, column.best, cells[column], best_among, unranked)
    ]
    shown = tuple(zip(*(cells[column] for column in kept), strict=True))
    return Shown(kept, shown, frozenset(bold))


def _best(
    rows: Sequence[Row],
    key: str,
    cells: Sequence[str],
    among: Sequence[str],
    unranked: Collection[str],
) -> list[int]:
    """Return the places of the rows that have the best number of their group, as it is shown."""
    groups: dict[tuple[Any, ...], dict[int, float]] = {}
    for place, row in enumerate(rows):
        value = number(row, key)
        if value is not None and row.get("method") not in unranked:
            groups.setdefault(tuple(row.get(k) for k in among), {})[place] = value
    return [place for own in groups.values() for place in best_places(own, cells)]


def best_places(
    values: Mapping[int, float], cells: Sequence[str], *, lowest: bool = False
) -> list[int]:
    """Return the places of the best of `values`, and of all that `cells` show alike.

    `values`: by place; the highest is the best, or with `lowest` the lowest. None is best alone.
    """
    if len(values) < 2:
        return []
    first = (min if lowest else max)(values, key=values.__getitem__)
    return [place for place in values if cells[place] == cells[first]]
