"""What a reader must know of numbers: of what LR they are; which are missing, and why."""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from srntt_pipeline.degradation import KERNELS, Kernel
from srntt_pipeline.evaluation.measure import GroupRows
from srntt_pipeline.evaluation.not_run import NotRun
from srntt_pipeline.evaluation.paper import PAPER_REFERENCES, more_than_paper
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.layout import EvaluationSet
from srntt_pipeline.listing import Unread
from srntt_pipeline.methods import Method
from srntt_pipeline.methods.method import ALL, BEST_PSNR, NONE, PAPER_ALL, is_single
from srntt_pipeline.text import valid

log = logging.getLogger(__name__)

_TOLD = 20  # of what is not measured, named on the screen and in the notes
_NO_REFERENCE = "it takes no reference: its row is that of none"


def reference_notes(name: str, test_set: EvaluationSet, references: Sequence[str]) -> list[str]:
    """Return that `all` of a set called `name` is not the paper's, where it has more references."""
    most = max(len(group.refs) for group in test_set.groups)
    if ALL not in references or not more_than_paper(name, most):
        return []
    measured = "stand" if PAPER_ALL in references else "would stand"
    return [
        f"{name} has {most} references here, {PAPER_REFERENCES[name]} in the paper: all is not the "
        f"paper's, whose numbers {measured} beside {PAPER_ALL}, of the first "
        f"{PAPER_REFERENCES[name]}."
    ]


def lr_notes(
    methods: Sequence[Method],
    protocols: Sequence[Protocol],
    results: Sequence[GroupRows],
    given: Path | None,
) -> list[str]:
    """Return of what LR the numbers are, where that is not the LR that networks were trained on.

    `given`: the folder of the LR images that came with the test set, if they are used.
    """
    if given:
        return _given_notes(methods, [result for result in results if result.rows], given)
    notes = []
    for kernel in dict.fromkeys(protocol.kernel for protocol in protocols):
        names = [protocol.name for protocol in protocols if protocol.kernel == kernel]
        which = f"Protocol{'s' * (len(names) > 1)} {', '.join(names)}"
        lr = f"{which}: LR is made by {KERNELS[kernel]}"
        notes += [f"{lr}; {told}" for told in _not_trained_on(methods, {kernel})]
    return notes


def _given_notes(methods: Sequence[Method], results: Sequence[GroupRows], given: Path) -> list[str]:
    """Return that LR was given, by which kernels it was made, and which networks do not know it."""
    found = Counter(result.lr_kernel for result in results)
    kinds = [
        f"{count} of {len(results)} equal {KERNELS[kernel]} to the last value"
        if kernel
        else f"{count} of {len(results)} are made by no kernel known here"
        for kernel, count in found.items()
    ]
    lr = (
        f"LR images are those in {valid(given.resolve().name)}/, used as they are by every "
        f"protocol: {'; '.join(kinds)}"
    )
    told = _not_trained_on(methods, set(found))
    return [f"{lr}.", *(f"LR as given: {one}" for one in told)]


def _not_trained_on(methods: Sequence[Method], kernels: Collection[Kernel | None]) -> list[str]:
    """Return a sentence for each kernel that networks were trained on, if LR is another."""
    trained: dict[Kernel, list[str]] = {}
    for method in methods:
        if method.trained_on and set(kernels) != {method.trained_on}:
            trained.setdefault(method.trained_on, []).append(method.name)
    return [
        f"not trained on such LR, but on {KERNELS[kernel]}: {', '.join(names)}."
        for kernel, names in trained.items()
    ]


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
        if BEST_PSNR in references and BEST_PSNR not in taken and any(map(is_single, taken)):
            taken.append(BEST_PSNR)
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
