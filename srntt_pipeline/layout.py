"""The CUFED5 folder layout, which every later RefSR code reads; this module alone knows it.

train/input/NAME.png   HR crop          test/CUFED5/GGG_0.png         HR
train/ref/NAME.png     reference crop   test/CUFED5/GGG_1.png, …      references, L1 first
summary.json           only in data sets built here: their name
manifests/             only in data sets built here: train.csv and test.csv name the images
test/CUFED5_pairs.txt  only in data sets built here: test images with L1, for other code

Test sets whose references lie in a folder of their own: `reference_folders`.
"""

import csv
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from srntt_pipeline.config import SetLayout
from srntt_pipeline.errors import InputError
from srntt_pipeline.file_types import SUFFIXES
from srntt_pipeline.files import read_csv, read_json
from srntt_pipeline.listing import Unread, images_in
from srntt_pipeline.reference_folders import find_references, known_pair, same_as_hr
from srntt_pipeline.text import printable, valid

log = logging.getLogger(__name__)

TRAIN_INPUT = Path("train", "input")
TRAIN_REF = Path("train", "ref")
TEST = Path("test", "CUFED5")
PAIRS = Path("test", "CUFED5_pairs.txt")  # as C2-Matching's code names it
SUMMARY = Path("summary.json")
_MANIFESTS = Path("manifests")

_TEST_NAME = re.compile(r"(?P<group>.+)_(?P<k>[0-9])", re.DOTALL)


@dataclass(frozen=True)
class TrainPair:
    """A training pair of image files; in the released CUFED5 sizes can differ by a pixel."""

    name: str
    hr: Path
    ref: Path


@dataclass(frozen=True)
class PairOrigin:
    """What a training pair was cut from: its album, and the SHA-256 of HR's and Ref's photo."""

    album: str
    photos: tuple[str, str]


@dataclass(frozen=True)
class Group:
    """A test group: an HR image and its references, or none.

    `refs`: by level (`{"L1": path, …}`), or by number (`{"1": path, …}`) where no level is known.
    `lr`: the LR image that came with it; None where it is to be made.
    """

    name: str
    hr: Path
    refs: dict[str, Path]
    lr: Path | None = None


@dataclass(frozen=True)
class EvaluationSet:
    """A named set of test images, ordered by name.

    `unread`: images that are not used; `reading`: how names were understood that could mean
    something else too, for people, and how to choose the other meaning.
    """

    name: str
    groups: tuple[Group, ...]
    unread: tuple[Unread, ...] = ()
    reading: str | None = None


def group_file(group: str, k: int) -> Path:
    """Return where image `k` of a test group lies: 0 is HR, k the reference of level Lk."""
    return TEST / f"{group}_{k}.png"


def read_train_pairs(dataset: Path) -> list[TrainPair]:
    """Return the training pairs of `dataset`, by name.

    Raises InputError when there are none, when an input has no reference of the same name, or when
    they are not those of the manifest of a data set built here.
    """
    inputs, refs = dataset / TRAIN_INPUT, dataset / TRAIN_REF
    if not inputs.is_dir() or not refs.is_dir():
        raise InputError(
            f"{dataset}: no training pairs; expected {TRAIN_INPUT}/ and {TRAIN_REF}/ in it"
        )
    for folder in (inputs, refs):
        _check_manifest(dataset, "train.csv", ["name"], folder)
    images, unread = images_in(inputs)
    for file in unread:
        log.warning("%s is not used: %s", file.path, file.reason)
    pairs = [TrainPair(hr.stem, hr, refs / hr.name) for hr in images]
    if not pairs:
        raise InputError(f"{inputs}: no images")
    missing = [pair for pair in pairs if not pair.ref.is_file()]
    if missing:
        raise InputError(
            f"{missing[0].ref} is missing: {len(missing)} of {len(pairs)} training inputs have no "
            "reference of the same name"
        )
    return pairs


def read_origins(dataset: Path) -> dict[str, PairOrigin] | None:
    """Return what each training pair was cut from, by its name; None where no manifest tells it.

    Raises InputError for a manifest that is none.
    """
    columns = ["name", "album", "hr_sha256", "ref_sha256"]
    rows = _read_table(dataset / _MANIFESTS / "train.csv", columns, optional=True)
    if rows is None:
        return None
    return {name: PairOrigin(album, (hr, ref)) for name, album, hr, ref in rows}


def pairs_text(groups: Iterable[str]) -> str:
    """Return the content of `PAIRS`: a line for each group, HR and the reference of L1.

    C2-Matching's test loader reads such a file: two file names of `test/CUFED5`, with one space.
    """
    lines = [" ".join(group_file(group, k).name for k in (0, 1)) for group in groups]
    return "".join(f"{line}\n" for line in lines)


def read_test_set(
    dataset: Path, layout: SetLayout = "auto", ref_folder: Path | None = None
) -> EvaluationSet:
    """Return the test set in `dataset`.

    `dataset` is a data set in CUFED5 layout (its root, or its `test/CUFED5` folder; groups may
    have four references, five, or some missing), one in the layout of Sun80 or WR-SR, or any folder
    of images. Of such a folder, `layout` says whether its images are `groups` (GGG_0.png is HR,
    GGG_1.png … its references) or HR `images` without references (Urban100); `auto`: groups if all
    names fit, and one has a reference. `ref_folder`: the folder of the references of HR images, by
    their names (`reference_folders`). Raises InputError when it is none of these, or not what its
    manifest names.
    """
    if not dataset.is_dir():
        raise InputError(f"{dataset}: no such folder")
    pair = known_pair(dataset) if layout == "auto" and not ref_folder else None
    if pair:
        plain = read_test_set(pair.hr, "images")
        name = pair.name or valid(dataset.resolve().name)
        return _with_references(replace(plain, name=name), pair.refs)
    test_set = _read_folder(dataset, layout)
    return _with_references(test_set, ref_folder) if ref_folder else test_set


def _with_references(test_set: EvaluationSet, folder: Path) -> EvaluationSet:
    """Return the test set with the references in `folder`; what has none is listed."""
    for group in test_set.groups:
        if group.refs:
            raise InputError(
                f"--ref-folder {folder}: {group.hr.name} has references beside it; take all as HR "
                "images (--layout images), or leave out --ref-folder"
            )
    found, unread = find_references([group.hr for group in test_set.groups], folder)
    groups = [replace(g, refs=found[g.hr]) for g in test_set.groups if g.hr in found]
    reading = test_set.reading
    if copies := same_as_hr(found):
        reading = (
            f"{len(copies)} of the references in {printable(folder.resolve().name)}/ have the "
            f"bytes of their HR image, such as {printable(copies[0].name)}: with these, SR is made "
            "from what it is measured against."
        )
        log.warning("%s", reading)
    unread = [*test_set.unread, *unread]
    return replace(test_set, groups=tuple(groups), unread=tuple(unread), reading=reading)


def _read_folder(dataset: Path, layout: SetLayout) -> EvaluationSet:
    """Return the test set whose images all lie in one folder."""
    folder = dataset / TEST if (dataset / TEST).is_dir() else dataset
    if folder == dataset and (dataset / TRAIN_INPUT).is_dir():
        raise InputError(f"{dataset}: a data set without test groups: {TEST} is missing")
    images, unread = images_in(folder)
    if not images:
        more = f"; {unread[0].path.name}: {unread[0].reason}" if unread else ""
        raise InputError(
            f"{folder}: no test images; expected {TEST}/GGG_K.png in a data set, or a folder of "
            f"HR images ({', '.join(sorted(SUFFIXES))}){more}"
        )
    groups: dict[str, dict[int, Path]] = {}
    for path in images:
        if match := _TEST_NAME.fullmatch(path.stem):
            groups.setdefault(match["group"], {})[int(match["k"])] = path
    others = [path for path in images if not _TEST_NAME.fullmatch(path.stem)]
    in_layout = folder.resolve().parts[-2:] == TEST.parts
    if in_layout:
        _check_manifest(folder.resolve().parents[1], "test.csv", ["group", "k"], folder)
    # Names like img_1.png alone mean nothing: groups have an HR image and a reference of it.
    pairs = [name for name, group in groups.items() if 0 in group and len(group) > 1]
    fitting = in_layout or bool(pairs and not others)
    as_groups = fitting if layout == "auto" else layout == "groups"
    way = "" if in_layout else ", or take all as HR images (--layout images)"
    if as_groups and others:
        raise InputError(f"{others[0]}: not named GGG_K.png; move it out of the test set{way}")
    reading = None
    if layout == "auto" and not in_layout and pairs:
        reading = _reading(groups[pairs[0]], others)
        log.warning("%s: %s", folder, reading)
    name = valid(dataset.resolve().name)
    if in_layout or as_groups:
        name = _name(dataset, "CUFED5" if in_layout else name)
    if as_groups:
        whole = _groups(folder, groups, {file.path.stem for file in unread}, way)
        return EvaluationSet(name, tuple(whole), tuple(unread), reading)
    plain = tuple(Group(path.stem, path, {}) for path in images)
    return EvaluationSet(name, plain, tuple(unread), reading)


def with_lr(test_set: EvaluationSet, folder: Path) -> EvaluationSet:
    """Return the test set with the LR images in `folder`, one for each group.

    An LR image is named as its HR image or group, or as benchmarks do: for `001_0` of group `001`
    those are `001_0`, `001`, `001x4`, `001_LR`, for `img_001_SRF_4_HR` `img_001_SRF_4_LR` too.
    Other images may lie there. Raises InputError where a group has none, or more than one.
    """
    if not folder.is_dir():
        raise InputError(f"--lr {folder}: no such folder; name one of LR images (evaluate.lr)")
    images, unread = images_in(folder)
    by_stem = {path.stem: path for path in images}
    reasons = {file.path.stem: file.reason for file in unread}
    return replace(
        test_set,
        groups=tuple(
            replace(group, lr=_lr_of(group, folder, by_stem, reasons)) for group in test_set.groups
        ),
    )


def _lr_of(
    group: Group, folder: Path, images: Mapping[str, Path], reasons: Mapping[str, str]
) -> Path:
    stems = [group.hr.stem, group.name, f"{group.name}x4", f"{group.name}_LR"]
    if group.hr.stem.endswith("HR"):
        stems.append(group.hr.stem.removesuffix("HR") + "LR")
    stems = list(dict.fromkeys(stems))
    found = [images[stem] for stem in stems if stem in images]
    if len(found) > 1:
        raise InputError(
            f"--lr {folder}: {found[0].name} and {found[1].name} may both be the LR image of "
            f"{group.hr.name}; move one out"
        )
    if not found:
        why = next((f" ({stem}: {reasons[stem]})" for stem in stems if stem in reasons), "")
        raise InputError(
            f"--lr {folder}: no LR image of {group.hr.name}{why}; it is to be called "
            f"{' or '.join(f'{stem}.png' for stem in stems)}"
        )
    return found[0]


def _reading(group: dict[int, Path], others: Sequence[Path]) -> str:
    """Say how names were read that look like a group's, beside `others` that do not."""
    hr, *refs = (printable(group[k].name) for k in sorted(group))
    if others:
        return (
            f"All images are taken as HR images without references, although {hr} and {refs[0]} "
            f"are named like a group: {printable(others[0].name)} is not. If they are groups, move "
            "that out (--layout groups)."
        )
    return (
        f"Names are taken as those of groups: {hr} is an HR image, {', '.join(refs)} "
        f"{'is its reference' if len(refs) == 1 else 'are its references'}. If each is a test "
        "image of its own: --layout images (evaluate.layout)."
    )


def _check_manifest(dataset: Path, table: str, columns: Sequence[str], folder: Path) -> None:
    """Raise InputError unless `folder` holds the images that a table of the manifest names.

    Their names are what `columns` hold, joined by `_`. Without the table there is nothing to check.
    """
    manifest = dataset / _MANIFESTS / table
    rows = _read_table(manifest, columns)
    if rows is None:
        return
    named = {"_".join(cells) + ".png" for cells in rows}
    found = {path.name for path in images_in(folder)[0]}
    if missing := sorted(named - found):
        raise InputError(
            f"{folder / missing[0]} is missing, which {manifest} names ({len(missing)} of "
            f"{len(named)} are); build the data set again: what is there is kept"
        )
    if stray := sorted(found - named):
        raise InputError(
            f"{folder / stray[0]} is not in {manifest} ({len(stray)} such); move it out, or, if "
            f"the data set is meant to be another, {manifest.parent}"
        )


def _read_table(
    manifest: Path, columns: Sequence[str], *, optional: bool = False
) -> list[list[str]] | None:
    """Return these columns of a table of the manifest, row by row; None without the table.

    Where it lacks a column: None if they are `optional`; else raises InputError.
    """
    if not manifest.is_file():
        return None
    try:
        (_, header), *rows = read_csv(manifest)
        if optional and not set(columns) <= set(header):
            return None
        places = [header.index(column) for column in columns]
        return [[row[place] for place in places] for _, row in rows]
    except (OSError, ValueError, IndexError, csv.Error):
        raise InputError(
            f"{manifest}: not a manifest of images; restore it, or move {manifest.parent} away"
        ) from None


def _groups(
    folder: Path, groups: dict[str, dict[int, Path]], unread: set[str], way: str
) -> list[Group]:
    """Return the groups but those whose HR image is one of the `unread`, which are told.

    `way`: what else can be done about references without an HR image.
    """
    groups = {name: group for name, group in groups.items() if f"{name}_0" not in unread}
    orphans = sorted(name for name, group in groups.items() if 0 not in group)
    if orphans:
        raise InputError(
            f"{folder}: references without an HR image: {orphans[0]}_0.png is missing{way}"
        )
    return [
        Group(name, group[0], {f"L{k}": group[k] for k in sorted(group) if k})
        for name, group in sorted(groups.items())
    ]


def _name(dataset: Path, otherwise: str) -> str:
    """Return the name that the builder recorded, or `otherwise`."""
    resolved = dataset.resolve()
    in_layout = resolved.parts[-2:] == TEST.parts
    for folder in (resolved, *([resolved.parents[1]] if in_layout else [])):
        if (folder / SUMMARY).is_file():
            summary = read_json(folder / SUMMARY, "rebuild the data set, or delete the file")
            if isinstance(summary, dict) and isinstance(summary.get("name"), str):
                return summary["name"]
    return otherwise
