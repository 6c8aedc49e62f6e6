"""Verifying a data set: its manifest, its images, and the photos that they are cut from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from srntt_pipeline import layout
from srntt_pipeline.albums.consistency import inconsistencies
from srntt_pipeline.albums.manifest import MANIFESTS, Manifest, edited, folder_of, read_manifests
from srntt_pipeline.albums.manifest_rows import REJECTED, TABLES, TEST, TRAIN, read_manifest
from srntt_pipeline.albums.missing import count, find_photos, photos_of, told
from srntt_pipeline.albums.origin import ORIGIN, Origin, read_origin
from srntt_pipeline.albums.photos import PhotoChecks, album_folder, read_photo
from srntt_pipeline.albums.pixels import CutJob, cut_jobs, cut_out
from srntt_pipeline.errors import InputError, UnusableImage
from srntt_pipeline.images import read_rgb
from srntt_pipeline.parallel import run_all


def verify(path: Path, *, albums: Path | None, workers: int, say: Callable[[str], None]) -> str:
    """Verify a data set, or the manifests/ of one; `say` each finding, return that all is well.

    Of a data set, every image is read; with `albums`, the photos' hashes are checked and the images
    are cut again and compared. Raises InputError that sums up when there were findings.
    """
    folder = folder_of(path)
    dataset = path if folder != path else None
    if not any((folder / name).is_file() for name in (ORIGIN, TRAIN, TEST)):
        raise InputError(f"{path}: no manifest; name a data set built here, or its {MANIFESTS}/")
    if albums and not albums.is_dir():
        raise InputError(f"{albums}: no such folder")
    findings = 0
    for finding in _findings(folder, dataset, albums, workers):
        say(finding)
        findings += 1
    if findings:
        raise InputError(f"{path}: {count(findings, 'finding')}; they are listed above")
    data = read_manifests(folder)
    looked = ["manifest", *(["images"] if dataset else []), *(["photos"] if albums else [])]
    return (
        f"OK: {path}: {count(len(data.train), 'training pair')} and "
        f"{count(data.groups, 'test group')}; verified: {', '.join(looked)}"
    )


def _findings(
    folder: Path, dataset: Path | None, albums: Path | None, workers: int
) -> Iterator[str]:
    problems = list(_of_files(folder))
    yield from problems
    try:
        data = read_manifests(folder)
    except InputError:
        return  # told above; what the rows say is worth nothing yet
    yield from inconsistencies(data)
    if dataset:
        yield from _of_images(dataset, data, workers)
    if albums:
        yield from _of_photos(dataset, data, albums, workers)


def _of_files(folder: Path) -> Iterator[str]:
    """Yield what is wrong with each file by itself, and with the hashes of the tables."""
    origin: Origin | None = None
    try:
        origin = read_origin(folder)
    except InputError as error:
        yield str(error)
    for name in (TRAIN, TEST, REJECTED):
        problem = edited(folder, name, origin) if origin else None
        if problem:
            yield problem
        try:
            if (folder / name).is_file() or not origin:
                read_manifest(TABLES[name], folder / name)
        except InputError as error:
            yield str(error)


def _of_images(dataset: Path, data: Manifest, workers: int) -> Iterator[str]:
    """Yield what is wrong with the images: missing, unreadable, of another size, too many."""
    sizes: dict[Path, int | None] = {}
    for row in data.train:
        for folder in (layout.TRAIN_INPUT, layout.TRAIN_REF):
            sizes[folder / f"{row.name}.png"] = row.size_px
    for image in data.test:
        sizes[layout.group_file(image.group, image.k)] = None
    long_side = data.origin.params.long_side_px
    jobs = [_LookJob(dataset, path, size, long_side) for path, size in sorted(sizes.items())]
    found = run_all(_look, jobs, workers=workers, description="Reading images", unit="images")
    yield from filter(None, found)
    for folder in (layout.TRAIN_INPUT, layout.TRAIN_REF, layout.TEST):
        for path in sorted((dataset / folder).glob("*")):
            if path.relative_to(dataset) not in sizes:
                yield f"{path}: not in the manifest"


@dataclass(frozen=True)
class _LookJob:
    dataset: Path
    path: Path
    size: int | None
    long_side: int


def _look(job: _LookJob) -> str | None:
    path = job.dataset / job.path
    if not path.is_file():
        return f"{path}: missing; rebuild it with build-cufed5 --manifest"
    try:
        height, width = read_rgb(path).shape[:2]
    except UnusableImage as error:
        return str(error)
    if job.size is not None and (height, width) != (job.size, job.size):
        return f"{path}: {width}×{height} px; the manifest says {job.size}×{job.size}"
    if max(height, width) > job.long_side:
        return f"{path}: {width}×{height} px; the manifest's photos have {job.long_side} at most"
    return None


def _of_photos(dataset: Path | None, data: Manifest, albums: Path, workers: int) -> Iterator[str]:
    """Yield photos that are missing or changed, and images that are not what the others give."""
    found = find_photos(data, albums, workers)
    yield from map(told, found.missing)
    gone = {row.sha256 for row in found.missing}
    folders = {photo.album: album_folder(albums, photo.album) for photo in photos_of(data)}
    checks = PhotoChecks.of(data.origin.params, data.origin.profiles is not None)
    jobs = cut_jobs(dataset or Path(), data.train, data.test, folders, checks, found.elsewhere)
    jobs = [job for job in jobs if job.sha256 not in gone]
    compared = run_all(
        _compare if dataset else _fit,
        jobs,
        workers=workers,
        description="Cutting again",
        unit="images",
        size=lambda job: len(job.cuts),
    )
    for findings in compared:
        yield from findings


def _fit(job: CutJob) -> list[str]:
    """Return what is wrong with the boxes in a photo."""
    return _compare(job, with_images=False)


def _compare(job: CutJob, with_images: bool = True) -> list[str]:
    """Return what is wrong with the boxes in a photo, and with the images cut from it."""
    try:
        photo, _ = read_photo(job.photo, job.checks)
    except UnusableImage as error:
        return [str(error)]
    findings = []
    for cut in job.cuts:
        try:
            pixels = cut_out(photo, cut, job.photo)
            same = not with_images or np.array_equal(pixels, read_rgb(cut.path))
        except UnusableImage:
            continue  # told with the images
        except InputError as error:
            findings.append(str(error))
            continue
        if not same:
            findings.append(
                f"{cut.path}: not what the manifest cuts from {job.photo}; remove it and "
                "rebuild it with build-cufed5 --manifest"
            )
    return findings
