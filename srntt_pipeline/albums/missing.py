"""Looking for a manifest's photos, and what those that are missing or changed cost."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from srntt_pipeline.albums.elsewhere import find_elsewhere
from srntt_pipeline.albums.manifest import Manifest
from srntt_pipeline.albums.manifest_rows import Missing, TestRow, TrainRow
from srntt_pipeline.albums.photos import album_folder
from srntt_pipeline.files import file_sha256
from srntt_pipeline.parallel import run_all

log = logging.getLogger(__name__)

_TOLD = 5  # photos named in a line


@dataclass(frozen=True, order=True)
class Photo:
    """A photo as a manifest names it."""

    album: str
    name: str
    sha256: str


@dataclass(frozen=True)
class _LookJob:
    folder: Path
    photos: tuple[Photo, ...]


def photos_of_pair(row: TrainRow) -> tuple[Photo, Photo]:
    """Return the photos of HR and of the reference."""
    return (
        Photo(row.album, row.hr_photo, row.hr_sha256),
        Photo(row.album, row.ref_photo, row.ref_sha256),
    )


def photo_of_image(row: TestRow) -> Photo:
    """Return the photo of a test image."""
    return Photo(row.album, row.photo, row.sha256)


def photos_of(manifest: Manifest) -> list[Photo]:
    """Return the photos that the manifest's images are cut from, sorted, each once."""
    photos = {photo for row in manifest.train for photo in photos_of_pair(row)}
    return sorted(photos | {photo_of_image(row) for row in manifest.test})


@dataclass(frozen=True)
class Found:
    """Photos that are not where the manifest says: `missing` ones, and those that are `elsewhere`.

    The latter by album, name and hash.
    """

    missing: list[Missing]
    elsewhere: dict[tuple[str, str, str], Path]


def find_photos(manifest: Manifest, albums: Path, workers: int) -> Found:
    """Look for the manifest's photos in `albums`; tell what those cost that are not there.

    One that is not under its name, or has another hash there, is looked for by its hash.
    """
    wanted: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos_of(manifest):
        wanted[photo.album].append(photo)
    jobs = [_LookJob(album_folder(albums, name), tuple(some)) for name, some in wanted.items()]
    problems: dict[Photo, str] = {}
    for found in run_all(
        _look,
        jobs,
        workers=workers,
        description="Checking photos",
        unit="photos",
        size=lambda job: len(job.photos),
    ):
        problems |= found
    elsewhere: dict[tuple[str, str, str], Path] = {}
    if problems:
        keys = [(photo.album, photo.name, photo.sha256) for photo in sorted(problems)]
        elsewhere = find_elsewhere(keys, albums, workers)
        problems = {
            photo: problem
            for photo, problem in problems.items()
            if (photo.album, photo.name, photo.sha256) not in elsewhere
        }
        _tell(elsewhere, albums)
    pairs, groups = _users(manifest)
    missing = [
        Missing(
            album=photo.album,
            photo=photo.name,
            problem=problem,
            train_pairs=len(pairs[photo]),
            test_groups=len(groups[photo]),
            sha256=photo.sha256,
        )
        for photo, problem in sorted(problems.items())
    ]
    return Found(missing, elsewhere)


def _tell(elsewhere: Mapping[tuple[str, str, str], Path], albums: Path) -> None:
    """Say in a line which photos were found under other names."""
    if not elsewhere:
        return
    names = [
        f"{album}/{name} is {path.relative_to(albums).as_posix()}"
        for (album, name, _), path in sorted(elsewhere.items())
    ]
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    log.warning(
        "%s not where the manifest says, found by hash: %s%s",
        count(len(names), "photo"), ", ".join(names[:_TOLD]), more,
    )  # fmt: skip


def _look(job: _LookJob) -> dict[Photo, str]:
    """Return what is wrong with each photo that cannot be used."""
    problems = {}
    for photo in job.photos:
        try:
            if file_sha256(job.folder / photo.name) != photo.sha256:
                problems[photo] = "changed"
        except (FileNotFoundError, NotADirectoryError):
            problems[photo] = "missing"
        except OSError as error:
            problems[photo] = f"unreadable ({error.strerror})"
    return problems


def _users(manifest: Manifest) -> tuple[dict[Photo, set[str]], dict[Photo, set[str]]]:
    """Return the names of the training pairs and of the test groups that need each photo."""
    pairs: dict[Photo, set[str]] = defaultdict(set)
    groups: dict[Photo, set[str]] = defaultdict(set)
    for row in manifest.train:
        for photo in photos_of_pair(row):
            pairs[photo].add(row.name)
    for image in manifest.test:
        groups[photo_of_image(image)].add(image.group)
    return pairs, groups


def rows_without(
    manifest: Manifest, missing: list[Missing]
) -> tuple[list[TrainRow], list[TestRow]]:
    """Return the rows that need none of the missing photos; a group needs all its images."""
    gone = {Photo(row.album, row.photo, row.sha256) for row in missing}
    spoilt = {row.group for row in manifest.test if photo_of_image(row) in gone}
    train = [row for row in manifest.train if gone.isdisjoint(photos_of_pair(row))]
    return train, [row for row in manifest.test if row.group not in spoilt]


def told(row: Missing) -> str:
    """Return a missing photo in a line: `lund/a.jpg: missing (3 training pairs, 1 test group)`."""
    costs = [count(row.train_pairs, "training pair"), count(row.test_groups, "test group")]
    needed = ", ".join(cost for cost in costs if not cost.startswith("0 "))
    return f"{row.album}/{row.photo}: {row.problem} ({needed})"


def count(number: int, noun: str) -> str:
    """Return `1 photo`, `2 photos`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
