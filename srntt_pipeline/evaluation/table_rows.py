"""The rows of the paper's tables: its numbers, ours beside them, or why there are none."""

from collections.abc import Collection, Iterator, Sequence

from srntt_pipeline.evaluation.costs import COSTS
from srntt_pipeline.evaluation.filling import (
    checkpoints_of,
    find,
    methods_of_others,
    our_method,
    our_reference,
    why_not_by,
)
from srntt_pipeline.evaluation.over_seeds import SPREAD
from srntt_pipeline.evaluation.paper import PAPER_IMAGES, PAPER_PROTOCOLS, PaperRow, paper_rows
from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.evaluation.published import published_number, published_rows
from srntt_pipeline.evaluation.results import Results, row_key
from srntt_pipeline.evaluation.tables import Row

_DIGITS = {"psnr_db": 4, "ssim": 5}
COLUMNS = (
    "dataset", "method", "reference", "protocol", "images", "psnr_db", "psnr_db_low",
    "psnr_db_high", "paper_psnr_db", "psnr_db_difference", "ssim", "ssim_low", "ssim_high",
    "paper_ssim", "ssim_difference", *SPREAD, "note", "published_psnr_db", "published_ssim",
    *COSTS,
)  # fmt: skip
PUBLISHED_COLUMNS = (
    "dataset", "method", "variant", "reference", "published_psnr_db", "published_ssim", "images",
    "psnr_db", "ssim", "protocol", "measured", "source",
)  # fmt: skip


def table_rows(printed: Sequence[PaperRow], results: Results) -> list[Row]:
    """Return a table's rows: first those that have numbers of ours, by data set in the order given.

    Of each data set those of the paper's methods, each followed by other checkpoints of it
    (`NAME #MARK`), then those of methods that the paper lacks. Last stand the paper's others.
    """
    table = printed[0].table
    rows = [one for row in printed for one in _rows(table, row, results)]
    methods = list(dict.fromkeys(row.method for row in printed))
    marked = {name for method in methods for name in checkpoints_of(our_method(method), results)}
    others = [name for name in methods_of_others(results) if name not in marked]
    others = others if table in "12" else []
    references = list(dict.fromkeys(row.reference for row in printed))
    own = [name for name in results.datasets if name not in PAPER_IMAGES]
    datasets = dict.fromkeys(row.dataset for row in printed)
    places = [(method, dataset) for method in others for dataset in datasets]
    of_paper = [
        name
        for method in methods
        for name in (method, *checkpoints_of(our_method(method), results))
    ]
    places += [(method, dataset) for dataset in own for method in [*of_paper, *others]]
    for method, dataset in places:
        for reference in references:
            found = find(dataset, method, reference, results)
            for ours in found.rows:
                remark = _remark(ours, found.remark, results)
                rows.append(_row(table, None, ours | {"method": method}, remark))
    if table in "23":
        _mark_trend(rows, results)
    datasets_given = {name: place for place, name in enumerate(results.datasets)}
    in_order = {name: place for place, name in enumerate([*of_paper, *others])}

    def place_of(row: Row) -> tuple[int, ...]:
        place = datasets_given.get(row["dataset"], 0), in_order[row["method"]]
        return (0, *place) if _is_ours(row) else (1,)

    return sorted(rows, key=place_of)


def _rows(table: str, row: PaperRow, results: Results) -> Iterator[Row]:
    """Yield our rows of one number of the paper's, or one that says why there is none."""
    found = find(row.dataset, row.method, row.reference, results)
    for ours in found.rows:
        yield _row(table, row, ours, _remark(ours, found.remark, results))
    marked = []
    for name in checkpoints_of(our_method(row.method), results):
        one = find(row.dataset, name, row.reference, results)
        for ours in one.rows:
            # The paper's number stands once, beside its row if that has one of ours.
            beside = None if found.rows else row
            made = _row(table, beside, ours, _remark(ours, one.remark, results))
            marked.append(made | {"method": name})
    yield from marked
    if not found.rows and not marked:
        yield _row(table, row, None, found.remark)


def _is_ours(row: Row) -> bool:
    return row["psnr_db"] is not None


def _remark(ours: Row, remark: str, results: Results) -> str:
    given = "LR as given" * ((ours["dataset"], ours["protocol"]) in results.given_lr)
    return "; ".join(filter(None, (remark, given)))


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
        method, reference = our_method(method), our_reference(reference)
        previous = before.get((dataset, method, protocol))
        before[dataset, method, protocol] = reference
        found = compared.get((dataset, method, previous or "", protocol, reference))
        if found is None or found["differ"] not in ("yes", "no"):
            continue
        remark = f"above {previous}" if found["difference"] < 0 else ""
        if found["differ"] == "no":
            remark = f"no clear difference from {previous}"
        if remark:
            row["note"] = "; ".join(filter(None, (row["note"], remark)))


def _row(table: str, printed: PaperRow | None, ours: Row | None, remark: str) -> Row:
    """Return a row of a table: the paper's number, ours, or both."""
    notes = [remark] if remark else []
    row: Row = dict.fromkeys(COLUMNS)
    if ours:
        # Table 1 alone is of methods; the others are of references, layers, losses.
        names = COLUMNS if table == "1" else [name for name in COLUMNS if name not in COSTS]
        row |= {name: ours[name] for name in names if name in ours}
        expected = PAPER_IMAGES.get(ours["dataset"], ours["images"])
        if ours["images"] != expected:
            notes.append(f"{ours['images']} of {expected} images")
    if printed:
        row |= {
            "dataset": printed.dataset,
            "method": printed.method,
            "reference": printed.reference,
            "paper_psnr_db": printed.number.psnr_db,
            "paper_ssim": printed.number.ssim,
        }
    for measure, digits in _DIGITS.items():
        if ours and row[f"paper_{measure}"] is not None:
            difference = ours[measure] - row[f"paper_{measure}"]
            row[f"{measure}_difference"] = round(difference, digits)
    if table == "1" and (published := published_number(row["dataset"], row["method"])):
        row["published_psnr_db"] = published.number.psnr_db
        row["published_ssim"] = published.number.ssim
    return row | {"note": "; ".join(notes) or None}


def protocol_to_show(dataset: str, measured: Collection[str], wanted: Sequence[str]) -> str:
    """Return which of the protocols that a data set was measured by is shown, if one is to be.

    The first of `wanted`, else the one that is nearest to the paper's, else the first there is;
    empty where none was measured.
    """
    preferred = [*wanted, PAPER_PROTOCOLS.get(dataset, "luma"), *PROTOCOLS]
    return next((name for name in preferred if name in measured), "")


def rows_to_show(rows: Sequence[Row], wanted: Sequence[str], results: Results) -> list[Row]:
    """Return the rows to show: those of `wanted` protocols, or of the one nearest to the paper's.

    A row that has no number by these stays, after those that have one, and says why.
    """
    measured: dict[str, set[str]] = {}
    numbers: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        measured.setdefault(row["dataset"], set()).add(row["protocol"] or "")
        numbers.setdefault((row["dataset"], row["method"], row["reference"]), []).append(row)
    chosen = []
    for (dataset, *_), own in numbers.items():
        names = wanted or [protocol_to_show(dataset, measured[dataset], ())]
        chosen += list(_by_protocols(own, names, results)) if own[0]["protocol"] else own
    return sorted(chosen, key=lambda row: not _is_ours(row))


def _by_protocols(own: Sequence[Row], names: Sequence[str], results: Results) -> Iterator[Row]:
    """Yield the rows of one number by these protocols, then one for those that are missing."""
    by_name = {row["protocol"]: row for row in own}
    yield from (row for row in own if row["protocol"] in names)
    missing = dict.fromkeys(name for name in names if name not in by_name)
    if missing:
        kept = ("dataset", "method", "reference", "paper_psnr_db", "paper_ssim",
                "published_psnr_db", "published_ssim")  # fmt: skip
        empty = dict.fromkeys(COLUMNS) | {name: own[0][name] for name in kept}
        reasons = [why_not_by(name, own[0], results) for name in missing]
        yield empty | {"note": "; ".join(reasons)}


def published_since(results: Results) -> list[Row]:
    """Return what methods after the paper publish, beside our numbers measured in the same way.

    Those that have numbers of ours come first.
    """
    known = {row.method for row in paper_rows()}
    rows = []
    for number in published_rows():
        if number.method not in known:
            ours = results.find(number.dataset, number.row, number.reference)
            own: Row = next((row for row in ours if row["protocol"] == number.protocol), {})
            row: Row = {
                "dataset": number.dataset,
                "method": number.method,
                "variant": number.variant,
                "reference": number.reference,
                "published_psnr_db": number.number.psnr_db,
                "published_ssim": number.number.ssim,
                "protocol": number.protocol,
                "measured": number.measured,
                "source": number.source,
            }
            rows.append(row | {name: own.get(name) for name in ("images", "psnr_db", "ssim")})
    return sorted(rows, key=lambda row: not _is_ours(row))
