"""Building a CUFED5-style data set from photo albums (paper section 4)."""

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from srntt_pipeline import layout
from srntt_pipeline.albums import manifest, summary
from srntt_pipeline.albums.counts import CountJob, count_album, read_counts
from srntt_pipeline.albums.crops import CropJob, crop_album
from srntt_pipeline.albums.cufed import Labels, read_labels
from srntt_pipeline.albums.levels import level_name, levels_by_bands, levels_by_quantiles
from srntt_pipeline.albums.manifest import Rejected, TestRow, TrainRow
from srntt_pipeline.albums.manifests import (
    CONTACT_SHEET,
    MANIFESTS,
    MATCH_COUNTS,
    make_manifest,
    write_manifests,
)
from srntt_pipeline.albums.origin import origin_of
from srntt_pipeline.albums.photos import PhotoChecks, find_albums
from srntt_pipeline.albums.pixels import cut_jobs, cut_photo
from srntt_pipeline.albums.selection import (
    PAIR_COLUMNS,
    ChosenGroup,
    choose_groups,
    choose_test_albums,
    order_training_pairs,
)
from srntt_pipeline.albums.sift import SiftJob, extract_album, read_hashes, read_rejected
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import output_folder, write_bytes, write_json
from srntt_pipeline.parallel import run_all

log = logging.getLogger(__name__)

WORK = Path("work")


def build_cufed5(albums: Path, out: Path, params: BuildParams, *, workers: int) -> dict[str, Any]:
    """Build the data set `out` from the folder of photo albums `albums`; return its summary.

    Writes the images in CUFED5 layout, `manifests/{train,test,rejected}.csv`, `summary.json`,
    `match_counts.png` and `contact_sheet.png`. `work/` keeps features and counts per album: a run
    that was killed, or has other thresholds, starts from there. The same photos, parameters and
    library versions give the same bytes, whatever `workers`.

    Raises InputError when `albums` has no usable pair of photos.
    """
    if out.resolve().is_relative_to(albums.resolve()):
        raise InputError(f"{out} lies inside {albums}: its images would be taken for albums")
    output_folder(out)
    found, rejected = find_albums(albums)
    labels = read_labels(albums)
    checks = PhotoChecks.of(params)

    features = {album.name: out / WORK / "sift" / f"{album.slug}.h5" for album in found}
    counts = {album.name: out / WORK / "counts" / f"{album.slug}.parquet" for album in found}
    run_all(
        extract_album,
        [SiftJob(album, checks, params.sift_features, features[album.name]) for album in found],
        workers=workers,
        description="SIFT features",
        unit="photos",
        size=lambda job: len(job.album.photos),
    )
    run_all(
        count_album,
        [CountJob(features[album.name], params.ratio, counts[album.name]) for album in found],
        workers=workers,
        description="Match counts",
        unit="albums",
    )

    hashes = {album.name: read_hashes(features[album.name]) for album in found}
    for album in found:
        rejected += read_rejected(features[album.name])
    usable, repeated = _first_of_each(hashes)
    rejected += repeated
    rejected += [
        Rejected(name, photo, "the album's only usable photo: it has no partner")
        for name, photos in usable.items()
        if len(photos) == 1
        for photo in photos
    ]
    pairs = _graded_pairs(usable, counts, params)
    if pairs.empty:
        write_bytes(
            out / MANIFESTS / manifest.REJECTED, manifest.manifest_bytes(Rejected, rejected)
        )
        raise InputError(
            f"{albums}: no album has two usable photos; {out / MANIFESTS / manifest.REJECTED} says "
            "why each photo was rejected"
        )

    test_albums = choose_test_albums(pairs, params)
    in_test = pairs["album"].isin(test_albums)
    test = _test_rows(choose_groups(pairs[in_test], params), hashes, labels)
    train = _train_rows(pairs[~in_test], features, hashes, labels, params, workers)

    origin = origin_of(
        name=params.name or albums.resolve().name,
        params=params,
        photos={name: len(photos) for name, photos in usable.items()},
        pairs_per_level=Counter(pairs["level"].tolist()),
        test_albums=test_albums,
    )
    data = make_manifest(train, test, rejected, origin)
    write_manifests(out, data)
    folders = {album.name: album.folder for album in found}
    run_all(
        cut_photo,
        cut_jobs(out, train, test, folders, checks),
        workers=workers,
        description="Cutting images",
        unit="images",
        size=lambda job: len(job.cuts),
    )
    report = summary.summarise(data)
    summary.plot_match_counts(out / MATCH_COUNTS, pairs, params)
    summary.contact_sheet(out / CONTACT_SHEET, out, train, test)
    write_json(out / layout.SUMMARY, report)
    for warning in report["warnings"]:
        log.warning("Warning: %s", warning)
    log.info(
        "Wrote %d training pairs and %d test groups to %s (%d files rejected); look at %s",
        len(train), report["test_groups"], out, len(rejected), out / CONTACT_SHEET,
    )  # fmt: skip
    return report


def _first_of_each(
    hashes: dict[str, dict[str, str]],
) -> tuple[dict[str, list[str]], list[Rejected]]:
    """Return each album's photos without those that are a byte for byte copy of an earlier one."""
    first: dict[str, str] = {}
    usable: dict[str, list[str]] = {}
    repeated = []
    for album, photos in hashes.items():
        usable[album] = []
        for photo, digest in photos.items():
            if digest in first:
                repeated.append(Rejected(album, photo, f"the same file as {first[digest]}"))
            else:
                first[digest] = f"{album}/{photo}"
                usable[album].append(photo)
    return usable, repeated


def _graded_pairs(
    usable: dict[str, list[str]], counts: dict[str, Path], params: BuildParams
) -> pd.DataFrame:
    """Return all ordered pairs of usable photos with match count and level (0: none)."""
    tables = []
    for album, photos in usable.items():
        table = read_counts(counts[album])
        table = table[table["hr"].isin(photos) & table["ref"].isin(photos)].copy()
        matches = table["matches"].to_numpy()
        if params.levels_by == "bands":
            table["level"] = levels_by_bands(matches, params.level_bands)
        else:
            table["level"] = levels_by_quantiles(matches, params.levels)
        tables.append(table.assign(album=album)[PAIR_COLUMNS])
    return pd.concat(tables, ignore_index=True)


def _test_rows(
    groups: list[ChosenGroup], hashes: dict[str, dict[str, str]], labels: Labels
) -> list[TestRow]:
    return [
        TestRow(
            group=f"{index:03d}",
            k=k,
            album=group.album,
            event=labels.event(group.album),
            level=level_name(k) if k else "HR",
            matches=matches,
            photo=photo,
            sha256=hashes[group.album][photo],
            importance=labels.importance(group.album, photo),
        )
        for index, group in enumerate(groups)
        for k, (photo, matches) in enumerate([(group.hr, None), *group.refs])
    ]


def _train_rows(
    pairs: pd.DataFrame,
    features: dict[str, Path],
    hashes: dict[str, dict[str, str]],
    labels: Labels,
    params: BuildParams,
    workers: int,
) -> list[TrainRow]:
    """Return the rows of the training crops: pairs are cropped until there are enough."""
    ordered = order_training_pairs(pairs, params)
    rows: list[TrainRow] = []
    start = 0
    # Some pairs give no crop, so they are cropped in helpings until the number asked for is there.
    while len(rows) < params.train_pairs and start < len(ordered):
        helping = max(256, 2 * (params.train_pairs - len(rows)) // params.crops_per_pair)
        pairs = ordered[start : start + helping]
        rows += _crop_rows(pairs, features, hashes, labels, params, workers)
        start += helping
    rows = sorted(rows[: params.train_pairs], key=_place)
    digits = max(5, len(str(len(rows) - 1)))
    return [replace(row, name=f"{index:0{digits}d}") for index, row in enumerate(rows)]


def _place(row: TrainRow) -> tuple[str, str, str, int, int]:
    return row.album, row.hr_photo, row.ref_photo, row.hr_x_px, row.hr_y_px


def _crop_rows(
    pairs: pd.DataFrame,
    features: dict[str, Path],
    hashes: dict[str, dict[str, str]],
    labels: Labels,
    params: BuildParams,
    workers: int,
) -> list[TrainRow]:
    """Return the rows, without names yet, of the crops of `pairs`, in their order."""
    jobs = [
        CropJob(
            features[str(album)],
            str(album),
            tuple(zip(table["hr"], table["ref"], strict=True)),
            params.ratio,
            params.crop_px,
            params.crops_per_pair,
            params.crop_matches,
            params.seed,
        )
        for album, table in pairs.groupby("album")
    ]
    results = run_all(
        crop_album,
        jobs,
        workers=workers,
        description="Corresponding crops",
        unit="pairs",
        size=lambda job: len(job.pairs),
    )
    crops = {job.album: result for job, result in zip(jobs, results, strict=True)}
    return [
        TrainRow(
            name="",
            album=pair.album,
            event=labels.event(pair.album),
            level=level_name(pair.level),
            matches=pair.matches,
            crop_matches=crop.matches,
            size_px=params.crop_px,
            hr_photo=pair.hr,
            hr_x_px=crop.hr[0],
            hr_y_px=crop.hr[1],
            hr_sha256=hashes[pair.album][pair.hr],
            hr_importance=labels.importance(pair.album, pair.hr),
            ref_photo=pair.ref,
            ref_x_px=crop.ref[0],
            ref_y_px=crop.ref[1],
            ref_sha256=hashes[pair.album][pair.ref],
        )
        for pair in pairs.itertuples()
        for crop in crops[pair.album][pair.hr, pair.ref]
    ]
