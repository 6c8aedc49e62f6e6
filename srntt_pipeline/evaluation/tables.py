"""The tables of an evaluation: means with intervals beside the paper's numbers, and comparisons."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from srntt_pipeline.evaluation.columns import DATASET, PROTOCOL, lay_out
from srntt_pipeline.evaluation.costs import COSTS, cost_notes
from srntt_pipeline.evaluation.paper import PROTOCOL_NOTE, paper_number
from srntt_pipeline.evaluation.paths import PER_IMAGE, slug
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.evaluation.statistics import compare, corrected, interval
from srntt_pipeline.evaluation.table_formats import to_markdown
from srntt_pipeline.files import csv_bytes, finite, write_bytes, write_json
from srntt_pipeline.methods.method import ALL, NONE, is_single, reference_rank
from srntt_pipeline.metrics import METRICS
from srntt_pipeline.text import markdown

Row = dict[str, Any]

TABLE_COLUMNS = (
    "dataset", "method", "reference", "protocol", "images", "psnr_db", "ssim",
    "paper_psnr_db", "paper_ssim", "psnr_db_low", "psnr_db_high", "ssim_low", "ssim_high",
    *COSTS,
)  # fmt: skip
COMPARISON_COLUMNS = (
    "dataset", "protocol", "measure", "method", "reference", "other_method", "other_reference",
    "images", "difference", "low", "high", "wilcoxon_p", "corrected_p", "differ",
)  # fmt: skip
_VERDICTS = {True: "yes", False: "no", None: "too few images"}
_DIGITS = {"psnr_db": 4, "ssim": 5, **dict.fromkeys(METRICS, 5)}


def summarise(
    per_image: Sequence[Row], costs: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Row]:
    """Return the rows of `table.csv`: means over images by protocol, method and reference.

    `psnr_db_low` … `ssim_high`: 95 % bootstrap intervals over images, None where there is none.
    `costs`: rows of costs.csv by method; each row has those of its method, None where unknown.
    Protocols and methods stand in the order in which they first occur, references in Table 2's.
    """
    table = []
    for keys, rows in _groups(per_image):
        dataset, protocol, method, reference = keys
        references = max(int(row["reference_images"]) for row in rows)
        paper = paper_number(dataset, method, reference, references)
        summary: Row = {
            "dataset": dataset,
            "method": method,
            "reference": reference,
            "protocol": protocol,
            "images": len(rows),
            "paper_psnr_db": paper.psnr_db if paper else None,
            "paper_ssim": paper.ssim if paper else None,
        }
        for measure in _measures(rows):
            values = [row[measure] for row in rows]
            digits = _DIGITS[measure]
            low, high = interval(values) or (None, None)
            summary[measure] = round(math.fsum(values) / len(values), digits)
            summary[f"{measure}_low"] = None if low is None else round(low, digits)
            summary[f"{measure}_high"] = None if high is None else round(high, digits)
        known = (costs or {}).get(method, {})
        table.append(summary | {name: known.get(name) for name in COSTS})
    return table


def comparisons(per_image: Sequence[Row]) -> list[Row]:
    """Return the rows of `comparisons.csv`: paired differences on the images that both have.

    Compared are all references of a method with each other, and all methods with the same
    reference or with one that takes none, by PSNR and SSIM (and metrics). `difference` is the mean
    of the first less the other's: of an earlier reference less a later one, of a later method less
    an earlier one. `differ`: whether its interval leaves out zero and p is below 0.05, or `too few
    images`. `corrected_p`: for the number of comparisons of a protocol and a measure.
    """
    table = []
    groups = [(keys, {row["image"]: row for row in rows}) for keys, rows in _groups(per_image)]
    for (first, ours), (second, theirs) in combinations(groups, 2):
        if first[:2] != second[:2] or not _comparable(first[2:], second[2:]):
            continue
        if first[2] != second[2]:
            first, ours, second, theirs = second, theirs, first, ours
        names = [name for name in ours if name in theirs]
        for measure in _measures([ours[name] for name in names]):
            found = compare(*([rows[n][measure] for n in names] for rows in (ours, theirs)))
            if not found.images:
                continue
            digits = _DIGITS[measure]
            table.append(
                {
                    "dataset": first[0],
                    "protocol": first[1],
                    "measure": measure,
                    "method": first[2],
                    "reference": first[3],
                    "other_method": second[2],
                    "other_reference": second[3],
                    "images": found.images,
                    "difference": round(found.difference, digits),
                    "low": None if found.low is None else round(found.low, digits),
                    "high": None if found.high is None else round(found.high, digits),
                    "wilcoxon_p": None if found.p is None else float(f"{found.p:.3g}"),
                    "differ": _VERDICTS[found.differ],
                }
            )
    _correct(table)
    return table


def _correct(table: Sequence[Row]) -> None:
    """Add `corrected_p` to the rows of `comparisons.csv`."""
    families: dict[tuple[str, str], list[Row]] = {}
    for row in table:
        families.setdefault((row["protocol"], row["measure"]), []).append(row)
    for rows in families.values():
        for row, p in zip(rows, corrected([row["wilcoxon_p"] for row in rows]), strict=True):
            row["corrected_p"] = None if p is None else float(f"{p:.3g}")


def _comparable(first: Sequence[str], second: Sequence[str]) -> bool:
    same_method, same_reference = (a == b for a, b in zip(first, second, strict=True))
    return same_method or same_reference or NONE in (first[1], second[1])


def _groups(per_image: Sequence[Row]) -> Iterator[tuple[tuple[str, str, str, str], list[Row]]]:
    """Yield (dataset, protocol, method, reference) and its rows, in the order of tables."""
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in per_image:
        key = row["dataset"], row["protocol"], row["method"], row["reference"]
        groups.setdefault(key, []).append(row)
    seen: list[dict[str, int]] = [{}, {}, {}]
    for key in groups:
        for names, name in zip(seen, key[:3], strict=True):
            names.setdefault(name, len(names))
    order = lambda key: (  # noqa: E731
        *(names[name] for names, name in zip(seen, key[:3], strict=True)), reference_rank(key[3]),
    )  # fmt: skip
    for key in sorted(groups, key=order):
        yield key, groups[key]


def _measures(rows: Sequence[Row]) -> list[str]:
    return [name for name in _DIGITS if rows and all(name in row for row in rows)]


def write_tables(
    out: Path,
    table: Sequence[Row],
    per_image: Sequence[Row],
    protocols: Sequence[Protocol],
    notes: Sequence[str],
) -> None:
    """Write table.csv, table.md, per_image.csv, comparisons.csv, metrics.json and plots/."""
    extra = [name for metric in METRICS for name in (metric, f"{metric}_low", f"{metric}_high")]
    columns = [*TABLE_COLUMNS, *(name for name in extra if name in table[0])]
    write_bytes(out / "table.csv", csv_bytes(columns, table))
    exact = [{**row, **{name: round(row[name], 7) for name in _measures([row])}}
             for row in per_image]  # fmt: skip
    write_bytes(out / PER_IMAGE, csv_bytes(list(exact[0]), exact))
    write_bytes(out / "comparisons.csv", csv_bytes(COMPARISON_COLUMNS, comparisons(per_image)))
    write_json(out / "metrics.json", finite(_metrics(table)))  # equal images: an infinite PSNR
    for protocol in dict.fromkeys(row["protocol"] for row in table):
        own = [row for row in table if row["protocol"] == protocol]
        bars = [{**row, "row": f"{row['method']}, {row['reference']}"} for row in own]
        names = ["row", "psnr_db", "psnr_db_low", "psnr_db_high", "ssim", "ssim_low", "ssim_high"]
        rows = [{name: bar[name] for name in names} for bar in bars]
        write_bytes(out / "plots" / f"{protocol}.csv", csv_bytes(names, rows))
    write_bytes(out / "table.md", _markdown(table, protocols, notes).encode())


def _metrics(table: Sequence[Row]) -> dict[str, float]:
    """Return the PSNR of each method by the first protocol, dB: what DVC compares runs by.

    One number a method, since they are the columns of `dvc metrics show`: with all references, with
    none where the method takes none, else with the first level that was measured.
    """

    def rank(row: Row) -> tuple[bool, bool, tuple[int, int, str]]:
        reference = row["reference"]
        return (
            reference not in (ALL, NONE), not is_single(reference), reference_rank(reference)
        )  # fmt: skip

    numbers: dict[str, float] = {}
    for row in sorted(table, key=rank):
        if row["protocol"] == table[0]["protocol"]:
            numbers.setdefault(slug(row["method"]), row["psnr_db"])
    return numbers


def _markdown(table: Sequence[Row], protocols: Sequence[Protocol], notes: Sequence[str]) -> str:
    parts = [f"# {markdown(table[0]['dataset'])}: PSNR and SSIM\n"]
    tables = [
        lay_out(
            [row for row in table if row["protocol"] == protocol.name],
            without=(DATASET, PROTOCOL),
            best_among=("reference",),
        )
        for protocol in protocols
    ]
    for protocol, shown in zip(protocols, tables, strict=True):
        parts.append(f"## Protocol `{protocol.name}`\n\n{protocol.words}. {protocol.meaning}\n")
        parts.append(to_markdown(shown) + "\n")
    if any(shown.bold for shown in tables):
        notes = ["Bold: the best PSNR and SSIM with each reference.", *notes]
    return "\n".join([*parts, *(f"- {markdown(note)}" for note in notes)]) + "\n"


def table_notes(table: Sequence[Row]) -> list[str]:
    """Return what readers must know of the paper's numbers and of costs; nothing without any."""
    paper = [PROTOCOL_NOTE] if any(row["paper_psnr_db"] for row in table) else []
    return [*paper, *cost_notes(table)]
