"""Which number of ours stands in a row of the paper's tables, and the true reason where none does.

The results are asked, not a list of names: a row is filled by whatever method was evaluated under
its name.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from srntt_pipeline.evaluation.paper import more_than_paper, paper_rows
from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.evaluation.released import OWN
from srntt_pipeline.evaluation.results import Results
from srntt_pipeline.evaluation.tables import Row
from srntt_pipeline.methods.marks import row_of
from srntt_pipeline.methods.method import (
    ALL,
    BEST,
    BEST_PSNR,
    HR_WARP,
    LR,
    NONE,
    PAPER_ALL,
    RANDOM,
    STITCHED,
    STITCHED_MASA,
)

# Where the paper calls one thing by two names.
_SAME_METHOD = {"SRNTT [relu1/2/3]": "SRNTT", "SRNTT with texture loss": "SRNTT"}
_SAME_REFERENCE = {"HR": HR_WARP}
# What takes one reference: for Table 1 the paper took that of the highest PSNR.
_ONE_REFERENCE = {"CrossNet"}


@dataclass(frozen=True)
class Found:
    """Our rows of one number, one for each protocol; why there is none, or what to know of them."""

    rows: Sequence[Row]
    remark: str = ""


def our_method(method: str) -> str:
    """Return under which name a method of the paper's is evaluated."""
    return _SAME_METHOD.get(method, method)


def our_reference(reference: str) -> str:
    """Return what a reference of the paper's is called here."""
    return _SAME_REFERENCE.get(reference, reference)


def find(dataset: str, method: str, reference: str, results: Results) -> Found:
    """Return our number for a row of the paper's, in its words.

    Of Table 1, which has one number (`all`) for each method, it is that with all references (where
    there are more than the paper has, with the paper's), of a method that takes none that without,
    and on a set without references that of LR. A method that the paper lacks can have it stitched,
    or with the best or a random reference, if that is all it has; CrossNet has that of the highest
    PSNR.
    """
    name, wanted = our_method(method), our_reference(reference)
    references = results.references.get(dataset, 0)
    tries, remarks = [wanted], {}
    if wanted == ALL:
        tries = [ALL, NONE]
        if not references:
            tries, wanted = [*tries, LR], LR
            remarks[LR] = "no references at hand: LR is its own"
        elif row_of(name) not in _names():
            tries += [STITCHED, STITCHED_MASA, BEST, RANDOM]
        elif row_of(name) in _ONE_REFERENCE:
            tries += [BEST_PSNR, BEST]
            remarks[BEST] = f"the reference it chose by LR; the paper's is {BEST_PSNR}"
        if more_than_paper(dataset, references):
            tries = [PAPER_ALL, *tries]
            remarks[ALL] = f"{references} references, not the paper's: paper-all was not evaluated"
    for tried in tries:
        if rows := results.find(dataset, name, tried):
            return Found(rows, remarks.get(tried, ""))
    return Found((), _reason(dataset, name, wanted, results))


def _reason(dataset: str, method: str, reference: str, results: Results) -> str:
    if dataset not in results.datasets:
        other = f", {dataset}{OWN} was" if dataset + OWN in results.datasets else ""
        return f"{dataset} was not evaluated{other}"
    if noted := results.why_not(dataset, method, reference):
        return noted
    if not results.has(dataset, method):
        noted = results.why_not(dataset, method, NONE)
        return noted or f"{method} was not evaluated on {dataset}"
    return f"not evaluated with reference {reference}"


def why_not_by(protocol: str, row: Row, results: Results) -> str:
    """Return why a row that has numbers by other protocols has none by this one."""
    method, reference = our_method(row["method"]), our_reference(row["reference"])
    if not PROTOCOLS[protocol].measures(reference):
        return f"protocol {protocol} does not measure reference {reference}"
    noted = results.not_run.get(row["dataset"], ())
    start = f"protocol {protocol} "
    reasons = (one.reason for one in noted if one.method == method and not one.reference)
    told = next((reason for reason in reasons if reason.startswith(start)), None)
    return told or f"not measured by protocol {protocol}"


def methods_of_others(results: Results) -> list[str]:
    """Return the methods that have numbers and that the paper lacks, as they were evaluated."""
    return [method for method in results.methods if method not in _names()]


def checkpoints_of(method: str, results: Results) -> list[str]:
    """Return those that were evaluated as checkpoints of a method, beside it: `METHOD #MARK`."""
    return [name for name in results.methods if name != method and row_of(name) == method]


@functools.cache
def _names() -> frozenset[str]:
    return frozenset(our_method(row.method) for row in paper_rows())
