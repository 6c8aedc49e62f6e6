"""Whether a test set is one of the paper's, as it was released: only then its numbers stand beside.

A name proves nothing: folders are called urban100 that hold other images, and a data set built here
may be called CUFED5. Some of the released images are known by their pixels (`released.csv`).
"""

import csv
import functools
from importlib import resources

from srntt_pipeline.errors import InputError, UnusableImage
from srntt_pipeline.evaluation.paper import PAPER_IMAGES, canonical_dataset
from srntt_pipeline.images import pixels_sha256, read_rgb
from srntt_pipeline.layout import EvaluationSet

OWN = " (own)"  # after a paper's name: of images that are not known to be the paper's


@functools.cache
def known_images() -> dict[str, dict[str, str]]:
    """Return by data set and image the `pixels_sha256` of HR images that are at hand."""
    text = resources.files(__package__).joinpath("released.csv").read_text(encoding="utf-8")
    known: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(text.splitlines()):
        known.setdefault(row["dataset"], {})[row["image"]] = row["sha256"]
    return known


def identify(test_set: EvaluationSet, stated: str | None = None) -> tuple[str, str | None]:
    """Return what tables call a test set, and what readers must know of that, if anything.

    It has a paper's name where it holds images that are known by name and all of these have the
    released pixels, or where `stated` says so (`evaluate.released`); one that is merely called
    like a paper's is told apart: `CUFED5 (own)`. Give the whole set: of a part, the known images
    may be missing. Raises InputError where `stated` is known to be wrong.
    """
    found = {
        dataset: matches for dataset in known_images() if (matches := _match(test_set, dataset))
    }
    recognised = next(
        (dataset for dataset, matches in found.items() if all(matches.values())), None
    )
    if stated and recognised not in (None, stated):
        raise InputError(
            f"{test_set.groups[0].hr.parent}: these are the released images of {recognised}, not "
            f"of {stated} (evaluate.released)"
        )
    if stated:
        differing = [image for image, equal in found.get(stated, {}).items() if not equal]
        if recognised == stated:
            return stated, None
        but = f", although {differing[0]} has other pixels than the one known" if differing else ""
        return (
            stated,
            f"Taken as the released images of {stated}, as evaluate.released states{but}.",
        )
    if recognised:
        return recognised, None
    name = canonical_dataset(test_set.name)
    if name not in PAPER_IMAGES:
        return test_set.name, None
    return (
        name + OWN,
        f"Called {name}, but not known by its pixels to be the released {name}: the paper's "
        f"numbers do not stand beside it. If it is, state it: --released {name} "
        "(evaluate.released).",
    )


def _match(test_set: EvaluationSet, dataset: str) -> dict[str, bool]:
    """Return for each image that is known of `dataset` by name whether it has those pixels."""
    known = known_images()[dataset]
    if len(test_set.groups) > PAPER_IMAGES[dataset]:
        return {}
    matches = {}
    for group in test_set.groups:
        if group.name in known:
            try:
                image = read_rgb(group.hr, grey=True)
            except UnusableImage:
                continue  # it is not measured either
            matches[group.name] = pixels_sha256(image) == known[group.name]
    return matches
