"""Building a CUFED5-style data set from photo albums (paper section 4)."""

import logging
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL

import srntt_pipeline
from srntt_pipeline import layout
from srntt_pipeline.albums import manifest, summary
from srntt_pipeline.albums.levels import level_name
from srntt_pipeline.albums.manifest import Rejected, TestRow, TrainRow
from srntt_pipeline.albums.near_duplicates import NearDuplicate, find_near_duplicates
from srntt_pipeline.albums.photos import PhotoChecks, find_albums
from srntt_pipeline.albums.pixels import cut_jobs, cut_photo
from srntt_pipeline.albums.prepare import album_jobs, prepare
from srntt_pipeline.albums.selection import ChosenGroup, choose_groups, choose_test_albums
from srntt_pipeline.albums.sift import PhotoRecord
from srntt_pipeline.albums.survey import CountedAlbum, Survey, survey
from srntt_pipeline.albums.train_pairs import choose_train_pairs
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import output_folder, read_json, sha256, write_bytes, write_json
from srntt_pipeline.parallel import run_all

log = logging.getLogger(__name__)

MANIFESTS = Path("manifests")


def build_cufed5(
    albums: Path, out: Path, params: BuildParams, *, workers: int, device: str = "auto"
) -> dict[str, Any]:
    """Build the data set `out` from the folder of photo albums `albums`; return its summary.

    Writes the images in CUFED5 layout, `manifests/{train,test,rejected}.csv`, `summary.json`,
    `match_counts.png` and `contact_sheet.png`. `work/` keeps features and counts per album: a run
    that was killed, or has other thresholds, starts from there. The same photos, parameters and
    library versions give the same bytes, whatever `workers` and `device`, which counts matches.

    Raises InputError when `albums` has no usable pair of photos.
    """
    if out.resolve().is_relative_to(albums.resolve()):
        raise InputError(f"{out} lies inside {albums}: its images would be taken for albums")
    output_folder(out)
    found, unreadable = find_albums(albums)
    jobs = album_jobs(found, out, params, device)
    prepare(jobs, workers)

    collection = survey([job.counted for job in jobs], params)
    rejected = [*unreadable, *collection.rejected]
    if not collection.pairs.any():
        path = out / MANIFESTS / manifest.REJECTED
        write_bytes(path, manifest.manifest_bytes(Rejected, rejected))
        raise InputError(
            f"{albums}: no album has two usable photos; {path} says why each photo was rejected"
        )
    is_test = choose_test_albums(collection, params)
    groups = choose_groups(collection, is_test, params)
    training = [album for album, test in zip(collection.albums, is_test, strict=True) if not test]
    leaks = find_near_duplicates(_test_photos(groups), training, params, workers)
    kept_out: dict[str, frozenset[str]] = {}
    if not params.keep_near_duplicates:
        rejected += [Rejected(leak.album, leak.photo, str(leak)) for leak in leaks]
        for leak in leaks:
            kept_out[leak.album] = kept_out.get(leak.album, frozenset()) | {leak.photo}
    available = collection.pairs[~is_test, 1:]
    train = choose_train_pairs(training, available, kept_out, params, workers)
    test = _test_rows(groups)

    _write_manifests(out, train, test, rejected, params)
    folders = {album.name: album.folder for album in found}
    checks = PhotoChecks(params.long_side_px, params.crop_px, params.max_megapixels)
    run_all(
        cut_photo,
        cut_jobs(out, train, test, folders, checks),
        workers=workers,
        description="Cutting images",
        unit="images",
        size=lambda job: len(job.cuts),
    )
    name = params.name or albums.resolve().name
    return _report(name, out, params, collection, is_test, train, test, rejected, leaks)


def _test_photos(groups: list[ChosenGroup]) -> list[tuple[CountedAlbum, PhotoRecord]]:
    """Return each photo of the test groups once, with its album."""
    photos: dict[tuple[str, str], tuple[CountedAlbum, PhotoRecord]] = {}
    for group in groups:
        records = {photo.name: photo for photo in group.album.index().photos}
        for name in (group.hr, *(ref for ref, _ in group.refs)):
            photos[group.album.name, name] = group.album, records[name]
    return [photos[key] for key in sorted(photos)]


def _test_rows(groups: list[ChosenGroup]) -> list[TestRow]:
    rows = []
    for number, group in enumerate(groups):
        name, album = f"{number:03d}", group.album.name
        digests = {photo.name: photo.sha256 for photo in group.album.index().photos}
        rows.append(TestRow(name, 0, album, "HR", None, group.hr, digests[group.hr]))
        for k, (ref, matches) in enumerate(group.refs, start=1):
            rows.append(TestRow(name, k, album, level_name(k), matches, ref, digests[ref]))
    return rows


def _write_manifests(
    out: Path,
    train: list[TrainRow],
    test: list[TestRow],
    rejected: list[Rejected],
    params: BuildParams,
) -> None:
    """Write the manifests; images of another manifest are removed first, never mixed with ours."""
    files = {
        manifest.TRAIN: manifest.manifest_bytes(TrainRow, train),
        manifest.TEST: manifest.manifest_bytes(TestRow, test),
        manifest.REJECTED: manifest.manifest_bytes(Rejected, rejected),
    }
    origin = {
        "params": params.model_dump(mode="json"),
        "sha256": {name: sha256(content) for name, content in files.items()},
        "versions": {
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "pillow": PIL.__version__,
            "srntt_pipeline": srntt_pipeline.__version__,
        },
    }
    folder = out / MANIFESTS
    if _read_origin(folder / manifest.ORIGIN) != origin:
        for old in (layout.TRAIN_INPUT, layout.TRAIN_REF, layout.TEST):
            shutil.rmtree(out / old, ignore_errors=True)
    for name, content in files.items():
        write_bytes(folder / name, content)
    write_json(folder / manifest.ORIGIN, origin)


def _read_origin(path: Path) -> Any:
    try:
        return read_json(path, "")
    except InputError:
        return None  # none yet, or damaged: either way the images are cut anew


def _report(
    name: str,
    out: Path,
    params: BuildParams,
    collection: Survey,
    is_test: np.ndarray,
    train: list[TrainRow],
    test: list[TestRow],
    rejected: list[Rejected],
    leaks: list[NearDuplicate],
) -> dict[str, Any]:
    """Write what a person looks at, say what was written, and return the summary."""
    report = summary.summarise(
        name=name, params=params, survey=collection, is_test=is_test, train=train, test=test,
        rejected=rejected, near_duplicates=leaks,
    )  # fmt: skip
    summary.plot_match_counts(out / "match_counts.png", collection, params)
    summary.contact_sheet(out / "contact_sheet.png", out, train, test)
    write_json(out / layout.SUMMARY, report)
    for warning in report["warnings"]:
        log.warning("Warning: %s", warning)
    log.info(
        "Wrote %d training pairs and %d test groups to %s, from %d photo pairs of %d photos in %d "
        "albums (%d files rejected); look at %s",
        len(train), report["test_groups"], out, report["photo_pairs"], report["photos"],
        report["albums"], len(rejected), out / "contact_sheet.png",
    )  # fmt: skip
    return report
