"""Measuring the pictures of one test group, each by every protocol; no number is computed twice."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from srntt_pipeline.degradation import Kernel, kernel_of, make_hr
from srntt_pipeline.errors import InputError, UnusableImage
from srntt_pipeline.evaluation.figures import draw_match
from srntt_pipeline.evaluation.not_run import NotRun
from srntt_pipeline.evaluation.paths import measured_path
from srntt_pipeline.evaluation.perceptual import Ready, check_size, distance
from srntt_pipeline.evaluation.pictures import MIN_HR_SIDE_PX, Pictures, SrImage
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.files import fingerprint, finite, read_json, write_json
from srntt_pipeline.images import read_made_from, read_rgb
from srntt_pipeline.layout import Group
from srntt_pipeline.listing import Unread
from srntt_pipeline.methods import Method
from srntt_pipeline.methods.method import BEST_PSNR, is_single
from srntt_pipeline.swaps.references import MIN_SIDE_PX


@dataclass(frozen=True)
class GroupJob:
    """One HR image to restore with each of `references` and to measure.

    `with_match`: the page shows what its patches were matched with.
    """

    dataset: str
    group: Group
    references: tuple[str, ...]
    protocols: tuple[Protocol, ...]
    metrics: tuple[Ready, ...]
    seed: int
    out: Path
    methods: tuple[Method, ...]
    device: str
    with_match: bool = False


@dataclass(frozen=True)
class GroupRows:
    """A row for each protocol, method and reference; how many SR images were made, and reused.

    `unread`: the image of the group for which there are none; `not_run`: what methods could not do;
    `lr_kernel`: of an LR image that was given, the kernel that makes the same, if one does.
    """

    rows: list[dict[str, Any]]
    made: int
    reused: int = 0
    unread: Unread | None = None
    not_run: tuple[NotRun, ...] = ()
    lr_kernel: Kernel | None = None


def measure_group(job: GroupJob) -> GroupRows:
    """Restore one HR image's LR by every method with every reference, and measure each.

    A group one of whose images cannot be used is not measured.
    """
    if unread := _unread(job):
        return GroupRows([], 0, unread=unread)
    record = _Record(job)
    rows, made, shown = [], 0, 0
    not_run: list[NotRun] = []
    by_making: dict[Any, tuple[Pictures, list[SrImage]]] = {}
    for protocol in job.protocols:
        if protocol.making not in by_making:
            pictures, images = by_making[protocol.making] = _images(job, protocol)
            made, shown = made + pictures.made, shown + len(images)
            not_run += pictures.not_run
        pictures, images = by_making[protocol.making]
        for image in _in_table(images, protocol, record, pictures):
            psnr, ssim = record.values(image, pictures, protocol)
            distances = {
                metric.name: record.distance(image, pictures, metric) for metric in job.metrics
            }
            rows.append(
                {
                    "dataset": job.dataset,
                    "image": job.group.name,
                    "method": image.method,
                    "reference": image.reference,
                    **protocol.columns,
                    "reference_images": len(job.group.refs),
                    "psnr_db": psnr,
                    "ssim": ssim,
                    **distances,
                    "picture": image.path.relative_to(job.out).as_posix(),
                }
            )
    record.write()
    given = kernel_of(pictures.lr, pictures.hr) if pictures.making.given else None
    return GroupRows(rows, made, shown - made, None, tuple(dict.fromkeys(not_run)), given)


def sr_images(job: GroupJob) -> int:
    """Return how many SR images `measure_group` makes or finds, if the group has all references."""
    makings = {protocol.making: protocol for protocol in job.protocols}.values()
    return sum(
        method.takes(reference)
        for protocol in makings
        for reference in _needed_alike(job, protocol)
        for method in job.methods
    )


def _needed_alike(job: GroupJob, protocol: Protocol) -> tuple[str, ...]:
    """Return the references that any protocol with this one's making needs SR with."""
    alike = [other for other in job.protocols if other.making == protocol.making]
    return tuple(name for name in job.references if any(other.needs(name) for other in alike))


def _in_table(
    images: Sequence[SrImage], protocol: Protocol, record: "_Record", pictures: Pictures
) -> list[SrImage]:
    """Return the images that stand in a protocol's table.

    With `best-psnr`, of each method also that level's of the highest PSNR, of equal ones the first.
    """
    kept = [image for image in images if protocol.measures(image.reference)]
    if protocol.references != BEST_PSNR:
        return kept
    best: dict[str, tuple[float, SrImage]] = {}
    for image in images:
        if is_single(image.reference):
            psnr, _ = record.values(image, pictures, protocol)
            if image.method not in best or psnr > best[image.method][0]:
                best[image.method] = psnr, replace(image, reference=BEST_PSNR)
    return [*kept, *(image for _, image in best.values())]


def _unread(job: GroupJob) -> Unread | None:
    """Return the first image of the group that cannot be used or measured, or None."""
    try:
        photo = read_rgb(job.group.hr, min_side=MIN_HR_SIDE_PX, grey=True)
        for protocol in job.protocols:
            hr = make_hr(photo, protocol.making)
            protocol.check_size(hr)
            for metric in job.metrics:
                check_size(metric, hr)
        for ref in job.group.refs.values():
            read_rgb(ref, min_side=MIN_SIDE_PX, grey=True)
        if job.group.lr:
            read_rgb(job.group.lr, grey=True)
    except UnusableImage as error:
        return Unread(Path(error.path), error.reason)
    except InputError as error:
        return Unread(job.group.hr, str(error))
    return None


def _images(job: GroupJob, protocol: Protocol) -> tuple[Pictures, list[SrImage]]:
    """Return the SR images that any protocol with this one's making measures."""
    pictures = Pictures(
        job.group,
        protocol.making,
        job.out,
        job.seed,
        job.device,
    )
    images = pictures.of(job.methods, _needed_alike(job, protocol))
    if job.with_match and protocol.making == job.protocols[0].making:
        draw_match(pictures, job.methods)
    return pictures, images


class _Record:
    """The numbers of a group's SR images, in `measured/NAME.json`, each with its picture's hash."""

    def __init__(self, job: GroupJob) -> None:
        self.job = job
        self.path = job.out / measured_path(job.group.name)
        self.changed = False

    @cached_property
    def content(self) -> dict[str, dict[str, Any]]:
        """By picture: what it was `made_from`, and `values` by what measured it."""
        try:
            content = read_json(self.path, "")
            kept = {
                name: {"made_from": entry["made_from"], "values": dict(entry["values"])}
                for name, entry in content.items()
                if entry["made_from"] == read_made_from(self.job.out / name)
            }
        except (InputError, AttributeError, KeyError, TypeError, ValueError):
            return {}  # none yet, or one that some other program wrote over
        self.changed = self.changed or kept != content
        return kept

    def values(self, picture: SrImage, pictures: Pictures, protocol: Protocol) -> tuple[float, ...]:
        """Return PSNR and SSIM."""
        key = f"{protocol.name} {fingerprint(asdict(protocol))[:12]}"
        values = self._of(picture)
        if key not in values:
            values[key] = protocol.measure(pictures.hr, read_rgb(picture.path))
            self.changed = True
        psnr, ssim = values[key]
        return math.inf if psnr is None else psnr, ssim  # of equal images; JSON has no infinity

    def distance(self, picture: SrImage, pictures: Pictures, metric: Ready) -> float:
        """Return the value of a metric."""
        key = f"{metric.name} {metric.sha256[:12]}"
        values = self._of(picture)
        if key not in values:
            sr = read_rgb(picture.path)
            values[key] = distance(metric, pictures.hr, sr, self.job.device)
            self.changed = True
        return float(values[key])

    def _of(self, picture: SrImage) -> dict[str, Any]:
        name = picture.path.relative_to(self.job.out).as_posix()
        entry = self.content.get(name)
        if entry is None or entry["made_from"] != picture.made_from:
            entry = self.content[name] = {"made_from": picture.made_from, "values": {}}
        values: dict[str, Any] = entry["values"]
        return values

    def write(self) -> None:
        """Write the record, if anything in it is new."""
        if self.changed:
            write_json(self.path, finite(self.content))  # equal images: an infinite PSNR
