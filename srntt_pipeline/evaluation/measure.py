"""Measuring the pictures of one test group, each by every protocol; no number is computed twice."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from srntt_pipeline.degradation import Kernel, kernel_of, make_hr
from srntt_pipeline.errors import InputError, UnusableImage
from srntt_pipeline.evaluation.costs import COLUMNS, COSTS, read_costs
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
from srntt_pipeline.methods import CannotRun, Method
from srntt_pipeline.methods.cost import device_words, measure_cost
from srntt_pipeline.methods.method import ALL
from srntt_pipeline.parallel import progress
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
    """A row for each protocol, method and reference, and how many SR images had to be made.

    `unread`: the image of the group for which there are none; `not_run`: what methods could not do;
    `lr_kernel`: of an LR image that was given, the kernel that makes the same, if one does.
    """

    rows: list[dict[str, Any]]
    made: int
    unread: Unread | None = None
    not_run: tuple[NotRun, ...] = ()
    lr_kernel: Kernel | None = None


def measure_group(job: GroupJob) -> GroupRows:
    """Restore one HR image's LR by every method with every reference, and measure each.

    A group one of whose images cannot be used is not measured.
    """
    if unread := _unread(job):
        return GroupRows([], 0, unread)
    record = _Record(job)
    rows, made = [], 0
    not_run: list[NotRun] = []
    by_making: dict[Any, tuple[Pictures, list[SrImage]]] = {}
    for protocol in job.protocols:
        if protocol.making not in by_making:
            pictures, images = by_making[protocol.making] = _images(job, protocol)
            made += pictures.made
            not_run += pictures.not_run
        pictures, images = by_making[protocol.making]
        for image in images:
            if protocol.measures(image.reference):
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
    return GroupRows(rows, made, None, tuple(dict.fromkeys(not_run)), given)


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
    alike = [other for other in job.protocols if other.making == protocol.making]
    references = tuple(
        name for name in job.references if any(other.measures(name) for other in alike)
    )
    images = pictures.of(job.methods, references)
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


def measure_costs(job: GroupJob) -> dict[str, dict[str, Any]]:
    """Return what each method costs on the image of `job`, a row of `costs.csv` by its name.

    With all references where the method takes them, else with the first that it takes. Measured in
    this process while no other works; what an earlier run measured on this device is kept.
    """
    earlier = read_costs(job.out)
    rows: dict[str, dict[str, Any]] = {}
    with progress("Measuring costs", "methods", len(job.methods)) as bar:
        for method in job.methods:
            rows[method.name] = _cost(job, method, earlier.get(method.name, {}))
            bar.update()
    return rows


def _cost(job: GroupJob, method: Method, earlier: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"method": method.name}
    images = Pictures(job.group, job.protocols[0].making, job.out, job.seed, job.device)
    taken = [name for name in job.references if method.takes(name) and images.scene.has(name)]
    if not taken or not method.is_weighed:
        return row
    reference = ALL if ALL in taken else taken[0]
    made_from = fingerprint(
        [
            images.scene.made_from(reference),
            method.identity(images.scene, reference),
            device_words(job.device),
        ]
    )
    if earlier.get("made_from") == made_from:
        return dict(earlier)
    try:
        cost = asdict(measure_cost(method, images.scene, reference))
    except CannotRun:
        return row  # the notes say why
    return (
        row
        | {name: cost[name] for name in COSTS}
        | {"image": job.group.name, "reference": reference, "made_from": made_from}
    )
