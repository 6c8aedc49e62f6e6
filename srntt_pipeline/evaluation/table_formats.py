"""Numbers as tables show them, and a table of text as Markdown, LaTeX and HTML."""

import html
from collections.abc import Sequence
from typing import Any

import pandas as pd

from srntt_pipeline.text import latex, markdown, printable

TEXT_COLUMNS = ("Data set", "Method", "Reference", "Protocol", "Note")
_LATEX_FIT = r"\resizebox{\ifdim\width>\linewidth \linewidth\else \width\fi}{!}"


def shown_number(value: float | None, digits: int) -> str:
    """Return a number as tables show it; nothing for None."""
    return "" if value is None else f"{value:.{digits}f}"


def shown_difference(ours: float | None, paper: float | None, digits: int) -> str:
    """Return ours - the paper's, with its sign; nothing where one is missing."""
    return "" if ours is None or paper is None else f"{ours - paper:+.{digits}f}"


def shown_interval(row: dict[str, Any], measure: str, digits: int) -> str:
    """Return the interval of a measure, `26.05…26.31`; nothing where there is none."""
    low, high = row.get(f"{measure}_low"), row.get(f"{measure}_high")
    return "" if low is None or high is None else f"{low:.{digits}f}…{high:.{digits}f}"


def to_markdown(shown: pd.DataFrame) -> str:
    """Return a table of text as Markdown: TEXT_COLUMNS to the left, numbers to the right.

    The name of a column may end in spaces, to be told from another of the same name.
    """
    escaped = shown.map(markdown)
    aligned = ["left" if name.strip() in TEXT_COLUMNS else "right" for name in shown.columns]
    return str(escaped.to_markdown(index=False, disable_numparse=True, colalign=aligned))


def to_latex(shown: pd.DataFrame, title: str, name: str, notes: Sequence[str]) -> str:
    """Return a table of text as a LaTeX table, notes as comments before it.

    It needs booktabs, and graphicx to shrink it to the width of the text where it is wider.
    """
    aligned = "".join("l" if column in TEXT_COLUMNS else "r" for column in shown.columns)
    escaped = shown.map(latex).rename(columns=lambda column: latex(column.strip()))
    number, _, what = title.partition(": ")
    caption = latex(f"{what.capitalize()} (the paper's {number})")  # LaTeX numbers it anew
    table = escaped.to_latex(
        index=False, column_format=aligned, caption=caption, label=f"tab:{name}"
    )
    for plain, fitted in (
        ("\\begin{tabular}", f"{_LATEX_FIT}{{%\n\\begin{{tabular}}"),
        ("\\end{tabular}", "\\end{tabular}}"),
    ):
        table = table.replace(plain, fitted)
    remarks = ["\\usepackage{booktabs, graphicx}", *notes]
    # A line end within a remark would end the comment.
    return "".join(f"% {printable(remark)}\n" for remark in remarks) + str(table)


def to_html(shown: pd.DataFrame, title: str, name: str, notes: Sequence[str]) -> str:
    """Return a table of text as a part of an HTML page: heading, table of class sortable, notes."""
    table = (
        shown.map(printable)
        .rename(columns=str.strip)
        .to_html(index=False, border=0, classes="sortable", table_id=name, justify="left")
    )
    items = "".join(f"<li>{html.escape(printable(note))}</li>\n" for note in notes)
    return f"<h2>{html.escape(title)}</h2>\n{table}\n<ul>\n{items}</ul>\n"
