"""What a reader must know of the numbers that are not there: images unused, methods not run."""

import logging
from collections.abc import Sequence

from srntt_pipeline.evaluation.measure import GroupRows
from srntt_pipeline.evaluation.not_run import NotRun
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.layout import Unread
from srntt_pipeline.methods import Method
from srntt_pipeline.methods.method import NONE

log = logging.getLogger(__name__)

_TOLD = 20  # of what is not measured, named on the screen and in the notes
_NO_REFERENCE = "it takes no reference: its row is that of none"


def unread_notes(unread: Sequence[Unread]) -> list[str]:
    """Return what is to be said of images that are not in the numbers; tell it now, too."""
    for file in unread[:_TOLD]:
        log.warning("Not measured: %s: %s", file.path, file.reason)
    if not unread:
        return []
    named = "; ".join(f"{file.path.name}: {file.reason}" for file in unread[:_TOLD])
    more = f"; and {len(unread) - _TOLD} more, which notes.json names" * (len(unread) > _TOLD)
    if more:
        log.warning("%d images in all are not measured; notes.json names them", len(unread))
    return [f"Images that cannot be used, whose groups are not measured: {named}{more}."]


def not_run_of(
    methods: Sequence[Method],
    references: Sequence[str],
    protocols: Sequence[Protocol],
    results: Sequence[GroupRows],
) -> list[NotRun]:
    """Return what each method was not run on, and why: references, protocols, images."""
    not_run = []
    for method in methods:
        taken = [name for name in references if method.takes(name)]
        reason = _NO_REFERENCE if method.takes(NONE) else "it does not take this reference"
        for name in references:
            if name not in taken and name != NONE:
                not_run.append(NotRun(method.name, name, "", reason))
        for protocol in protocols:
            if not any(protocol.measures(name) for name in taken):
                reason = (
                    f"protocol {protocol.name} measures references: {protocol.references}, which "
                    "it does not take"
                )
                not_run.append(NotRun(method.name, "", "", reason))
    return [*not_run, *(one for result in results for one in result.not_run)]


def not_run_notes(not_run: Sequence[NotRun]) -> list[str]:
    """Return what is to be said of methods that were not run, a sentence a kind; warn of images."""
    images = [one for one in not_run if one.image]
    for one in images[:_TOLD]:
        log.warning("%s, %s, %s: not run: %s", one.method, one.reference, one.image, one.reason)
    alone = dict.fromkeys(one.method for one in not_run if one.reason == _NO_REFERENCE)
    notes = []
    if alone:
        notes.append(f"Measured with none, since they take no reference: {', '.join(alone)}.")
    others: dict[tuple[str, str], list[str]] = {}
    for one in not_run:
        if not one.image and one.reason != _NO_REFERENCE:
            others.setdefault((one.method, one.reason), []).append(one.reference)
    for (method, reason), names in others.items():
        which = f" with {', '.join(names)}" if any(names) else ""
        notes.append(f"{method} is not measured{which}: {reason}.")
    for method in dict.fromkeys(one.method for one in images):
        own = [one for one in images if one.method == method]
        told = "; ".join(f"{one.image}, {one.reference}: {one.reason}" for one in own[:_TOLD])
        more = f"; and {len(own) - _TOLD} more, which notes.json names" * (len(own) > _TOLD)
        notes.append(f"{method} has no SR of {len(own)} images, so other means: {told}{more}.")
    return notes
