"""Building a CUFED5-style data set from photo albums (paper section 4)."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import PIL

import srntt_pipeline
from srntt_pipeline import layout
from srntt_pipeline.albums import manifest, summary
from srntt_pipeline.albums.counts import CountJob, count_album, is_counted, read_counts
from srntt_pipeline.albums.crops import CropJob, crop_album
from srntt_pipeline.albums.levels import level_name, levels_by_bands, levels_by_quantiles
from srntt_pipeline.albums.manifest import Rejected, TestRow, TrainRow
from srntt_pipeline.albums.photos import Album, PhotoChecks, find_albums
from srntt_pipeline.albums.pixels import cut_jobs, cut_photo
from srntt_pipeline.albums.selection import (
    PAIR_COLUMNS,
    ChosenGroup,
    choose_groups,
    choose_test_albums,
    order_training_pairs,
)
from srntt_pipeline.albums.sift import (
    SiftJob,
    extract_album,
    is_extracted,
    read_hashes,
    read_rejected,
)
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import (
    output_folder,
    read_json,
    remove_partials,
    sha256,
    write_bytes,
    write_json,
)
from srntt_pipeline.parallel import run_all
from srntt_pipeline.shard import Shard

log = logging.getLogger(__name__)

MANIFESTS, WORK = Path("manifests"), Path("work")


def build_cufed5(
    albums: Path, out: Path, params: BuildParams, *, workers: int, merge: bool = False
) -> dict[str, Any]:
    """Build the data set `out` from the folder of photo albums `albums`; return its summary.

    Writes the images in CUFED5 layout, `manifests/{train,test,rejected}.csv`, `summary.json`,
    `match_counts.png` and `contact_sheet.png`. `work/` keeps features and counts per album: a run
    that was killed, or has other thresholds, starts from there. The same photos, parameters and
    library versions give the same bytes, whatever `workers`.

    `merge` makes no features and counts but takes those that `prepare_shard` has made.

    Raises InputError when `albums` has no usable pair of photos, or `merge` finds an album whose
    features or counts are missing or of other photos or parameters.
    """
    _refuse_inside(albums, out)
    output_folder(out)
    found, rejected = find_albums(albums)
    checks = _checks(params)
    prepare = _check_prepared if merge else _prepare
    prepare(found, out, params, workers)
    features, counts = _work_files(found, out)

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
    test = _test_rows(choose_groups(pairs[in_test], params), hashes)
    train = _train_rows(pairs[~in_test], features, hashes, params, workers)

    _write_manifests(out, train, test, rejected, params)
    folders = {album.name: album.folder for album in found}
    run_all(
        cut_photo,
        cut_jobs(out, train, test, folders, checks),
        workers=workers,
        description="Cutting images",
        unit="images",
        size=lambda job: len(job.cuts),
    )
    report = summary.summarise(
        name=params.name or albums.resolve().name,
        params=params,
        photos={name: len(photos) for name, photos in usable.items()},
        pairs=pairs,
        test_albums=test_albums,
        train=train,
        test=test,
        rejected=rejected,
    )
    summary.plot_match_counts(out / "match_counts.png", pairs, params)
    summary.contact_sheet(out / "contact_sheet.png", out, train, test)
    write_json(out / layout.SUMMARY, report)
    for warning in report["warnings"]:
        log.warning("Warning: %s", warning)
    remove_partials(out)  # of workers that were killed, whose jobs others have done
    log.info(
        "Wrote %d training pairs and %d test groups to %s (%d files rejected); look at %s",
        len(train), report["test_groups"], out, len(rejected), out / "contact_sheet.png",
    )  # fmt: skip
    return report


def prepare_shard(
    albums: Path, out: Path, params: BuildParams, shard: Shard, *, workers: int
) -> None:
    """Make features and counts of the albums of one shard, and nothing else.

    All shards can run at once, here or elsewhere, with the same `out`; then `build_cufed5` with
    `merge` makes the data set of them. Raises InputError.
    """
    _refuse_inside(albums, out)
    output_folder(out, clear=False)
    found, _ = find_albums(albums)
    part = shard.of(found)
    _prepare(part, out, params, workers)
    log.info(
        "Wrote features and counts of %d of %d albums (shard %s) to %s; when all shards are done, "
        "run again with --merge",
        len(part), len(found), shard, out / WORK,
    )  # fmt: skip


def _refuse_inside(albums: Path, out: Path) -> None:
    if out.resolve().is_relative_to(albums.resolve()):
        raise InputError(f"{out} lies inside {albums}: its images would be taken for albums")


def _checks(params: BuildParams) -> PhotoChecks:
    return PhotoChecks(params.long_side_px, params.crop_px, params.max_megapixels)


def _work_files(found: Sequence[Album], out: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return where the features and where the counts of each album lie."""
    features = {album.name: out / WORK / "sift" / f"{album.slug}.h5" for album in found}
    counts = {album.name: out / WORK / "counts" / f"{album.slug}.parquet" for album in found}
    return features, counts


def _album_jobs(
    found: Sequence[Album], out: Path, params: BuildParams
) -> tuple[list[SiftJob], list[CountJob]]:
    features, counts = _work_files(found, out)
    checks, most = _checks(params), params.sift_features
    return (
        [SiftJob(album, checks, most, features[album.name]) for album in found],
        [CountJob(features[album.name], params.ratio, counts[album.name]) for album in found],
    )


def _prepare(found: Sequence[Album], out: Path, params: BuildParams, workers: int) -> None:
    """Make the features and counts of albums unless they are there."""
    sift_jobs, count_jobs = _album_jobs(found, out, params)
    run_all(
        extract_album,
        sift_jobs,
        workers=workers,
        description="SIFT features",
        unit="photos",
        size=lambda job: len(job.album.photos),
    )
    run_all(count_album, count_jobs, workers=workers, description="Match counts", unit="albums")


def _check_prepared(found: Sequence[Album], out: Path, params: BuildParams, workers: int) -> None:
    """Raise InputError unless the features and counts of all albums are there."""
    sift_jobs, count_jobs = _album_jobs(found, out, params)
    prepared = run_all(
        _is_prepared,
        list(zip(sift_jobs, count_jobs, strict=True)),
        workers=workers,
        description="Checking shards",
        unit="albums",
    )
    if all(prepared):
        return
    first, total = prepared.index(False), len(found)
    raise InputError(
        f"{out / WORK}: {prepared.count(False)} of {total} albums have no features and counts of "
        f"these photos, parameters and versions, {found[first].name} the first: run its shard "
        f"again (or --shard {first + 1}/{total}, which is this album alone), then --merge"
    )


def _is_prepared(jobs: tuple[SiftJob, CountJob]) -> bool:
    return is_extracted(jobs[0]) and is_counted(jobs[1])


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


def _test_rows(groups: list[ChosenGroup], hashes: dict[str, dict[str, str]]) -> list[TestRow]:
    rows = []
    for index, group in enumerate(groups):
        name, digests = f"{index:03d}", hashes[group.album]
        rows.append(TestRow(name, 0, group.album, "HR", None, group.hr, digests[group.hr]))
        for k, (ref, matches) in enumerate(group.refs, start=1):
            level = level_name(k)
            rows.append(TestRow(name, k, group.album, level, matches, ref, digests[ref]))
    return rows


def _train_rows(
    pairs: pd.DataFrame,
    features: dict[str, Path],
    hashes: dict[str, dict[str, str]],
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
        rows += _crop_rows(ordered[start : start + helping], features, hashes, params, workers)
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
            level=level_name(pair.level),
            matches=pair.matches,
            crop_matches=crop.matches,
            size_px=params.crop_px,
            hr_photo=pair.hr,
            hr_x_px=crop.hr[0],
            hr_y_px=crop.hr[1],
            hr_sha256=hashes[pair.album][pair.hr],
            ref_photo=pair.ref,
            ref_x_px=crop.ref[0],
            ref_y_px=crop.ref[1],
            ref_sha256=hashes[pair.album][pair.ref],
        )
        for pair in pairs.itertuples()
        for crop in crops[pair.album][pair.hr, pair.ref]
    ]


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
