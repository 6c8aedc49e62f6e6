"""A scene: one LR image with the references at hand, as a method sees it.

The scene alone knows what `HR (warp)`, `stitched` or `LR` as a reference are; a method asks for the
images of a reference by its name.
"""

from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from srntt_pipeline.degradation import PAPER_MAKING, Making, bicubic
from srntt_pipeline.files import fingerprint
from srntt_pipeline.images import RGB, pixels_sha256
from srntt_pipeline.methods.method import (
    ALL,
    BEST,
    HR_WARP,
    LR,
    NONE,
    PAPER_ALL,
    PAPER_LEVELS,
    RANDOM,
    STITCHED,
    STITCHED_MASA,
)
from srntt_pipeline.methods.stitching import stitch, stitch_masa
from srntt_pipeline.methods.warp import warp_hr
from srntt_pipeline.seeds import generator

_Made = TypeVar("_Made")
_STITCHED = {STITCHED: stitch, STITCHED_MASA: stitch_masa}


class Scene:
    """LR, uint8 [h, w, 3], and its references by level or number, uint8 [H, W, 3] of any size each.

    `name`: of the image; `device`: where networks are to run; `making`: how LR was made from HR.
    `hr`: uint8 [4h, 4w, 3], where it is known, which HR (warp) is made of; methods never see it.
    `seed`: of HR (warp), and of the reference that is drawn as `random`. `max_memory`: bytes of
    the process; None: as much as is useful.
    """

    def __init__(
        self,
        lr: RGB,
        references: Mapping[str, RGB] | None = None,
        *,
        name: str = "",
        hr: RGB | None = None,
        device: str = "cpu",
        seed: int = 0,
        making: Making = PAPER_MAKING,
        max_memory: int | None = None,
    ) -> None:
        self.name, self.lr, self.device, self.making = name, lr, device, making
        self.references = dict(references or {})
        self.max_memory = max_memory
        self._hr, self._seed = hr, seed
        self._images: dict[str, list[RGB]] = {}
        self._hashes: dict[str, list[str]] = {}
        self._shared: dict[Hashable, Any] = {}

    def has(self, reference: str) -> bool:
        """Tell whether there are images of `reference`; `none` needs none."""
        if reference == PAPER_ALL:
            return bool(self.levels(PAPER_ALL))
        if reference in (ALL, BEST, RANDOM, *_STITCHED):
            return bool(self.references)
        if reference == HR_WARP:
            return self._hr is not None
        return reference in (LR, NONE) or reference in self.references

    def levels(self, reference: str) -> list[str]:
        """Return the levels at hand that a search in several references is in: `all` of them.

        `paper-all`: L1 … L4, which the paper has; the released CUFED5 has five.
        """
        kept = PAPER_LEVELS if reference == PAPER_ALL else self.references
        return [level for level in self.references if level in kept]

    @cached_property
    def drawn(self) -> str:
        """The level or number of the one reference that `random` stands for.

        It depends on the seed, the scene's name and how many references there are. Raises
        ValueError where there are none.
        """
        names = list(self.references)
        return names[generator(self._seed, RANDOM, self.name).integers(len(names))]

    def images(self, reference: str) -> list[RGB]:
        """Return the images that `reference` stands for, uint8 [H, W, 3] each.

        `best` stands for all of them: which is best, the method says. Raises KeyError for a
        reference that the scene has not.
        """
        if reference not in self._images:
            self._images[reference] = self._made(reference)
        return self._images[reference]

    def _made(self, reference: str) -> list[RGB]:
        if reference == NONE:
            return []
        if reference == LR:
            return [self.lr]
        if reference in (ALL, PAPER_ALL, BEST):
            return [self.references[level] for level in self.levels(reference)]
        if reference == RANDOM:
            return [self.references[self.drawn]]
        if reference in _STITCHED:
            return [_STITCHED[reference](list(self.references.values()))]
        if reference == HR_WARP and self._hr is not None:
            return [warp_hr(self._hr, generator(self._seed, HR_WARP, self.name))]
        return [self.references[reference]]

    def made_from(self, reference: str) -> str:
        """Return a hash of the pixels of LR and of those of the reference's images, in order."""
        return fingerprint([self._hash("LR image", [self.lr]), *self._of(reference)])

    def _of(self, reference: str) -> list[Any]:
        kind = [reference] if reference == BEST else []
        return [*kind, self._hash(reference, self.images(reference))]

    def _hash(self, name: str, images: list[RGB]) -> list[str]:
        if name not in self._hashes:
            self._hashes[name] = list(map(pixels_sha256, images))
        return self._hashes[name]

    def share(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """Return what an earlier method left under `key`, or else what `make` makes, kept.

        For what several methods or references have in common, such as a correspondence.
        """
        if key not in self._shared:
            self._shared[key] = make()
        found: _Made = self._shared[key]
        return found

    def share_last(self, kind: str, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """Return as `share` does, but keep only the last of its `kind`, since it is large."""
        last = self._shared.get(kind)
        if last is None or last[0] != key:
            last = self._shared[kind] = key, make()
        found: _Made = last[1]
        return found

    def bicubic(self) -> RGB:
        """Return LR↑, uint8 [4h, 4w, 3], by the kernel that LR was made with."""
        return self._bicubic

    @cached_property
    def _bicubic(self) -> RGB:
        return bicubic(self.lr, self.making)
