"""The training pairs: drawn by seed, spread over levels and albums, cropped until there are enough.

Many pairs of photos give no crop: too few of their matches lie together. So crops are made in
rounds. Each shares out what is still wanted among the albums that have untried pairs left. An
album's pairs are tried in pieces, side by side, and count in the order in which they were drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from srntt_pipeline.albums.crops import draw_crop_pairs
from srntt_pipeline.albums.levels import level_name
from srntt_pipeline.albums.manifest_rows import TrainRow
from srntt_pipeline.albums.matching import best_matches
from srntt_pipeline.albums.pairs import Pairs
from srntt_pipeline.albums.selection import share_out
from srntt_pipeline.albums.sift import PhotoRecord, read_features
from srntt_pipeline.albums.survey import CountedAlbum
from srntt_pipeline.config import BuildParams
from srntt_pipeline.parallel import run_all
from srntt_pipeline.seeds import generator
from srntt_pipeline.sift import SiftFeatures

Counts = npt.NDArray[np.int64]

# So many pairs of a level are tried by one job: a second's work. It changes no row.
PIECE = 32


@dataclass(frozen=True)
class Want:
    """What a job tries: pairs `start` … `stop` - 1 of `level`, for at most so many `crops`.

    An album's pairs of a level are numbered in the order in which they are drawn by seed.
    """

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
    """What came of a `Want`.

    `rows`: the crops, without names yet; `places`: the number of the pair that each was cut from;
    `start`: the number of the first pair that was not tried; `end`: how many pairs there are.
    """

    rows: list[TrainRow]
    places: list[int]
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
    missing, before, first = (np.zeros_like(available) for _ in range(3))
    rounds = 0
    while True:
        # What was shared out is made, or its pairs run out, before anything is shared out anew.
        missing[start >= end] = 0
        if not missing.any():
            missing = _share_out(params, made, (end - start) * params.crops_per_pair) - made
            before, first = made.copy(), start.copy()
        if not missing.any():
            break
        rounds += 1
        tries = _tries(missing, made - before, start - first, params.crops_per_pair)
        jobs = [
            (a, CropJob(albums[a], params, left_out.get(albums[a].name, frozenset()), wants))
            for a in np.flatnonzero(missing.any(axis=1))
            for wants in _wants(missing[a], start[a], np.minimum(end, start + tries)[a])
        ]
        results = run_all(
            crop_album,
            [job for _, job in jobs],
            workers=workers,
            description="Corresponding crops" if rounds == 1 else f"Crops, round {rounds}",
            unit="photo pairs",
            size=lambda job: sum(want.stop - want.start for want in job.wants),
        )
        for (a, job), result in zip(jobs, results, strict=True):
            for want, cropped in zip(job.wants, result, strict=True):
                place = a, want.level - 1
                end[place] = cropped.end
                if not missing[place]:
                    continue  # enough came of the pairs before these: they count as untried
                new = cropped.rows[: missing[place]]
                rows += new
                made[place] += len(new)
                missing[place] -= len(new)
                start[place] = cropped.start if missing[place] else cropped.places[len(new) - 1] + 1
    rows.sort(key=_place)
    digits = max(5, len(str(len(rows) - 1)))
    return [replace(row, name=f"{index:0{digits}d}") for index, row in enumerate(rows)]


def _tries(missing: Counts, made: Counts, tried: Counts, crops_per_pair: int) -> Counts:
    """Return how many pairs of each album and level to try next, for the crops `missing`.

    All are int64 [A, levels]. So far `tried` pairs gave `made` crops: as many are tried as would
    give the rest at that rate, but never more than were tried, for what comes of too many is thrown
    away. Where none were tried, every pair is taken to give `crops_per_pair`. At least PIECE.
    """
    at_best = -(-missing // crops_per_pair)
    as_before = -(-missing * tried // np.maximum(np.maximum(made, missing), 1))
    return np.maximum(PIECE, np.where(tried, as_before, at_best))


def _wants(missing: Counts, start: Counts, stop: Counts) -> Iterator[tuple[Want, ...]]:
    """Yield what each job is to try of one album: pairs `start` … `stop` - 1 of each level.

    They are cut into pieces of PIECE pairs, a job for each; levels that are a single piece share a
    job.
    """
    single = []
    for k in np.flatnonzero(missing):
        places = range(int(start[k]), int(stop[k]), PIECE)
        wants = [
            Want(int(k) + 1, place, int(missing[k]), min(place + PIECE, int(stop[k])))
            for place in places
        ]
        if len(wants) == 1:
            single += wants
        else:
            yield from ((want,) for want in wants)
    if single:
        yield tuple(single)


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
    of_level = pairs.of_level(want.level)
    rng = generator(job.params.seed, "training pairs", job.album.name, want.level)
    order = rng.permutation(len(of_level))
    rows: list[TrainRow] = []
    places: list[int] = []
    place, stop = min(want.start, len(order)), min(want.stop, len(order))
    while len(rows) < want.crops and place < stop:
        i, j = of_level[order[place]]
        hr, ref = records[pairs.names[i]], records[pairs.names[j]]
        hr_features, ref_features = read_features([hr, ref])
        matches = int(pairs.matches[i, j])
        rows += _rows(hr, ref, hr_features, ref_features, matches, want.level, job)
        places += [place] * (len(rows) - len(places))
        place += 1
    return Cropped(rows[: want.crops], places[: want.crops], place, len(order))


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
    crops = draw_crop_pairs(
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
