"""The paper's Tables 1–3 and Figures 5 and 7: our numbers beside its own, and our pictures."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from srntt_pipeline.config import TablesParams
from srntt_pipeline.evaluation.columns import lay_out
from srntt_pipeline.evaluation.costs import cost_notes
from srntt_pipeline.evaluation.figure5 import draw_figures, figure_files
from srntt_pipeline.evaluation.figure5_examples import plan_figures
from srntt_pipeline.evaluation.paper import PROTOCOL_NOTE, paper_rows
from srntt_pipeline.evaluation.protocols import PROTOCOLS, get_protocols
from srntt_pipeline.evaluation.published import published_number
from srntt_pipeline.evaluation.results import Results, read_results
from srntt_pipeline.evaluation.table_formats import html_part, to_latex, to_markdown
from srntt_pipeline.evaluation.table_rows import (
    COLUMNS,
    PUBLISHED_COLUMNS,
    published_since,
    rows_to_show,
    table_rows,
)
from srntt_pipeline.evaluation.tables import COMPARISON_COLUMNS, Row
from srntt_pipeline.files import csv_bytes, finite, write_bytes, write_json
from srntt_pipeline.methods.method import reference_rank
from srntt_pipeline.outputs import open_output
from srntt_pipeline.text import markdown

log = logging.getLogger(__name__)

TITLES = {
    "table1": "Table 1: methods on three data sets",
    "table2": "Table 2: references of falling similarity",
    "table3": "Table 3: layers of the swapped maps",
    "figure7": "Figure 7: with and without the texture loss",
    "published": "Published since: methods after the paper",
}
_FILES = {"1": "table1", "2": "table2", "3": "table3", "fig7": "figure7"}
_OTHERS = "rows without numbers of ours"
_NONE = "No evaluation has numbers of this table."
# Of which numbers the best is bold. Numbers of different references are not compared.
_BEST_AMONG = {"table1": ("dataset", "protocol"), "published": ()}
_BY_REFERENCE = ("dataset", "protocol", "reference")


def paper_tables(folders: Sequence[Path], out: Path, params: TablesParams) -> dict[str, list[Row]]:
    """Assemble the paper's tables from what `evaluate` wrote to `folders`; return their rows.

    A folder can hold several evaluations. Each of table1, table2, table3 and figure7 is written to
    `out` as CSV (every protocol that was measured), Markdown, LaTeX (booktabs) and an HTML fragment
    (of each data set the protocol that is nearest to the paper's, or `params.protocol`). Rows with
    numbers of ours come first; the others follow, those of the texts in a table of their own, and
    say why they have none, unless `params.only_ours`. The best is bold in texts. Beside them:
    `published` (what methods after the paper say of themselves), comparisons.csv over all folders,
    metrics.json, and in `figure5/` the pictures of the paper's Figure 5, a PNG and a PDF for each
    data set; what is missing for these is told, and the tables are written all the same. Raises
    InputError.
    """
    get_protocols(params.protocol or list(PROTOCOLS))
    results = read_results(folders)
    plans = plan_figures(results, params)
    with open_output(out, "tables", reads=folders) as output:
        texts = [f"{name}.{suffix}" for name in TITLES for suffix in ("csv", "md", "tex", "html")]
        output.claim(map(Path, [*texts, "comparisons.csv", "metrics.json"]))
        output.claim(figure_files(plans))
        tables = _write(out, results, params)
        figures = draw_figures(output, plans)
    filled = sum(row["psnr_db"] is not None for rows in tables.values() for row in rows)
    log.info(
        "Wrote Tables 1–3 and Figure 7 to %s: %d rows with our numbers; data sets in Figure 5: %d",
        out, filled, figures,
    )  # fmt: skip
    return tables


def _write(out: Path, results: Results, params: TablesParams) -> dict[str, list[Row]]:
    """Write the tables to `out`; return the rows of the paper's."""
    tables = {}
    for number, name in _FILES.items():
        rows = table_rows([row for row in paper_rows() if row.table == number], results)
        chosen = rows_to_show(rows, params.protocol, results)
        if params.only_ours:
            rows, chosen = _ours(rows), _ours(chosen)
        tables[name] = rows
        write_bytes(out / f"{name}.csv", csv_bytes(COLUMNS, rows))
        _write_texts(out, name, chosen, _footnotes(chosen, results.notes), results.averaged)
    since = published_since(results)
    since = _ours(since) if params.only_ours else since
    write_bytes(out / "published.csv", csv_bytes(PUBLISHED_COLUMNS, since))
    _write_texts(out, "published", since, [])
    write_bytes(out / "comparisons.csv", csv_bytes(COMPARISON_COLUMNS, results.comparisons))
    write_json(out / "metrics.json", finite(_metrics(tables)))  # equal images: an infinite PSNR
    return tables


def _ours(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["psnr_db"] is not None]


def _write_texts(
    out: Path,
    name: str,
    rows: Sequence[Row],
    remarks: Sequence[str],
    unranked: Collection[str] = (),
) -> None:
    """Write a table as text: rows with numbers of ours, and in a second table the others.

    `unranked`: methods that are never the best.
    """
    title, ours = TITLES[name], _ours(rows)
    others = [row for row in rows if row["psnr_db"] is None]
    parts = []
    if ours:
        best = _BEST_AMONG.get(name, _BY_REFERENCE)
        parts.append((title, name, lay_out(ours, best_among=best, unranked=unranked)))
    if others:
        head, label = (f"{title}: {_OTHERS}", f"{name}-others") if ours else (title, name)
        parts.append((head, label, lay_out(others)))
    if not parts:
        parts = [(title, name, lay_out(()))]
        remarks = [_NONE]
    notes = [*[()] * (len(parts) - 1), remarks]  # below the last one
    lines = "".join(f"- {markdown(remark)}\n" for remark in remarks)
    texts = {
        "md": "\n".join(f"# {head}\n\n{to_markdown(shown)}\n" for head, _, shown in parts)
        + (f"\n{lines}" if lines else ""),
        "tex": "\n".join(
            to_latex(shown, head, label, own)
            for (head, label, shown), own in zip(parts, reversed(notes), strict=True)
        ),
        "html": "".join(
            html_part(shown, head, label, own)
            for (head, label, shown), own in zip(parts, notes, strict=True)
        ),
    }
    for suffix, text in texts.items():
        write_bytes(out / f"{name}.{suffix}", text.encode())


def _footnotes(rows: Sequence[Row], notes: Sequence[str]) -> list[str]:
    used = [name for name in PROTOCOLS if any(row["protocol"] == name for row in rows)]
    of_protocols = [f"Protocol {name}: {PROTOCOLS[name].words}." for name in used]
    published = dict.fromkeys(
        f"Published: {number.words}."
        for row in rows
        if row["published_psnr_db"] is not None
        and (number := published_number(row["dataset"], row["method"]))
    )
    return [*of_protocols, PROTOCOL_NOTE, *published, *cost_notes(rows), *notes]


def _metrics(tables: dict[str, list[Row]]) -> dict[str, Any]:
    """Return our numbers by table, protocol, data set, method and reference, for DVC."""
    metrics: dict[str, Any] = {}
    for name, rows in tables.items():
        for row in sorted(rows, key=lambda row: reference_rank(row["reference"])):
            if row["psnr_db"] is not None:
                place = metrics
                for key in (name, row["protocol"], row["dataset"], row["method"]):
                    place = place.setdefault(key, {})
                place[row["reference"]] = {k: row[k] for k in ("psnr_db", "ssim")}
    return metrics
