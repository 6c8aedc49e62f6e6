"""Cutting a data set's images from the photos, as the manifest says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import PIL

from srntt_pipeline.albums.manifest_rows import TestRow, TrainRow
from srntt_pipeline.albums.photos import PhotoChecks, read_photo
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import fingerprint
from srntt_pipeline.images import RGB, is_made_from, write_png
from srntt_pipeline.layout import TRAIN_INPUT, TRAIN_REF, group_file


@dataclass(frozen=True)
class Cut:
    """An image to write to `path`: the box at (x, y) of side `size` px, or the whole photo."""

    path: Path
    box: tuple[int, int, int] | None


@dataclass(frozen=True)
class CutJob:
    """All images to cut from one photo, whose file must have the SHA-256 `sha256`."""

    photo: Path
    sha256: str
    checks: PhotoChecks
    cuts: tuple[Cut, ...]


def cut_jobs(
    out: Path,
    train: list[TrainRow],
    test: list[TestRow],
    folders: dict[str, Path],
    checks: PhotoChecks,
    elsewhere: Mapping[tuple[str, str, str], Path] = MappingProxyType({}),
) -> list[CutJob]:
    """Return the work of cutting the manifest's images into `out`, a job per photo.

    `folders` tells where each album's photos lie, `elsewhere`, by album, name and hash, which of
    them lie under other names.
    """
    cuts: dict[tuple[str, str, str], list[Cut]] = {}

    def add(album: str, photo: str, sha256: str, cut: Cut) -> None:
        cuts.setdefault((album, photo, sha256), []).append(cut)

    for row in train:
        file = f"{row.name}.png"
        hr_box, ref_box = (row.hr_x_px, row.hr_y_px), (row.ref_x_px, row.ref_y_px)
        hr = Cut(out / TRAIN_INPUT / file, (*hr_box, row.size_px))
        ref = Cut(out / TRAIN_REF / file, (*ref_box, row.size_px))
        add(row.album, row.hr_photo, row.hr_sha256, hr)
        add(row.album, row.ref_photo, row.ref_sha256, ref)
    for image in test:
        cut = Cut(out / group_file(image.group, image.k), None)
        add(image.album, image.photo, image.sha256, cut)
    return [
        CutJob(
            elsewhere.get((album, photo, sha256), folders[album] / photo),
            sha256,
            checks,
            tuple(photo_cuts),
        )
        for (album, photo, sha256), photo_cuts in sorted(cuts.items())
    ]


def cut_files(train: list[TrainRow], test: list[TestRow]) -> list[Path]:
    """Return the images of a manifest, relative to the data set's folder."""
    pairs = [folder / f"{row.name}.png" for row in train for folder in (TRAIN_INPUT, TRAIN_REF)]
    return pairs + [group_file(row.group, row.k) for row in test]


def made_from(cut: Cut, job: CutJob) -> str:
    """Return what the PNG of a cut says of itself: a hash of all that decides its pixels."""
    return fingerprint(
        {
            "photo": job.sha256,
            "box": cut.box,
            "long_side_px": job.checks.long_side_px,
            "to_srgb": job.checks.to_srgb,
            "pillow": PIL.__version__,
        }
    )


def cut_photo(job: CutJob) -> int:
    """Write the images of one photo that are not there yet, each whole or not at all.

    An image is there when it says that it was cut from this photo in this way, and is undamaged.
    Returns how many were not.
    """
    missing = [cut for cut in job.cuts if not is_made_from(cut.path, made_from(cut, job))]
    if not missing:
        return 0
    photo = read_whole(job)
    for cut in missing:
        write_png(cut.path, cut_out(photo, cut, job.photo), made_from(cut, job))
    return len(missing)


def read_whole(job: CutJob) -> RGB:
    """Return the photo of a job at its working size; raise InputError if it is another one now."""
    photo, digest = read_photo(job.photo, job.checks)
    if digest != job.sha256:
        raise InputError(f"{job.photo} changed while the data set was built; run the command again")
    return photo


def cut_out(photo: RGB, cut: Cut, path: Path) -> RGB:
    """Return the pixels of a cut; raise InputError when its box is not inside the photo `path`."""
    if cut.box is None:
        return photo
    x, y, size = cut.box
    height, width = photo.shape[:2]
    if x + size > width or y + size > height:
        raise InputError(
            f"{path}: the manifest's box of {size} px at ({x}, {y}) is not inside the photo of "
            f"{width}×{height} px"
        )
    return photo[y : y + size, x : x + size]
