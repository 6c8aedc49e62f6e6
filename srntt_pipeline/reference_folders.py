"""References that lie in a folder of their own, found by the name of their HR image.

Sun80     Sun_Hays_SR_groundtruth/NAME.jpg   Sun_Hays_SR_scenematches/NAME.jpg/…  (or NAME/…)
WR-SR     input/NAME.png                     ref/NAME_ref.png
others    any folder of HR images            NAME, NAME_ref, NAME_1 … NAME_n, or a folder NAME/

Suffixes may differ from HR's. Levels are known of names as CUFED5 has them alone: beside HR
`GGG_0`, `GGG_1` is the reference of L1. All others are called `1` … `n`: a number of a file name is
kept, and images in a folder are counted by name.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256
from srntt_pipeline.listing import Unread, images_in

_SUN80 = "Sun_Hays_SR_groundtruth", "Sun_Hays_SR_scenematches"
_WRSR = "input", "ref"
_NUMBERED = re.compile(r"(?P<name>.+)_(?P<k>[0-9]{1,4})", re.DOTALL)


@dataclass(frozen=True)
class FolderPair:
    """A folder of HR images and one of references; `name`: of the data set, where it is known."""

    hr: Path
    refs: Path
    name: str | None


def known_pair(dataset: Path) -> FolderPair | None:
    """Return the two folders of a data set that is laid out as Sun80 or WR-SR; None of another."""
    for (hr, refs), name in ((_SUN80, "Sun80"), (_WRSR, None)):
        if (dataset / hr).is_dir() and (dataset / refs).is_dir():
            return FolderPair(dataset / hr, dataset / refs, name)
    return None


def find_references(
    hr_images: Collection[Path], folder: Path
) -> tuple[dict[Path, dict[str, Path]], list[Unread]]:
    """Return the references of each HR image that has any in `folder`, by level or number.

    And what is not used: HR images without a reference, and files in their folders of references
    that are not read. Raises InputError where two readings of names are possible, where no image
    has a reference, and for a folder that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; name one of references (--ref-folder, evaluate.ref_folder)"
        )
    if folder.resolve() in {hr.parent.resolve() for hr in hr_images}:
        raise InputError(
            f"{folder}: this is the folder of the HR images: each would be its own reference; name "
            "the folder of the references"
        )
    listed = _Listed(folder, {hr.stem for hr in hr_images})
    found: dict[Path, dict[str, Path]] = {}
    unread: list[Unread] = []
    for hr in hr_images:
        refs, not_used = listed.of(hr)
        unread += not_used
        if refs:
            found[hr] = refs
        else:
            unread.append(Unread(hr, listed.why_none(hr)))
    if not found:
        first = next(iter(hr_images))
        raise InputError(f"{first}: {listed.why_none(first)}; no image of the test set has one")
    return found, unread


def same_as_hr(found: Mapping[Path, Mapping[str, Path]]) -> list[Path]:
    """Return the references that are copies of, or links to, their HR image."""
    return [
        ref
        for hr, refs in found.items()
        for ref in refs.values()
        if ref.stat().st_size == hr.stat().st_size and file_sha256(ref) == file_sha256(hr)
    ]


class _Listed:
    """What a folder of references holds; `hr_stems`: names that are those of HR images too."""

    def __init__(self, folder: Path, hr_stems: Collection[str]) -> None:
        self._folder = folder
        images, unread = images_in(folder, unique=False)
        self._reasons = {file.path.stem: f"{file.path.name}: {file.reason}" for file in unread}
        self._images: dict[str, list[Path]] = {}
        self._numbered: dict[str, list[tuple[int, Path]]] = {}
        for path in images:
            self._images.setdefault(path.stem, []).append(path)
            match = _NUMBERED.fullmatch(path.stem)
            if match and path.stem not in hr_stems:  # else it is that one's reference
                numbered = self._numbered.setdefault(match["name"], [])
                numbered.append((int(match["k"]), path))

    def of(self, hr: Path) -> tuple[dict[str, Path], list[Unread]]:
        """Return the references of an HR image, and what of its own folder is not used."""
        alone = [("1", path) for name in _names(hr.stem) for path in self._images.get(name, [])]
        if len(alone) > 1:
            raise self._ambiguous(hr, alone[0][1], alone[1][1])
        numbered = [(str(k), path) for k, path in sorted(self._numbered.get(hr.stem, []))]
        levels: list[tuple[str, Path]] = []
        if hr.stem.endswith("_0"):
            group = sorted(self._numbered.get(hr.stem.removesuffix("_0"), []))
            levels = [(f"L{k}", path) for k, path in group if k]
        inside, unread = self._inside(hr)
        ways = [way for way in (alone, numbered, levels, inside) if way]
        if len(ways) > 1:
            raise self._ambiguous(hr, ways[0][0][1], ways[1][0][1])
        refs: dict[str, Path] = {}
        for name, path in ways[0] if ways else []:
            if name in refs:
                raise self._ambiguous(hr, refs[name], path)
            refs[name] = path
        return refs, unread

    def why_none(self, hr: Path) -> str:
        """Return why an HR image has no reference, and what one is to be called."""
        names = _names(hr.stem)
        why = next((f" ({self._reasons[name]})" for name in names if name in self._reasons), "")
        called = ", ".join(f"{name}.png" for name in (*names, f"{hr.stem}_1"))
        return (
            f"no reference in {self._folder.name}/{why}; it is to be called {called}, or to lie in "
            f"a folder {hr.stem}/ there"
        )

    def _inside(self, hr: Path) -> tuple[list[tuple[str, Path]], list[Unread]]:
        """Return the images in the folder that is called as the HR image, counted by name."""
        folders = [self._folder / name for name in dict.fromkeys((hr.name, hr.stem))]
        folders = [folder for folder in folders if folder.is_dir()]
        if not folders:
            return [], []
        if len(folders) > 1:
            raise self._ambiguous(hr, folders[0], folders[1])
        images, unread = images_in(folders[0], unique=False)
        return [(str(k), path) for k, path in enumerate(images, start=1)], unread

    def _ambiguous(self, hr: Path, one: Path, other: Path) -> InputError:
        return InputError(
            f"{self._folder}: {one.name} and {other.name} may both be references of {hr.name}, by "
            "different readings of names; move one out"
        )


def _names(stem: str) -> tuple[str, str]:
    """Return what the one reference of an HR image may be called, without suffix."""
    return stem, f"{stem}_ref"
