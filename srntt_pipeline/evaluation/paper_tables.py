"""The paper's Tables 1–3 and Figure 7, with our numbers beside them."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from srntt_pipeline.config import TablesParams
from srntt_pipeline.evaluation.paper import (
    PAPER_IMAGES,
    PAPER_PROTOCOLS,
    PROTOCOL_NOTE,
    PaperRow,
    paper_rows,
)
from srntt_pipeline.evaluation.protocols import PROTOCOLS, get_protocols
from srntt_pipeline.evaluation.results import Results, read_results, row_key
from srntt_pipeline.evaluation.table_formats import (
    shown_difference,
    shown_interval,
    shown_number,
    to_html,
    to_latex,
    to_markdown,
)
from srntt_pipeline.evaluation.tables import COMPARISON_COLUMNS, Row
from srntt_pipeline.files import csv_bytes, write_bytes, write_json
from srntt_pipeline.methods.method import (
    ALL,
    HR_WARP,
    LR,
    NONE,
    reference_rank,
)
from srntt_pipeline.outputs import open_output
from srntt_pipeline.text import markdown

BICUBIC = "Bicubic"
OURS = ()
takes_references = lambda n: " (SISR)" not in n
log = logging.getLogger(__name__)

TITLES = {
    "table1": "Table 1: methods on three data sets",
    "table2": "Table 2: references of falling similarity",
    "table3": "Table 3: layers of the swapped maps",
    "figure7": "Figure 7: with and without the texture loss",
}
_FILES = {"1": "table1", "2": "table2", "3": "table3", "fig7": "figure7"}
# Where the paper calls one thing by two names.
_SAME_METHOD = {"SRNTT [relu1/2/3]": "SRNTT", "SRNTT with texture loss": "SRNTT"}
_SAME_REFERENCE = {"HR": HR_WARP}
COLUMNS = (
    "dataset", "method", "reference", "protocol", "images", "psnr_db", "psnr_db_low",
    "psnr_db_high", "paper_psnr_db", "psnr_db_difference", "ssim", "ssim_low", "ssim_high",
    "paper_ssim", "ssim_difference", "note",
)  # fmt: skip


def paper_tables(folders: Sequence[Path], out: Path, params: TablesParams) -> dict[str, list[Row]]:
    """Assemble the paper's tables from what `evaluate` wrote to `folders`; return their rows.

    A folder can hold several evaluations. Each of table1, table2, table3 and figure7 is written to
    `out` as CSV (every protocol that was measured), Markdown, LaTeX (booktabs) and an HTML fragment
    (of each data set the protocol that is nearest to the paper's, or `params.protocol`). A cell
    that cannot be filled says why. Beside them: comparisons.csv over all folders, and metrics.json.
    Raises InputError.
    """
    get_protocols(params.protocol or list(PROTOCOLS))
    results = read_results(folders)
    with open_output(out, "tables", reads=folders) as output:
        texts = [f"{name}.{suffix}" for name in TITLES for suffix in ("csv", "md", "tex", "html")]
        output.claim(map(Path, [*texts, "comparisons.csv", "metrics.json"]))
        tables = _write(out, results, params)
    filled = sum(row["psnr_db"] is not None for rows in tables.values() for row in rows)
    log.info("Wrote Tables 1–3 and Figure 7 to %s: %d rows with our numbers", out, filled)
    return tables


def _write(out: Path, results: Results, params: TablesParams) -> dict[str, list[Row]]:
    """Write the tables to `out`; return their rows."""
    tables = {}
    for number, name in _FILES.items():
        rows = _rows([row for row in paper_rows() if row.table == number], results)
        tables[name] = rows
        write_bytes(out / f"{name}.csv", csv_bytes(COLUMNS, rows))
        chosen = _chosen(rows, params.protocol)
        shown = pd.DataFrame([_shown(row) for row in chosen])
        remarks = _footnotes(chosen, results.notes)
        lines = "".join(f"- {markdown(remark)}\n" for remark in remarks)
        texts = {
            "md": f"# {TITLES[name]}\n\n{to_markdown(shown)}\n\n{lines}",
            "tex": to_latex(shown, TITLES[name], name, remarks),
            "html": to_html(shown, TITLES[name], name, remarks),
        }
        for suffix, text in texts.items():
            write_bytes(out / f"{name}.{suffix}", text.encode())
    write_bytes(out / "comparisons.csv", csv_bytes(COMPARISON_COLUMNS, results.comparisons))
    write_json(out / "metrics.json", _metrics(tables))
    return tables


def _rows(printed: Sequence[PaperRow], results: Results) -> list[Row]:
    """Return a table's rows: the paper's, then those of other data sets that we have numbers of."""
    rows = []
    for row in printed:
        ours, reason = _ours(row.dataset, row.method, row.reference, results)
        rows += [_row(row, found, reason) for found in ours] or [_row(row, None, reason)]
    ours_only = dict.fromkeys((row.method, row.reference) for row in printed if row.method in OURS)
    for dataset in results.datasets:
        if dataset in {row.dataset for row in printed} | set(PAPER_IMAGES):
            continue
        for method, reference in ours_only:
            for found in _ours(dataset, method, reference, results)[0]:
                rows.append(_row(None, found | {"method": method}, ""))
    if printed[0].table in "23":
        _mark_trend(rows, results)
    return rows


def _mark_trend(rows: Sequence[Row], results: Results) -> None:
    """Note where PSNR does not fall from a reference to the next, less similar one (Table 2)."""
    compared = {
        (*row_key(row), row["other_reference"]): row
        for row in results.comparisons
        if row["measure"] == "psnr_db" and row["method"] == row["other_method"]
    }
    before: dict[tuple[str, ...], str] = {}
    for row in rows:
        if row["psnr_db"] is None:
            continue
        dataset, method, reference, protocol = row_key(row)
        method = _SAME_METHOD.get(method, method)
        reference = _SAME_REFERENCE.get(reference, reference)
        previous = before.get((dataset, method, protocol))
        before[dataset, method, protocol] = reference
        found = compared.get((dataset, method, previous or "", protocol, reference))
        if found is None or found["differ"] is None:
            continue
        remark = f"above {previous}" if found["difference"] < 0 else ""
        if found["differ"] == "no":
            remark = f"no clear difference from {previous}"
        if remark:
            row["note"] = "; ".join(filter(None, (row["note"], remark)))


def _ours(dataset: str, method: str, reference: str, results: Results) -> tuple[list[Row], str]:
    """Return our rows of the paper's number, and why there is none, or what to know of them."""
    name = _SAME_METHOD.get(method, method)
    wanted, remark = _SAME_REFERENCE.get(reference, reference), ""
    if name == BICUBIC or not takes_references(name):
        wanted = NONE
    elif wanted == ALL and dataset not in results.with_references:
        wanted, remark = LR, "no references at hand: LR is its own"
    rows = results.find(dataset, name, wanted)
    if rows:
        return rows, remark
    if method not in OURS:
        return [], "not one of our methods"
    if dataset not in results.datasets:
        return [], f"{dataset} was not evaluated"
    if not results.has(dataset, name):
        return [], f"no checkpoint of {name} was evaluated"
    return [], f"not evaluated with reference {wanted}"


def _row(printed: PaperRow | None, ours: Row | None, remark: str) -> Row:
    notes = [remark] if remark else []
    row: Row = dict.fromkeys(COLUMNS)
    if ours:
        row |= {name: ours[name] for name in COLUMNS if name in ours}
        expected = PAPER_IMAGES.get(ours["dataset"], ours["images"])
        if printed and ours["images"] != expected:
            notes.append(f"{ours['images']} of {expected} images")
    if printed:
        row |= {
            "dataset": printed.dataset,
            "method": printed.method,
            "reference": printed.reference,
            "paper_psnr_db": printed.number.psnr_db,
            "paper_ssim": printed.number.ssim,
        }
        for measure, digits in (("psnr_db", 4), ("ssim", 5)):
            if ours and row[f"paper_{measure}"] is not None:
                difference = ours[measure] - row[f"paper_{measure}"]
                row[f"{measure}_difference"] = round(difference, digits)
    return row | {"note": "; ".join(notes) or None}


def _chosen(rows: Sequence[Row], wanted: Sequence[str]) -> list[Row]:
    """Return the rows to show: those of `wanted` protocols, or of the one nearest to the paper's.

    Rows without a number stay.
    """
    measured: dict[str, set[str]] = {}
    for row in rows:
        measured.setdefault(row["dataset"], set()).add(row["protocol"] or "")
    shown = {}
    for dataset, names in measured.items():
        preferred = [PAPER_PROTOCOLS.get(dataset, "luma"), *PROTOCOLS]
        shown[dataset] = set(wanted) or {next((p for p in preferred if p in names), "")}
    return [row for row in rows if not row["protocol"] or row["protocol"] in shown[row["dataset"]]]


def _shown(row: Row) -> dict[str, str]:
    return {
        "Data set": row["dataset"],
        "Method": row["method"],
        "Reference": row["reference"],
        "PSNR (dB)": shown_number(row["psnr_db"], 2),
        "95 %": shown_interval(row, "psnr_db", 2),
        "paper": shown_number(row["paper_psnr_db"], 2),
        "difference": shown_difference(row["psnr_db"], row["paper_psnr_db"], 2),
        "SSIM": shown_number(row["ssim"], 3),
        "95 % ": shown_interval(row, "ssim", 3),
        "paper ": shown_number(row["paper_ssim"], 3),
        "difference ": shown_difference(row["ssim"], row["paper_ssim"], 3),
        "Images": shown_number(row["images"], 0),
        "Protocol": row["protocol"] or "",
        "Note": row["note"] or "",
    }


def _footnotes(rows: Sequence[Row], notes: Sequence[str]) -> list[str]:
    used = [name for name in PROTOCOLS if any(row["protocol"] == name for row in rows)]
    of_protocols = [f"Protocol {name}: {PROTOCOLS[name].words}." for name in used]
    return [*of_protocols, PROTOCOL_NOTE, *notes]


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
