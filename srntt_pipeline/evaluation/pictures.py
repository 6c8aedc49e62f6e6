"""The SR images of one test group: by every method with every reference that it takes.

Each image's file says what it was made from, as a hash, so that a later run makes only what is
missing or was made from something else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import srntt_pipeline
from srntt_pipeline.degradation import Making, make_hr, make_lr
from srntt_pipeline.evaluation.given_lr import read_lr
from srntt_pipeline.evaluation.not_run import NotRun
from srntt_pipeline.evaluation.paths import image_path
from srntt_pipeline.files import fingerprint
from srntt_pipeline.images import RGB, SCALE, pixels_sha256, read_made_from, read_rgb, write_png
from srntt_pipeline.layout import Group
from srntt_pipeline.methods import CannotRun, Method, Scene
from srntt_pipeline.methods.method import HR_WARP, LR, NONE, RANDOM, STITCHED, STITCHED_MASA
from srntt_pipeline.reports import report
from srntt_pipeline.swaps.references import MIN_SIDE_PX

MIN_HR_SIDE_PX = 4 * SCALE
LR_IMAGE, REFERENCES = "LR", "references"  # folders beside those of methods


@dataclass(frozen=True)
class SrImage:
    """An SR image to measure: its row and reference in tables, and what it was made from."""

    method: str
    reference: str
    path: Path
    made_from: str


@dataclass
class Pictures:
    """The images of `group` below `out`, of one way to make HR and LR (`making`).

    `device`: where networks run; `seed`: of HR (warp) and of what is drawn. `made`: how many SR
    images were not there; `not_run`: those that a method could not make.
    """

    group: Group
    making: Making
    out: Path
    seed: int
    device: str
    made: int = 0
    not_run: list[NotRun] = field(default_factory=list)

    @cached_property
    def hr(self) -> RGB:
        """The HR image, uint8 [H, W, 3]. Raises InputError."""
        return make_hr(read_rgb(self.group.hr, min_side=MIN_HR_SIDE_PX, grey=True), self.making)

    @cached_property
    def lr(self) -> RGB:
        """The LR image, uint8 [H/4, W/4, 3]: made of HR, or as it was given. Raises InputError."""
        given = self.making.given
        return read_lr(self.group, self.hr) if given else make_lr(self.hr, self.making)

    @cached_property
    def scene(self) -> Scene:
        """What methods see of the group. Raises InputError."""
        references = {
            level: read_rgb(path, min_side=MIN_SIDE_PX, grey=True)
            for level, path in self.group.refs.items()
        }
        return Scene(
            self.lr,
            references,
            name=self.group.name,
            hr=self.hr,
            device=self.device,
            seed=self.seed,
            making=self.making,
        )

    def of(self, methods: Sequence[Method], references: Sequence[str]) -> list[SrImage]:
        """Return SR by each method with each of `references` that it takes, by method.

        LR, references that no file holds, and the one that was drawn at random are kept beside it.
        """
        taken = [name for name in references if any(m.takes(name) for m in methods)]
        self._keep_inputs(taken)
        images: dict[str, list[SrImage]] = {method.name: [] for method in methods}
        for method, reference in self._in_turn(methods, references):
            try:
                images[method.name].append(self._sr(method, reference))
            except CannotRun as error:
                self.not_run.append(NotRun(method.name, reference, self.group.name, str(error)))
            report(f"{method.name}, image {self.group.name}, {reference}")
        return [image for method in methods for image in images[method.name]]

    def _in_turn(
        self, methods: Sequence[Method], references: Sequence[str]
    ) -> Iterator[tuple[Method, str]]:
        """Yield what to make, reference by reference, methods that share work in a row."""
        # What SISR makes without references, others make with LR: one after the other.
        order = sorted(filter(self.scene.has, references), key=lambda name: name in (NONE, LR))
        for reference in order:
            for method in sorted(methods, key=lambda method: method.shares):
                if method.takes(reference):
                    yield method, reference

    def _sr(self, method: Method, reference: str) -> SrImage:
        path = self.out / image_path(method.name, reference, self.group.name, self.making)
        made_from = fingerprint(
            {
                "software": srntt_pipeline.__version__,
                "hr": self._hr_sha256,  # what numbers are measured against
                "inputs": self.scene.made_from(reference),
                "method": method.identity(self.scene, reference),
                "reference": reference,
            }
        )
        if read_made_from(path) != made_from:
            sr = method.super_resolve(self.scene, reference)
            if sr.shape != self.hr.shape or sr.dtype != self.hr.dtype:
                raise CannotRun(
                    f"its SR is {sr.dtype} {list(sr.shape)}, not {self.hr.dtype} "
                    f"{list(self.hr.shape)}"
                )
            write_png(path, sr, made_from)
            self.made += 1
        return SrImage(method.name, reference, path, made_from)

    def _keep_inputs(self, references: Sequence[str]) -> None:
        kept = {(LR_IMAGE, NONE): LR}
        made = (HR_WARP, LR, STITCHED, STITCHED_MASA, RANDOM)
        kept |= {(REFERENCES, name): name for name in made if name in references}
        for (folder, shown), name in kept.items():
            if self.scene.has(name):
                image = self.scene.images(name)[0]
                path = self.out / image_path(folder, shown, self.group.name, self.making)
                made_from = pixels_sha256(image)
                if read_made_from(path) != made_from:
                    write_png(path, image, made_from)

    @cached_property
    def _hr_sha256(self) -> str:
        return pixels_sha256(self.hr)
