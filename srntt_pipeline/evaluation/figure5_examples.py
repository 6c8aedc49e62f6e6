"""What Figure 5 shows: which images of a data set, by which methods, with which references."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from srntt_pipeline.config import TablesParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.detail import Detail, read_details
from srntt_pipeline.evaluation.filling import find
from srntt_pipeline.evaluation.paths import slug
from srntt_pipeline.evaluation.pictures import LR_IMAGE, REFERENCES
from srntt_pipeline.evaluation.previews import hr_path, reference_path
from srntt_pipeline.evaluation.results import Results
from srntt_pipeline.evaluation.table_rows import protocol_to_show
from srntt_pipeline.evaluation.tables import Row
from srntt_pipeline.images import read_size
from srntt_pipeline.methods.marks import seeds_of
from srntt_pipeline.methods.method import (
    ALL,
    HR_WARP,
    LR,
    NONE,
    PAPER_ALL,
    PAPER_LEVELS,
    is_single,
    reference_rank,
)


@dataclass(frozen=True)
class Output:
    """SR of an image by a method with a reference, and its PSNR (dB, may be infinite)."""

    method: str
    reference: str
    psnr_db: float
    path: Path

    @property
    def label(self) -> str:
        """What stands below it: the method, and its reference where it has one."""
        return self.method if self.reference == NONE else f"{self.method}, {self.reference}"


@dataclass(frozen=True)
class Example:
    """An image of the figure.

    `references`: files of what methods took, by name; `complete`: whether each method's are there;
    `detail`: the one that was given, None where it is to be chosen.
    """

    image: str
    hr: Path
    outputs: tuple[Output, ...]
    references: Mapping[str, Path]
    complete: bool = True
    detail: Detail | None = None


@dataclass(frozen=True)
class Plan:
    """The figure of a data set; without examples it cannot be drawn.

    `chosen`: how the images were chosen; `told`: what is left out of it, a line each.
    """

    dataset: str
    protocol: str
    examples: tuple[Example, ...]
    chosen: str
    told: tuple[str, ...] = ()


def plan_figures(results: Results, params: TablesParams) -> list[Plan]:
    """Return what the figure of each data set shows.

    Images are those that `params.images` names. Of a data set that has none of these it is the
    `params.max_images` whose PSNR has the highest standard deviation over the methods, so those
    where it matters most which method one takes: our choice, the paper does not say. Methods are
    those of `params.methods`, or all, of seeds of one network the first. Each has the reference of
    its row in Table 1, or else its most similar one. Raises InputError for a name that no
    evaluation has, or for a detail that is not shown.
    """
    images = {row["image"] for row in results.per_image}
    for kind, wanted, known in (
        ("images", params.images, images),
        ("methods", params.methods, results.methods),
    ):
        if strange := [name for name in wanted if name not in known]:
            shown = ", ".join(sorted(known)[:20]) + ", …" * (len(known) > 20)
            raise InputError(f"{kind}: {strange[0]} was not evaluated; there are {shown}")
    details = read_details(params.detail)
    plans = [_plan(dataset, results, params, details) for dataset in results.datasets]
    shown_images = {example.image for plan in plans for example in plan.examples}
    if unused := [name for name in details if name not in shown_images]:
        raise InputError(f"detail: image {unused[0]} is not shown; name it in images too")
    return plans


def _plan(
    dataset: str, results: Results, params: TablesParams, details: Mapping[str, Detail]
) -> Plan:
    own = [row for row in results.per_image if row["dataset"] == dataset and "folder" in row]
    protocol = protocol_to_show(dataset, {row["protocol"] for row in own}, params.protocol)
    own = [row for row in own if row["protocol"] == protocol]
    methods = _methods(own, params.methods)
    shown = {name: _reference(dataset, name, own, results) for name in methods}
    by_image: dict[str, list[Row]] = {}
    for row in own:
        if shown.get(row["method"]) == row["reference"]:
            by_image.setdefault(row["image"], []).append(row)
    examples = [_example(image, rows, methods, details) for image, rows in by_image.items()]
    named = [example for example in examples if example.image in params.images]
    most = max((len(example.outputs) for example in examples), default=0)
    whole = [e for e in examples if e.outputs and len(e.outputs) == most and e.hr.is_file()]
    if not params.max_images:
        return Plan(dataset, protocol, (), "", ())
    if named:
        drawn = [e for e in named if e.outputs and e.hr.is_file()]
        chosen = "as they were named"
    else:
        drawn, chosen = _most_different(whole, params.max_images)
    told = []
    if not drawn:
        told = ["all of it, since pictures of its images are missing; evaluate again"]
    for example in drawn:
        if gone := [name for name in methods if name not in {o.method for o in example.outputs}]:
            told.append(f"of image {example.image} what has no picture: {', '.join(gone)}")
        if not example.complete:
            told.append(f"of image {example.image} the references")
    return Plan(dataset, protocol, tuple(drawn), chosen, tuple(told))


def _methods(rows: Sequence[Row], wanted: Sequence[str]) -> list[str]:
    """Return the methods to show that have numbers, in the order of the tables or as named."""
    there = dict.fromkeys(row["method"] for row in rows)
    if wanted:
        return [name for name in dict.fromkeys(wanted) if name in there]
    first: dict[str, str] = {}
    for name in there:
        first.setdefault(seeds_of(name) or name, name)
    return [name for name in there if name in first.values()]


def _reference(dataset: str, method: str, rows: Sequence[Row], results: Results) -> str:
    """Return with which reference a method is shown: that of Table 1, or its most similar one."""
    measured = {row["reference"] for row in rows if row["method"] == method}
    table1 = [row["reference"] for row in find(dataset, method, ALL, results).rows]
    wanted = [name for name in table1 if name in measured]
    # HR, moved, is what SR is to be: no other photo.
    others = sorted(measured, key=lambda name: (name == HR_WARP, reference_rank(name)))
    return str((wanted + others)[0])


def _example(
    image: str, rows: Sequence[Row], methods: Sequence[str], details: Mapping[str, Detail]
) -> Example:
    """Return an image with those of its pictures that are there."""
    outputs = [
        Output(row["method"], row["reference"], row["psnr_db"], path)
        for row in sorted(rows, key=lambda row: methods.index(row["method"]))
        if (path := _below(row["folder"], row.get("picture", ""))) and path.is_file()
    ]
    folder = rows[0]["folder"]
    hr = _below(folder, hr_path(image).as_posix()) or folder
    detail = details.get(image)
    if detail and hr.is_file() and not detail.fits(read_size(hr)):
        height, width = read_size(hr)
        raise InputError(f"detail: {image} is {width}x{height} px; {detail} lies beyond it")
    taken = [_references(row) for row in rows if row["reference"] != NONE]
    references = {name: path for found in taken for name, path in found.items()}
    return Example(image, hr, tuple(outputs), references, all(taken), detail)


def _references(row: Row) -> dict[str, Path]:
    """Return the pictures of a row's reference that are there, by name."""
    folder, image, reference = row["folder"], row["image"], row["reference"]
    if reference in (ALL, PAPER_ALL):
        # Folders are called after levels, in lower case.
        kept = reference_path(reference, image).parents[1]
        names = [path.name.upper() for path in (folder / kept).glob("*")]
        names = [n for n in names if is_single(n) and (reference == ALL or n in PAPER_LEVELS)]
        places = {n: reference_path(n, image) for n in sorted(names, key=reference_rank)}
    elif is_single(reference):
        places = {reference: reference_path(reference, image)}
    else:
        parents = Path(row.get("picture", "")).parents  # images/METHOD/REFERENCE/NAME.png
        root = parents[2] if len(parents) > 2 else Path()
        own = f"{LR_IMAGE.lower()}/{NONE}" if reference == LR else f"{REFERENCES}/{slug(reference)}"
        places = {reference: root / own / f"{image}.png"}
    return {
        name: path
        for name, place in places.items()
        if (path := _below(folder, place.as_posix())) is not None and path.is_file()
    }


def _below(folder: Path, name: str) -> Path | None:
    """Return the path of a file that a table names below `folder`; None where it leads out."""
    parts = PurePosixPath(name)
    return folder / name if name and not parts.is_absolute() and ".." not in parts.parts else None


def _most_different(whole: Sequence[Example], most: int) -> tuple[list[Example], str]:
    """Return the images over whose methods PSNR scatters most, in their order, and the rule."""
    # What takes references is shown with them.
    able = [example for example in whole if example.complete] or list(whole)
    by_scatter = sorted(able, key=_scatter, reverse=True)[:most]
    rule = (
        f"of {len(able)} images that have all pictures, those over whose methods PSNR has the "
        "highest standard deviation"
    )
    if len(able) <= most:
        rule = "all that have all pictures"
    return [example for example in able if example in by_scatter], rule


def _scatter(example: Example) -> float:
    values = [output.psnr_db for output in example.outputs if math.isfinite(output.psnr_db)]
    return statistics.pstdev(values) if values else 0.0
