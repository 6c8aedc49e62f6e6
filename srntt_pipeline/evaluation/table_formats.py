"""A table of text, as `columns` lays it out, as Markdown, HTML and LaTeX."""

import html
from collections.abc import Callable, Sequence

from srntt_pipeline.evaluation.columns import Shown
from srntt_pipeline.text import latex, markdown, printable

_LATEX_FIT = r"\resizebox{\ifdim\width>\linewidth \linewidth\else \width\fi}{!}"


def to_markdown(shown: Shown) -> str:
    """Return the table as Markdown: words to the left, numbers to the right; "" without rows."""
    if not shown.rows:
        return ""
    lines = _escaped(shown, markdown, "**{}**")
    widths = [max(3, *map(len, cells)) for cells in zip(*lines, strict=True)]
    words = [column.words for column in shown.columns]
    rules = [f":{'-' * (w - 1)}" if left else f"{'-' * (w - 1)}:"
             for w, left in zip(widths, words, strict=True)]  # fmt: skip
    aligned = [
        [cell.ljust(width) if left else cell.rjust(width)
         for cell, width, left in zip(line, widths, words, strict=True)]
        for line in lines
    ]  # fmt: skip
    ruled = [aligned[0], rules, *aligned[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in ruled)


def to_latex(shown: Shown, caption: str, name: str, notes: Sequence[str]) -> str:
    """Return the table as LaTeX, notes as comments before it.

    It needs booktabs, and graphicx to shrink it to the width of the text where it is wider. Of a
    table without rows there are the notes alone.
    """
    if not shown.rows:
        return "".join(f"% {printable(remark)}\n" for remark in [caption, *notes])
    head, *rows = (f"{' & '.join(line)} \\\\" for line in _escaped(shown, latex, r"\textbf{{{}}}"))
    aligned = "".join("l" if column.words else "r" for column in shown.columns)
    remarks = ["\\usepackage{booktabs, graphicx}", *notes]
    return "\n".join(
        [
            # A line end within a remark would end the comment.
            *(f"% {printable(remark)}" for remark in remarks),
            r"\begin{table}",
            f"\\caption{{{latex(caption)}}}",
            f"\\label{{tab:{name}}}",
            f"{_LATEX_FIT}{{%",
            f"\\begin{{tabular}}{{{aligned}}}",
            r"\toprule",
            head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def to_html(shown: Shown, name: str = "") -> str:
    """Return the table as HTML of class `sortable`; `name`: its id.

    Cells of words have the class `words`.
    """
    head, *rows = _escaped(shown, lambda text: html.escape(printable(text)), "<strong>{}</strong>")
    marks = [' class="words"' if column.words else "" for column in shown.columns]
    lines = ["".join(f"<td{m}>{c}</td>" for c, m in zip(row, marks, strict=True)) for row in rows]
    heads = "".join(f'<th scope="col"{m}>{c}</th>' for c, m in zip(head, marks, strict=True))
    own = f' id="{name}"' if name else ""
    return "\n".join(
        [
            f'<table class="sortable"{own}>',
            f"<thead><tr>{heads}</tr></thead>",
            "<tbody>",
            *(f"<tr>{line}</tr>" for line in lines),
            "</tbody></table>",
        ]
    )


def html_part(shown: Shown, title: str, name: str, notes: Sequence[str]) -> str:
    """Return the table as a part of an HTML page: heading, table if it has rows, notes if any."""
    items = "".join(f"<li>{html.escape(printable(note))}</li>\n" for note in notes)
    table = f"{to_html(shown, name)}\n" if shown.rows else ""
    listed = f"<ul>\n{items}</ul>\n" if items else ""
    return f"<h2>{html.escape(printable(title))}</h2>\n{table}{listed}"


def _escaped(shown: Shown, escape: Callable[[str], str], bold: str) -> list[list[str]]:
    """Return the lines of the table, headings first, as `escape` makes text of them.

    `bold`: the form of cells that are bold.
    """
    head = [escape(column.heading) for column in shown.columns]
    lines = [
        [
            bold.format(escape(cell)) if (row, column) in shown.bold else escape(cell)
            for column, cell in enumerate(cells)
        ]
        for row, cells in enumerate(shown.rows)
    ]
    return [head, *lines]
