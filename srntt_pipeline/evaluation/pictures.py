"""The pictures of one test group: LR, bicubic, and SR by every method with every reference.

Each picture's file says what it was made from, as a hash, so that a later run makes only what is
missing or was made from something else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import srntt_pipeline
from srntt_pipeline.degradation import Making, bicubic, make_hr, make_lr
from srntt_pipeline.evaluation.paths import image_path
from srntt_pipeline.files import file_sha256, fingerprint, sha256
from srntt_pipeline.images import RGB, SCALE, read_made_from, read_rgb, write_png
from srntt_pipeline.layout import Group
from srntt_pipeline.methods.method import (
    ALL,
    BEST,
    BICUBIC,
    LR,
    NONE,
    SISR,
    STITCHED,
    Method,
    takes_references,
)
from srntt_pipeline.methods.srntt import Restorer, load_restorer
from srntt_pipeline.methods.warp import HR_WARP, warp_hr
from srntt_pipeline.seeds import generator
from srntt_pipeline.swaps.correspondence import Correspondence
from srntt_pipeline.swaps.matcher import NetworkFiles
from srntt_pipeline.swaps.references import MIN_SIDE_PX
from srntt_pipeline.swaps.windowed import KeptMaps

MIN_HR_SIDE_PX = 4 * SCALE
_KEPT_BYTES = 512 << 20  # swapped maps of one megapixel of SR; larger images are swapped again


@dataclass(frozen=True)
class Picture:
    """An image to measure: its method and reference in tables, and what it was made from."""

    method: str
    reference: str
    path: Path
    made_from: str


@dataclass
class Pictures:
    """The pictures of `group` below `out`, of one way to make HR and LR (`making`).

    `device` and `files` are those of `load_restorer`; `seed` is that of HR (warp). `made` counts
    the SR images that were not there.
    """

    group: Group
    making: Making
    out: Path
    seed: int
    device: str
    files: NetworkFiles
    made: int = 0
    _found: dict[tuple[str, str], Correspondence] = field(default_factory=dict)
    _references: dict[str, list[RGB]] = field(default_factory=dict)
    _kept: dict[tuple[str, str], KeptMaps] = field(default_factory=dict)

    @cached_property
    def hr(self) -> RGB:
        """The HR image, uint8 [H, W, 3]. Raises InputError."""
        return make_hr(read_rgb(self.group.hr, min_side=MIN_HR_SIDE_PX, grey=True), self.making)

    @cached_property
    def lr(self) -> RGB:
        """The LR image, uint8 [H/4, W/4, 3]."""
        return make_lr(self.hr, self.making)

    def baseline(self) -> Picture:
        """Return bicubic, and keep LR beside it."""
        self._keep(LR, NONE, lambda: self.lr)
        return self._keep(BICUBIC, NONE, lambda: bicubic(self.lr, self.making))

    def of(self, methods: Sequence[Method], references: Sequence[str]) -> list[Picture]:
        """Return SR by each method with each of `references` that this group has, by method.

        SR with LR as its own reference can be that of SISR too (paper 5.1), which comes first.
        """
        pictures: dict[str, list[Picture]] = {method.name: [] for method in methods}
        # Reference by reference, and in a row the methods that share its swapped maps.
        in_turn = sorted(methods, key=lambda method: method.swapped_by)
        for name in filter(self._has, references):
            for method in in_turn:
                of_this = pictures[method.name]
                if not takes_references(method.name):
                    if name == LR:
                        of_this.append(self._sr(method, LR, NONE))
                    continue
                picture = self._sr(method, name, name)
                of_this.append(picture)
                if method.sisr and name == LR:
                    sisr = Picture(method.name + SISR, NONE, picture.path, picture.made_from)
                    of_this.insert(0, sisr)
        return [picture for method in methods for picture in pictures[method.name]]

    def _has(self, reference: str) -> bool:
        if reference in (ALL, STITCHED, BEST):
            return bool(self.group.refs)
        return reference in (HR_WARP, LR) or reference in self.group.refs

    def _sr(self, method: Method, reference: str, shown: str) -> Picture:
        def make() -> RGB:
            self.made += 1
            restorer = load_restorer(method.checkpoint, self.device, self.files)
            used = self._best(method, restorer) if reference == BEST else reference
            if reference in (HR_WARP, LR, STITCHED):
                self._keep("references", reference, lambda: self._images(reference)[0])
            found = self._correspondence(method, restorer, used)
            kept = self._kept_maps(method, used)
            return restorer.super_resolve(self.lr, self._images(used), found, kept=kept)

        return self._keep(method.name, shown, make, reference, method.identity)

    def _keep(
        self,
        method: str,
        shown: str,
        make: Callable[[], RGB],
        reference: str | None = None,
        identity: str = "",
    ) -> Picture:
        """Return a picture, which is made if it is not there or was made from something else."""
        path = self.out / image_path(method, shown, self.group.name, self.making)
        made_from = fingerprint(self._made_from(reference or shown) | {"method": identity})
        if read_made_from(path) != made_from:
            write_png(path, make(), made_from)
        return Picture(method, shown, path, made_from)

    def _made_from(self, reference: str) -> dict[str, Any]:
        """What decides a picture beside its method."""
        levels = [reference] if reference in self.group.refs else list(self.group.refs)
        used = levels if self._has(reference) and reference not in (HR_WARP, LR) else []
        return {
            "software": srntt_pipeline.__version__,
            "hr": self._hashes["HR"],
            "making": list(self.making),
            "reference": reference,
            "references": [[level, self._hashes[level]] for level in used],
            "warp": self._warp_sha256 if reference == HR_WARP else None,
        }

    @cached_property
    def _hashes(self) -> dict[str, str]:
        files = {"HR": self.group.hr} | self.group.refs
        return {name: file_sha256(path) for name, path in files.items()}

    @cached_property
    def _warp_sha256(self) -> str:
        return sha256(self._images(HR_WARP)[0].tobytes())

    def _images(self, reference: str) -> list[RGB]:
        """Return the images that `reference` stands for, uint8 [H, W, 3]."""
        if reference not in self._references:
            levels = [image for level in self.group.refs for image in self._images(level)] if (
                reference in (ALL, STITCHED)
            ) else []  # fmt: skip
            if reference == ALL:
                images = levels
            elif reference == STITCHED:
                images = [stitch(levels)]
            elif reference == HR_WARP:
                images = [warp_hr(self.hr, generator(self.seed, HR_WARP, self.group.name))]
            elif reference == LR:
                images = [self.lr]
            else:
                images = [read_rgb(self.group.refs[reference], min_side=MIN_SIDE_PX, grey=True)]
            self._references[reference] = images
        return self._references[reference]

    def _correspondence(self, method: Method, restorer: Restorer, reference: str) -> Correspondence:
        """Return the correspondence; methods of the same encoder and swaps share it."""
        key = method.swapped_by, reference
        if key not in self._found:
            if reference == ALL:
                # The best match over all references is the best of each one's best.
                first, *others = [
                    self._correspondence(method, restorer, ref) for ref in self.group.refs
                ]
                self._found[key] = sum(others, start=first)
            else:
                self._found[key] = restorer.correspond(self.lr, self._images(reference))
        return self._found[key]

    def _kept_maps(self, method: Method, reference: str) -> KeptMaps:
        """Return the swapped maps that were made last, or room for those of other references."""
        key = method.swapped_by, reference
        if key not in self._kept:
            self._kept = {key: KeptMaps(_KEPT_BYTES)}
        return self._kept[key]

    def _best(self, method: Method, restorer: Restorer) -> str:
        """Return the level of the highest mean S*; of equal ones the first."""
        means = {
            level: float(self._correspondence(method, restorer, level).cosine.mean())
            for level in self.group.refs
        }
        return max(means, key=lambda level: means[level])


def stitch(images: list[RGB]) -> RGB:
    """Return `images` side by side in one, uint8 [S, N·S, 3], each at the top left of a black S×S.

    S is the longest side of all, up to the next multiple of 4 px, so that every image begins on
    relu3_1's grid: for CUFED5 500×2500 px, as TTSR and MASA stitched its five references.
    """
    side = max(max(image.shape[:2]) for image in images)
    side += -side % SCALE
    canvas = np.zeros((side, side * len(images), 3), np.uint8)
    for number, image in enumerate(images):
        height, width = image.shape[:2]
        canvas[:height, number * side : number * side + width] = image
    return canvas
