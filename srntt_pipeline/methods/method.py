"""What a method is to evaluation: a name, the references it takes, and how it makes SR.

A method of one's own is a class that inherits `Method` and overrides what it needs, at least
`super_resolve`: docs/adding.md.
"""

import functools
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from srntt_pipeline import memory
from srntt_pipeline.degradation import Kernel
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import fingerprint, sha256
from srntt_pipeline.images import RGB, SCALE
from srntt_pipeline.memory import Size

if TYPE_CHECKING:
    from srntt_pipeline.methods.scene import Scene
    from srntt_pipeline.swaps.match_sources import Match

# References beside L1, L2, … (or 1, 2, … where no level is known): HR itself, moved; the LR image
# as its own; all in one search, or those that the paper has; all in one image, as TTSR or as MASA
# does it; the one that matches best; one drawn at random; none, for methods that take none. Of
# `best-psnr` no method is asked: evaluation, which alone sees HR, keeps the SR of the highest PSNR
# of those made with single references.
HR_WARP, LR, ALL, PAPER_ALL = "HR (warp)", "LR", "all", "paper-all"
STITCHED, STITCHED_MASA, BEST, RANDOM = "stitched", "stitched-masa", "best", "random"
BEST_PSNR, NONE = "best-psnr", "none"
PAPER_LEVELS = ("L1", "L2", "L3", "L4")


class CannotRun(InputError):  # noqa: N818 - it reads as what is raised: a method that cannot run
    """A method has no SR of an image; the reason is told in the notes of the tables."""


class Method:
    """A way from LR and references to SR ×4.

    An instance is a description: small, and picklable, since processes that share the work get a
    copy each. What takes memory (a network) is loaded when it is used first, and kept.

    `name`: its row in tables. `checkpoint`: the weights it was trained to, whose folder has the
    curves that the page shows. `trained_on`: the kernel that made the LR it was trained on; None:
    it was not trained, or nobody knows. `shares`: methods for which it is equal find what one of
    them left in `Scene.share`; empty: nothing is shared. `is_weighed`: whether its cost can be
    measured here; `matches`: whether it matches patches, so that `match` has something to draw.
    """

    name: str
    checkpoint: Path | None = None
    trained_on: Kernel | None = None
    shares: str = ""
    is_weighed: bool = True
    matches: bool = False

    @property
    def reads(self) -> list[Path]:
        """Files and folders that it reads: no output may lie there."""
        return [self.checkpoint] if self.checkpoint else []

    def takes(self, reference: str) -> bool:
        """Tell whether it makes SR with `reference`: `none`, `L1` …, `1` …, `LR`, `HR (warp)`, ….

        A method that takes none is measured once for each image, as `none`.
        """
        return reference == NONE

    def super_resolve(self, scene: "Scene", reference: str) -> RGB:
        """Return SR, uint8 [4h, 4w, 3], of `scene.lr` with `scene.images(reference)`.

        Raises CannotRun, with the reason, for an image that the method cannot do.
        """
        raise NotImplementedError

    def identity(self, scene: "Scene", reference: str) -> str:
        """Return a hash of all that decides SR beside LR and references.

        SR images that are there already are kept while it is the same. By default it is that of the
        source file of the class and of the instance's attributes.
        """
        return fingerprint([_source(type(self)), repr(sorted(vars(self).items()))])

    def notes(self, device: str) -> list[str]:
        """Return what a reader of its numbers must know, a sentence each; load what it needs.

        Raises InputError when it cannot run on `device` at all: said before work begins.
        """
        return []

    def prepare(self, scene: "Scene", reference: str) -> None:
        """Do what is done once for images of such sizes; it is no part of the cost of an image."""
        self.notes(scene.device)

    def parameters(self) -> int | None:
        """Return how many weights it has; None where there are none."""
        return None

    def facts(self) -> Mapping[str, Any]:
        """Return what the page says that it was made of: nested names and values."""
        return {}

    def match(self, scene: "Scene", hr: RGB) -> "Match":
        """Return what the patches of LR were matched with in all references; `hr` is drawn too."""
        raise NotImplementedError

    def least_memory(self, lr: Size, refs: Sequence[Size], device: str) -> int:
        """Return the bytes below which a process cannot super-resolve images of these sizes."""
        sr = SCALE * lr[0], SCALE * lr[1]
        return memory.START_MEMORY + memory.image_bytes([lr, *refs]) + memory.written_bytes(sr)


def reference_rank(reference: str) -> tuple[int, int, str]:
    """Return the place of a reference in Table 2: HR (warp), L1, L2, …, LR, then the others.

    References without a level, 1, 2, …, stand where levels do.
    """
    others = (
        NONE, HR_WARP, "L", LR, ALL, PAPER_ALL, STITCHED, STITCHED_MASA, BEST, BEST_PSNR, RANDOM,
    )  # fmt: skip
    single = is_single(reference)
    key = "L" if single else reference
    place = others.index(key) if key in others else len(others)
    return place, int(reference.removeprefix("L")) if single else 0, reference


def is_single(reference: str) -> bool:
    """Tell whether a reference is one image of the set: `L1` …, or `1` … without a level."""
    number = reference.removeprefix("L")
    return number.isdecimal() and number.isascii()


def has_level(reference: str) -> bool:
    """Tell whether a reference is called by its level, `L1` …; others have a number alone."""
    return reference[:1] == "L" and reference[1:].isdecimal()


def source_hashes(*modules: ModuleType) -> list[str]:
    """Return the SHA-256 of the source files of modules, and of all in packages, for `identity`."""
    paths: list[Path] = []
    for module in modules:
        path = Path(inspect.getfile(module))
        paths += sorted(path.parent.glob("*.py")) if hasattr(module, "__path__") else [path]
    return [_file_sha256(str(path)) for path in paths]


@functools.cache
def _file_sha256(path: str) -> str:
    return sha256(Path(path).read_bytes())


def _source(kind: type) -> str:
    try:
        code = _file_sha256(inspect.getfile(kind))
    except (OSError, TypeError):  # of a notebook or of a prompt: its name is all there is
        code = ""
    return f"{kind.__module__}:{kind.__qualname__} {code}"
