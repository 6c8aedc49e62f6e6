"""The work that is done per album: features and match counts, in blocks.

An album's photos are cut into blocks of at most BLOCK. A job makes the features of a block, another
the match counts of a pair of blocks. A job writes one file, whole or not at all, and is not done
twice: so work can be spread over processes, machines and array jobs, be it many albums or a large
one, and a killed run loses at most the blocks in hand.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

from srntt_pipeline.albums.counts import CountJob, count_pairs, is_counted
from srntt_pipeline.albums.photos import Album, PhotoChecks, check_outside, find_albums
from srntt_pipeline.albums.sift import SiftJob, extract, is_extracted
from srntt_pipeline.albums.survey import CountedAlbum
from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.outputs import open_output
from srntt_pipeline.parallel import run_all
from srntt_pipeline.text import tally

log = logging.getLogger(__name__)

WORK = Path("work")

# So many photos' features take seconds, and so do the counts of a pair of blocks: the bars move,
# and little is lost at a kill. It decides which files there are, and no byte of the data set.
BLOCK = 32


@dataclass(frozen=True)
class AlbumJobs:
    """Features of one album, a job per block of photos, and counts, a job per pair of blocks."""

    album: str
    features: tuple[SiftJob, ...]
    counts: tuple[CountJob, ...]

    @property
    def counted(self) -> CountedAlbum:
        """The album, once the jobs are done."""
        features = tuple(job.path for job in self.features)
        return CountedAlbum(self.album, features, tuple(job.path for job in self.counts))


@dataclass(frozen=True)
class Extracted:
    """What came of a block: its usable photos and those rejected, in numbers."""

    photos: int
    rejected: int


def album_jobs(
    albums: Iterable[Album], out: Path, params: BuildParams, device: str
) -> list[AlbumJobs]:
    """Return the jobs of each album; their files lie in `out`/work."""
    checks = PhotoChecks.of(params)
    jobs = []
    for album in albums:
        features = tuple(
            SiftJob(block, checks, params.sift_features, _file(out, "sift", album, f"{i:03d}.h5"))
            for i, block in enumerate(_blocks(album))
        )
        counts = tuple(
            CountJob(
                (features[i].path, features[j].path),
                params.matching,
                _file(out, "counts", album, f"{i:03d}-{j:03d}.parquet"),
                device,
            )
            for i, j in combinations_with_replacement(range(len(features)), 2)
        )
        jobs.append(AlbumJobs(album.name, features, counts))
    return jobs


def work_files(jobs: Iterable[AlbumJobs]) -> list[Path]:
    """Return the files that the jobs write."""
    return [
        path
        for album in jobs
        for path in (*(job.path for job in album.features), *(job.path for job in album.counts))
    ]


def _blocks(album: Album) -> list[Album]:
    """Return the album's photos in parts, in the order of their names."""
    starts = range(0, len(album.photos), BLOCK)
    return [replace(album, photos=album.photos[start : start + BLOCK]) for start in starts]


def _file(out: Path, kind: str, album: Album, name: str) -> Path:
    return out / WORK / kind / f"{album.slug}.{name}"


def prepare(jobs: Sequence[AlbumJobs], workers: int) -> int:
    """Do the `jobs`: first all features, then all counts; return how many counts were not there."""
    photos = extract_all([job for album in jobs for job in album.features], workers)
    return count_all([job for album in jobs for job in album.counts], photos, workers)


def extract_all(jobs: Sequence[SiftJob], workers: int) -> dict[Path, int]:
    """Make the features of blocks; return the number of usable photos by the block's file.

    The bar goes by photos.
    """
    rejected = 0

    def show(bar: Any, result: Extracted) -> None:
        nonlocal rejected
        rejected += result.rejected
        bar.set_postfix_str(f"{rejected:,} rejected", refresh=False)

    results = run_all(
        _extract, jobs, workers=workers, description="SIFT features", unit="photos",
        size=lambda job: len(job.album.photos), each=show,
    )  # fmt: skip
    return {job.path: result.photos for job, result in zip(jobs, results, strict=True)}


def count_all(jobs: Sequence[CountJob], photos: Mapping[Path, int], workers: int) -> int:
    """Count the matches of pairs of blocks, which have so many `photos`; the bar goes by pairs.

    Returns of how many pairs of blocks the counts were not there.
    """

    def pairs(job: CountJob) -> int:
        first, second = (photos[block] for block in job.blocks)
        return first * (first - 1) // 2 if job.within_one else first * second

    made = run_all(
        count_pairs, jobs, workers=workers, description="Match counts", unit="pairs", size=pairs
    )
    return sum(made)


def _extract(job: SiftJob) -> Extracted:
    index = extract(job)
    return Extracted(len(index.photos), len(index.rejected))


def check_prepared(jobs: Sequence[AlbumJobs], workers: int) -> None:
    """Raise InputError unless all `jobs` are done."""
    features = [job for album in jobs for job in album.features]
    extracted = run_all(
        is_extracted, features, workers=workers, description="Checking features", unit="photos",
        size=lambda job: len(job.album.photos),
    )  # fmt: skip
    there = {job.path for job, done in zip(features, extracted, strict=True) if done}
    counts = [(album.album, job) for album in jobs for job in album.counts]
    missing = [
        place
        for place, (_, job) in enumerate(counts)
        if not (there.issuperset(job.blocks) and is_counted(job))
    ]
    if missing:
        first, job = counts[missing[0]]
        lacking = {counts[place][0] for place in missing}
        raise InputError(
            f"{job.path.parents[1]}: {len(lacking)} of {len(jobs)} "
            "albums lack features or counts of these photos, parameters and versions, "
            f"{first} the first: run the parts again, which make what is missing (or --shard "
            f"{missing[0] + 1}/{len(counts)}, the first of it alone), then --merge"
        )


def prepare_part(
    albums: Path,
    out: Path,
    params: BuildParams,
    part: ArrayPart,
    *,
    workers: int,
    device: str = "auto",
) -> None:
    """Make one part of the features and counts of an array job, and nothing else.

    All parts can run at once, here or elsewhere, with the same `out`; then `build_cufed5` with
    `merge` makes the data set of them. Each makes every nth block of photos and counts every nth
    pair of blocks, so a large album is shared out too. A block whose features it counts and no
    other part has made yet, it makes itself. Raises InputError.
    """
    check_outside(albums, out)
    with open_output(out, "dataset", reads=[albums], part=part) as output:
        found, _ = find_albums(albums)
        jobs = album_jobs(found, out, params, device)
        output.claim(work_files(jobs))
        features = [job for album in jobs for job in album.features]
        counts = [job for album in jobs for job in album.counts]
        counted = part.of(counts)
        own = part.of(features)
        needed = {block for job in counted for block in job.blocks} - {job.path for job in own}
        # Its own first: meanwhile other parts make theirs, and these are mostly there then.
        others = [job for job in features if job.path in needed]
        made = count_all(counted, extract_all([*own, *others], workers), workers)
    log.info(
        "Wrote %d of %d files of match counts (part %s) to %s; %s; when all parts are done, run "
        "again with --merge",
        len(counted), len(counts), part, out / WORK, tally("files", made, len(counted)),
    )  # fmt: skip
