"""Building a CUFED5-style data set from photo albums (paper section 4)."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from srntt_pipeline.albums import count_plot, manifest_rows
from srntt_pipeline.albums.advice import advise, what_is_lacking
from srntt_pipeline.albums.cufed import Labels, read_labels
from srntt_pipeline.albums.dataset import write_dataset
from srntt_pipeline.albums.levels import level_name
from srntt_pipeline.albums.manifest import CONTACT_SHEET, MATCH_COUNTS, make_manifest
from srntt_pipeline.albums.manifest_rows import Rejected, TestRow, TrainRow
from srntt_pipeline.albums.near_duplicates import NearDuplicate, find_near_duplicates
from srntt_pipeline.albums.origin import origin_of
from srntt_pipeline.albums.photos import check_outside, find_albums
from srntt_pipeline.albums.prepare import album_jobs, check_prepared, prepare, work_files
from srntt_pipeline.albums.selection import ChosenGroup, choose_groups, choose_test_albums
from srntt_pipeline.albums.sift import PhotoRecord
from srntt_pipeline.albums.survey import CountedAlbum, count_histogram, survey
from srntt_pipeline.albums.train_pairs import choose_train_pairs
from srntt_pipeline.colour import BROKEN
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import write_bytes
from srntt_pipeline.outputs import Output, open_output
from srntt_pipeline.text import tally, valid

log = logging.getLogger(__name__)

_TOLD = 5  # photos named in a warning


def build_cufed5(
    albums: Path,
    out: Path,
    params: BuildParams,
    *,
    workers: int = 1,
    device: str = "auto",
    merge: bool = False,
    both_parts: bool = False,
) -> dict[str, Any]:
    """Build the data set `out` from the folder of photo albums `albums`; return its summary.

    Writes the images in CUFED5 layout, `manifests/{train,test,rejected}.csv`, `summary.json`,
    `match_counts.png` and `contact_sheet.png`. `work/` keeps features and counts per album: a run
    that was killed, or has other thresholds, starts from there. The same photos, parameters and
    library versions give the same bytes, whatever `workers` and `device`, which counts matches.
    `merge` makes no features and counts but takes those that `prepare_part` has made.

    Raises InputError when `albums` has no usable pair of photos, or `merge` finds an album whose
    features or counts are missing or of other photos or parameters. With `both_parts` also when
    there would be no training pairs or no test groups, before an image is cut: for a pipeline whose
    next stages need both.
    """
    check_outside(albums, out)
    with open_output(out, "dataset", reads=[albums]) as output:
        return _build(albums, output, params, workers, device, merge, both_parts)


def _build(
    albums: Path, output: Output, params: BuildParams, workers: int, device: str, merge: bool,
    both_parts: bool,
) -> dict[str, Any]:  # fmt: skip
    out = output.folder
    found, unreadable = find_albums(albums)
    labels = read_labels(albums)
    jobs = album_jobs(found, out, params, device)
    output.claim(work_files(jobs))
    counted = 0
    if merge:
        check_prepared(jobs, workers)
    else:
        counted = prepare(jobs, workers)

    collection = survey([job.counted for job in jobs], params)
    rejected = [*unreadable, *collection.rejected]
    if not collection.pairs.any():
        # Not in manifests/, where it would no longer be the table that an older origin vouches for.
        path = out / manifest_rows.REJECTED
        output.claim([path])
        write_bytes(path, manifest_rows.manifest_bytes(Rejected, rejected))
        raise InputError(
            f"{albums}: no album has two usable photos; {path} says why each photo was rejected"
        )
    is_test = choose_test_albums(collection, params)
    training = [album for album, test in zip(collection.albums, is_test, strict=True) if not test]
    groups = choose_groups(collection, is_test, params)
    test_photos = _test_photos(groups)
    leaks = find_near_duplicates(list(test_photos.values()), training, params, workers)
    kept_out = [] if params.keep_near_duplicates else leaks
    rejected += [Rejected(leak.album, leak.photo, str(leak)) for leak in kept_out]
    train = choose_train_pairs(
        training, collection.pairs[~is_test, 1:], _by_album(kept_out), params, workers
    )
    train = [_labelled(row, labels) for row in train]
    test = _test_rows(groups, test_photos, labels)
    lacking = what_is_lacking(params, collection, len(train), len(groups), unasked=True)
    if both_parts and lacking:
        raise InputError(f"{albums}: {'; '.join(lacking)}")

    profiles = _profiles(collection.albums)
    origin = origin_of(
        name=params.name or valid(albums.resolve().name),
        params=params,
        photos={
            album.name: int(photos)
            for album, photos in zip(collection.albums, collection.photos, strict=True)
        },
        pairs_per_level=collection.pairs.sum(axis=0).tolist(),
        test_albums=[a.name for a, test in zip(collection.albums, is_test, strict=True) if test],
        near_duplicates=[f"{leak.album}/{leak.photo}: {leak}" for leak in leaks],
        profiles={name: len(photos) for name, photos in profiles.items()},
        warnings=[
            *advise(
                params=params, survey=collection, training=training, train=train,
                groups=len(groups), near_duplicates=leaks,
            ),
            *_broken_profiles(profiles.get(BROKEN, [])),
        ],
    )  # fmt: skip
    data = make_manifest(train, test, rejected, origin)
    output.claim([MATCH_COUNTS])
    output.remove([Path(manifest_rows.REJECTED)])
    folders = {album.name: album.folder for album in found}
    report, images = write_dataset(output, data, folders, workers)
    of_test = [album for album, test in zip(collection.albums, is_test, strict=True) if test]
    count_plot.draw(
        out / MATCH_COUNTS, collection.histogram, count_histogram(of_test, params), params
    )
    log.info(
        "Wrote %d of %d training pairs and %d of %d test groups asked for to %s, from %d photo "
        "pairs of %d photos in %d albums (%d files rejected); %s; %s; look at %s",
        len(train), params.train_pairs, len(groups), params.test_groups, out, report["photo_pairs"],
        report["photos"], report["albums"], len(rejected),
        tally("files of match counts", counted, sum(len(job.counts) for job in jobs)), images,
        out / CONTACT_SHEET,
    )  # fmt: skip
    return report


def _profiles(albums: Iterable[CountedAlbum]) -> dict[str, list[str]]:
    """Return the used photos that were converted to sRGB, by the name of their colour profile."""
    photos: dict[str, list[str]] = {}
    for album in albums:
        for photo in album.index().photos:
            if photo.profile and photo.name not in album.unused:
                photos.setdefault(photo.profile, []).append(f"{album.name}/{photo.name}")
    return dict(sorted(photos.items()))


def _broken_profiles(photos: list[str]) -> list[str]:
    """Return a line on photos whose colour profile cannot be read, if there are any."""
    if not photos:
        return []
    more = f" and {len(photos) - _TOLD} more" if len(photos) > _TOLD else ""
    return [
        f"the colour profile of {', '.join(photos[:_TOLD])}{more} is broken; taken as sRGB, which "
        "most such photos are"
    ]


def _by_album(leaks: list[NearDuplicate]) -> dict[str, frozenset[str]]:
    photos: dict[str, set[str]] = {}
    for leak in leaks:
        photos.setdefault(leak.album, set()).add(leak.photo)
    return {album: frozenset(names) for album, names in photos.items()}


TestPhotos = dict[tuple[str, str], tuple[CountedAlbum, PhotoRecord]]


def _test_photos(groups: list[ChosenGroup]) -> TestPhotos:
    """Return each photo of the test groups by the names of album and photo, in their order."""
    photos: TestPhotos = {}
    records: dict[str, dict[str, PhotoRecord]] = {}  # an album is read once, whatever its groups
    for group in groups:
        album = group.album
        if album.name not in records:
            records[album.name] = {photo.name: photo for photo in album.index().photos}
        for name in (group.hr, *(ref for ref, _ in group.refs)):
            photos[album.name, name] = album, records[album.name][name]
    return dict(sorted(photos.items(), key=lambda item: item[0]))


def _labelled(row: TrainRow, labels: Labels) -> TrainRow:
    importance = labels.importance(row.album, row.hr_photo)
    return replace(row, event=labels.event(row.album), hr_importance=importance)


def _test_rows(groups: list[ChosenGroup], photos: TestPhotos, labels: Labels) -> list[TestRow]:
    rows = []
    for number, group in enumerate(groups):
        album = group.album.name
        images: list[tuple[str, int | None, str]] = [("HR", None, group.hr)]
        images += [(level_name(k), n, ref) for k, (ref, n) in enumerate(group.refs, start=1)]
        rows += [
            TestRow(
                group=f"{number:03d}",
                k=k,
                album=album,
                event=labels.event(album),
                level=level,
                matches=matches,
                photo=photo,
                sha256=photos[album, photo][1].sha256,
                importance=labels.importance(album, photo),
            )
            for k, (level, matches, photo) in enumerate(images)
        ]
    return rows
