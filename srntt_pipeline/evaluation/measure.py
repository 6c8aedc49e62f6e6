"""Measuring the pictures of one test group, each by every protocol; no number is computed twice."""

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from srntt_pipeline.degradation import make_hr
from srntt_pipeline.errors import InputError, UnusableImage
from srntt_pipeline.evaluation.paths import measured_path
from srntt_pipeline.evaluation.perceptual import Metric, check_size, distance
from srntt_pipeline.evaluation.pictures import MIN_HR_SIDE_PX, Picture, Pictures
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.files import finite, fingerprint, read_json, write_json
from srntt_pipeline.images import read_made_from, read_rgb
from srntt_pipeline.layout import Group, Unread
from srntt_pipeline.methods.method import Method
from srntt_pipeline.swaps.matcher import NetworkFiles
from srntt_pipeline.swaps.references import MIN_SIDE_PX


@dataclass(frozen=True)
class GroupJob:
    """One HR image to restore with each of `references` and to measure."""

    dataset: str
    group: Group
    references: tuple[str, ...]
    protocols: tuple[Protocol, ...]
    metrics: tuple[Metric, ...]
    seed: int
    out: Path
    methods: tuple[Method, ...]
    device: str
    files: NetworkFiles


@dataclass(frozen=True)
class GroupRows:
    """A row for each protocol, method and reference, and how many SR images had to be made.

    `unread`: the image of the group for which there are none.
    """

    rows: list[dict[str, Any]]
    made: int
    unread: Unread | None = None


def measure_group(job: GroupJob) -> GroupRows:
    """Restore one HR image's LR by every method with every reference, and measure each.

    A group one of whose images cannot be used is not measured.
    """
    if unread := _unread(job):
        return GroupRows([], 0, unread)
    record = _Record(job)
    rows, made = [], 0
    by_making: dict[Any, tuple[Pictures, list[Picture]]] = {}
    for protocol in job.protocols:
        if protocol.making not in by_making:
            by_making[protocol.making] = _pictures(job, protocol)
            made += by_making[protocol.making][0].made
        pictures, all_of_them = by_making[protocol.making]
        for picture in all_of_them:
            if protocol.measures(picture.reference):
                psnr, ssim = record.values(picture, pictures, protocol)
                distances = {
                    metric.name: record.distance(picture, pictures, metric)
                    for metric in job.metrics
                }
                rows.append(
                    {
                        "dataset": job.dataset,
                        "image": job.group.name,
                        "method": picture.method,
                        "reference": picture.reference,
                        **protocol.columns,
                        "reference_images": len(job.group.refs),
                        "psnr_db": psnr,
                        "ssim": ssim,
                        **distances,
                    }
                )
    record.write()
    return GroupRows(rows, made)


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
    except UnusableImage as error:
        return Unread(Path(error.path), error.reason)
    except InputError as error:
        return Unread(job.group.hr, str(error))
    return None


def _pictures(job: GroupJob, protocol: Protocol) -> tuple[Pictures, list[Picture]]:
    """Return the pictures that any protocol with this one's making measures."""
    pictures = Pictures(
        job.group,
        protocol.making,
        job.out,
        job.seed,
        job.device,
        job.files,
    )
    alike = [other for other in job.protocols if other.making == protocol.making]
    references = tuple(
        name for name in job.references if any(other.measures(name) for other in alike)
    )
    return pictures, [pictures.baseline(), *pictures.of(job.methods, references)]


class _Record:
    """The numbers of a group's pictures, in `measured/NAME.json`, each with its picture's hash."""

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

    def values(self, picture: Picture, pictures: Pictures, protocol: Protocol) -> tuple[float, ...]:
        """Return PSNR and SSIM."""
        key = f"{protocol.name} {fingerprint(asdict(protocol))[:12]}"
        values = self._of(picture)
        if key not in values:
            values[key] = protocol.measure(pictures.hr, read_rgb(picture.path))
            self.changed = True
        psnr, ssim = values[key]
        return math.inf if psnr is None else psnr, ssim  # of equal images; JSON has no infinity

    def distance(self, picture: Picture, pictures: Pictures, metric: Metric) -> float:
        """Return the perceptual distance."""
        key = f"{metric.name} {metric.sha256[:12]}"
        values = self._of(picture)
        if key not in values:
            sr = read_rgb(picture.path)
            values[key] = distance(metric, pictures.hr, sr, self.job.device)
            self.changed = True
        return float(values[key])

    def _of(self, picture: Picture) -> dict[str, Any]:
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
