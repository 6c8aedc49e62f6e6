"""The training pairs: drawn by seed, spread over levels and albums, cropped until there are enough.

Many pairs of photos give no crop: too few of their matches lie together. So crops are made in
rounds. Each shares out what is still wanted among the albums that have untried pairs left. Where
much is wanted of one album, pieces of its pairs are tried side by side.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from srntt_pipeline.albums.crops import corresponding_crops
from srntt_pipeline.albums.levels import level_name
from srntt_pipeline.albums.manifest import TrainRow
from srntt_pipeline.albums.matching import best_matches
from srntt_pipeline.albums.pairs import Pairs
from srntt_pipeline.albums.selection import share_out
from srntt_pipeline.albums.sift import PhotoRecord, SiftFeatures, read_features
from srntt_pipeline.albums.survey import CountedAlbum
from srntt_pipeline.config import BuildParams
from srntt_pipeline.parallel import run_all
from srntt_pipeline.seeds import generator

Counts = npt.NDArray[np.int64]

# A job gets pairs enough for so many crops at best: seconds of work. It changes no row.
CROPS = 64


@dataclass(frozen=True)
class Want:
    """So many `crops` of `level` are wanted from the pairs `start`…`stop`, in the order drawn."""

    level: int
    start: int
    crops: int
    stop: int


@dataclass(frozen=True)
class CropJob:
    """Crops from one album's pairs of photos, without those `left_out`."""

    album: CountedAlbum
    params: BuildParams
    left_out: frozenset[str]
    wants: tuple[Want, ...]


@dataclass(frozen=True)
class Cropped:
    """What came of a `Want`: rows, nameless yet, and where untried pairs start and end."""

    rows: list[TrainRow]
    start: int
    end: int


def choose_train_pairs(
    albums: list[CountedAlbum],
    available: Counts,
    left_out: dict[str, frozenset[str]],
    params: BuildParams,
    workers: int,
) -> list[TrainRow]:
    """Return `params.train_pairs` rows of the training manifest, or all that `albums` give.

    `available` int64 [A, levels]: ordered pairs of each of the A albums at each level. Levels get
    even shares as far as they reach, and so do the albums within a level. `left_out` names photos
    by album that must not be used.
    """
    rows: list[TrainRow] = []
    made, start, end = np.zeros_like(available), np.zeros_like(available), available.copy()
    missing = np.zeros_like(available)
    rounds = 0
    while True:
        # What was shared out is made, or its pairs run out, before anything is shared out anew.
        missing[start >= end] = 0
        if not missing.any():
            missing = _share_out(params, made, (end - start) * params.crops_per_pair) - made
        if not missing.any():
            break
        rounds += 1
        jobs = [
            (a, CropJob(albums[a], params, left_out.get(albums[a].name, frozenset()), wants))
            for a in np.flatnonzero(missing.any(axis=1))
            for wants in _wants(missing[a], start[a], end[a], params.crops_per_pair)
        ]
        results = run_all(
            crop_album,
            [job for _, job in jobs],
            workers=workers,
            description="Corresponding crops" if rounds == 1 else f"Crops, round {rounds}",
            unit="crops",
            size=lambda job: sum(want.crops for want in job.wants),
        )
        for (a, job), result in zip(jobs, results, strict=True):
            for want, cropped in zip(job.wants, result, strict=True):
                place = a, want.level - 1
                new = cropped.rows[: missing[place]]
                rows += new
                made[place] += len(new)
                missing[place] -= len(new)
                start[place], end[place] = cropped.start, cropped.end
    rows.sort(key=_place)
    digits = max(5, len(str(len(rows) - 1)))
    return [replace(row, name=f"{index:0{digits}d}") for index, row in enumerate(rows)]


def _wants(
    missing: Counts, start: Counts, end: Counts, crops_per_pair: int
) -> Iterator[tuple[Want, ...]]:
    """Yield what each job shall make of an album's `missing` crops of each level.

    Few crops are one job's, which stops when it has them. Of many, jobs get pieces of just the
    pairs that would do at best: then none is tried that one job would not have tried.
    """
    few = []
    for k in np.flatnonzero(missing):
        level, crops, place, stop = int(k) + 1, int(missing[k]), int(start[k]), int(end[k])
        if crops <= CROPS:
            few.append(Want(level, place, crops, stop))
            continue
        stop = min(stop, place - crops // -crops_per_pair)
        step = -(CROPS // -crops_per_pair)
        for first in range(place, stop, step):
            last = min(first + step, stop)
            yield (Want(level, first, (last - first) * crops_per_pair, last),)
    if few:
        yield tuple(few)


def _share_out(params: BuildParams, made: Counts, possible: Counts) -> Counts:
    """Return how many crops each album and level should give, of those made and still possible."""
    most = made + possible
    levels = range(most.shape[1])
    per_level = share_out(params.train_pairs, most.sum(axis=0), np.array(levels))
    orders = [
        generator(params.seed, "training albums", k + 1).permutation(len(most)) for k in levels
    ]
    return np.stack([share_out(int(per_level[k]), most[:, k], orders[k]) for k in levels], axis=1)


def _place(row: TrainRow) -> tuple[str, str, str, int, int]:
    return row.album, row.hr_photo, row.ref_photo, row.hr_x_px, row.hr_y_px


def crop_album(job: CropJob) -> list[Cropped]:
    """Return what comes of each of an album's wants; it ends short where pairs run out."""
    records = {photo.name: photo for photo in job.album.index().photos}
    pairs = job.album.pairs(job.params).without(job.left_out)
    return [_crop(want, pairs, records, job) for want in job.wants]


def _crop(want: Want, pairs: Pairs, records: dict[str, PhotoRecord], job: CropJob) -> Cropped:
    places = pairs.of_level(want.level)
    rng = generator(job.params.seed, "training pairs", job.album.name, want.level)
    order = rng.permutation(len(places))
    rows: list[TrainRow] = []
    place, stop = min(want.start, len(order)), min(want.stop, len(order))
    while len(rows) < want.crops and place < stop:
        i, j = places[order[place]]
        hr, ref = records[pairs.names[i]], records[pairs.names[j]]
        hr_features, ref_features = read_features([hr, ref])
        matches = int(pairs.matches[i, j])
        rows += _rows(hr, ref, hr_features, ref_features, matches, want.level, job)
        place += 1
    return Cropped(rows[: want.crops], place, len(order))


def _rows(
    hr: PhotoRecord,
    ref: PhotoRecord,
    hr_features: SiftFeatures,
    ref_features: SiftFeatures,
    matches: int,
    level: int,
    job: CropJob,
) -> list[TrainRow]:
    params = job.params
    matched = best_matches(hr_features, ref_features, params.matching)
    crops = corresponding_crops(
        hr_features.xy[matched[:, 0]],
        ref_features.xy[matched[:, 1]],
        (hr.height, hr.width),
        (ref.height, ref.width),
        crop=params.crop_px,
        most=params.crops_per_pair,
        least_matches=params.crop_matches,
        rng=generator(params.seed, "crops", job.album.name, hr.name, ref.name),
    )
    return [
        TrainRow(
            name="",
            album=job.album.name,
            event="",
            level=level_name(level),
            matches=matches,
            crop_matches=crop.matches,
            size_px=params.crop_px,
            hr_photo=hr.name,
            hr_x_px=crop.hr[0],
            hr_y_px=crop.hr[1],
            hr_sha256=hr.sha256,
            hr_importance=None,
            ref_photo=ref.name,
            ref_x_px=crop.ref[0],
            ref_y_px=crop.ref[1],
            ref_sha256=ref.sha256,
        )
        for crop in crops
    ]
