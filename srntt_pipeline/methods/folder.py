"""SR images that another program made, as a method: a folder of them."""

import functools
from dataclasses import dataclass
from pathlib import Path

from srntt_pipeline.errors import InputError, UnusableImage
from srntt_pipeline.file_types import SUFFIXES
from srntt_pipeline.files import file_sha256
from srntt_pipeline.images import RGB, SCALE, read_rgb
from srntt_pipeline.methods.method import (
    ALL,
    BEST,
    HR_WARP,
    LR,
    NONE,
    PAPER_ALL,
    RANDOM,
    STITCHED,
    STITCHED_MASA,
    CannotRun,
    Method,
)
from srntt_pipeline.methods.scene import Scene

# Sub-folders by reference: as tables call it, or as our own images/ folder does.
_FOLDERS = {
    "hr-warp": HR_WARP, "lr": LR, "all": ALL, "paper-all": PAPER_ALL, "stitched": STITCHED,
    "stitched-masa": STITCHED_MASA, "best": BEST, "random": RANDOM, "none": NONE,
}  # fmt: skip


@dataclass(frozen=True)
class ImagesOfFolder(Method):
    """The SR images in `folder`, under a name for tables.

    They are named as the test set's HR images or groups, `001_0.png` or `001.png`. Those that were
    made with a reference lie in a sub-folder of its name (`L1/`, `all/`, …), those that were made
    without one in `none/` or in the folder itself.
    """

    name: str
    folder: Path
    is_weighed = False

    @property
    def reads(self) -> list[Path]:
        """The folder."""
        return [self.folder]

    def takes(self, reference: str) -> bool:
        """Tell whether there is a folder of that reference."""
        return reference in _by_reference(self.folder)

    def identity(self, scene: Scene, reference: str) -> str:
        """Return the hash of the image's file."""
        return file_sha256(self._file(scene, reference))

    def super_resolve(self, scene: Scene, reference: str) -> RGB:
        """Return the image; raise CannotRun where it is missing, or is not 4 times as large as LR.

        HR is cut to multiples of 4 px before LR is made, so the image is of that size too.
        """
        path = self._file(scene, reference)
        try:
            sr = read_rgb(path, grey=True)
        except UnusableImage as error:
            raise CannotRun(f"{self._shown(path)}: {error.reason}") from None
        height, width = (SCALE * side for side in scene.lr.shape[:2])
        if sr.shape[:2] != (height, width):
            raise CannotRun(
                f"{self._shown(path)} is {sr.shape[1]}×{sr.shape[0]} px, not {width}×{height} as "
                f"HR cut to multiples of {SCALE}"
            )
        return sr

    def notes(self, device: str) -> list[str]:
        """Return that nobody here made the images."""
        if not _by_reference(self.folder):
            raise InputError(f"{self.folder}: no images; expected SR images, named as the test set")
        return [
            f"{self.name}: images made elsewhere, read from {self.folder.name}/; how is not known "
            "here. They were made from one LR, whatever kernel a protocol makes LR with."
        ]

    def _file(self, scene: Scene, reference: str) -> Path:
        """Return the image of a scene: named as its HR image, its group, or its group's HR."""
        found = _by_reference(self.folder)[reference]
        for stem in dict.fromkeys((scene.name, f"{scene.name}_0")):
            if stem in found:
                return found[stem]
        raise CannotRun(f"{self.folder.name}/ has no {scene.name} for the reference {reference}")

    def _shown(self, path: Path) -> str:
        """Return a file's place for notes, which are the same wherever the folder lies."""
        return path.relative_to(self.folder.parent).as_posix()


@functools.lru_cache(maxsize=16)
def _by_reference(folder: Path) -> dict[str, dict[str, Path]]:
    """Return the images in `folder` by reference and by stem."""
    found: dict[str, dict[str, Path]] = {}
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    if flat := _images(folder):
        found[NONE] = flat
    for path in inside:
        if path.is_dir() and (images := _images(path)):
            name = path.name
            level = name[:1] in "lL" and name[1:].isdigit()
            reference = name.upper() if level else _FOLDERS.get(name.lower(), name)
            found[reference] = images
    return found


def _images(folder: Path) -> dict[str, Path]:
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    }
