"""The work that is done per album: features and match counts. Each album is a job of its own.

A job writes two files, whole or not at all, and is not done twice: so albums can be spread over
processes, machines and array jobs, and a killed run loses at most the albums in hand.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srntt_pipeline.albums.counts import CountJob, count_album, is_counted
from srntt_pipeline.albums.photos import Album, PhotoChecks, check_outside, find_albums
from srntt_pipeline.albums.sift import SiftJob, extract_album, is_extracted, read_index
from srntt_pipeline.albums.survey import CountedAlbum
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.outputs import open_output
from srntt_pipeline.parallel import run_all
from srntt_pipeline.shard import Shard

log = logging.getLogger(__name__)

WORK = Path("work")


@dataclass(frozen=True)
class AlbumJob:
    """Features and counts of one album."""

    sift: SiftJob
    counts: CountJob

    @property
    def counted(self) -> CountedAlbum:
        """The album, once the job is done."""
        return CountedAlbum(self.sift.album.name, self.sift.path, self.counts.path)


@dataclass(frozen=True)
class Prepared:
    """What a job found: pairs counted now (not in an earlier run), and photos rejected."""

    pairs: int
    rejected: int


def album_jobs(
    albums: Iterable[Album], out: Path, params: BuildParams, device: str
) -> list[AlbumJob]:
    """Return a job per album; their files lie in `out`/work."""
    checks = PhotoChecks.of(params)
    jobs = []
    for album in albums:
        features = out / WORK / "sift" / f"{album.slug}.h5"
        counts = out / WORK / "counts" / f"{album.slug}.parquet"
        sift = SiftJob(album, checks, params.sift_features, features)
        jobs.append(AlbumJob(sift, CountJob(features, params.matching, counts, device)))
    return jobs


def work_files(jobs: Iterable[AlbumJob]) -> list[Path]:
    """Return the files that the jobs write."""
    return [path for job in jobs for path in (job.sift.path, job.counts.path)]


def prepare_album(job: AlbumJob) -> Prepared:
    """Extract and count one album, unless that is done."""
    extract_album(job.sift)
    return Prepared(count_album(job.counts), len(read_index(job.sift.path).rejected))


def is_prepared(job: AlbumJob) -> bool:
    """Tell whether both files are there, whole, of these photos and parameters."""
    return is_extracted(job.sift) and is_counted(job.counts)


def check_prepared(jobs: list[AlbumJob], workers: int) -> None:
    """Raise InputError unless all `jobs` are done."""
    done = run_all(is_prepared, jobs, workers=workers, description="Checking shards", unit="albums")
    if not all(done):
        first = done.index(False)
        raise InputError(
            f"{jobs[first].counts.path.parents[1]}: {done.count(False)} of {len(jobs)} albums have "
            "no features and counts of these photos, parameters and versions, "
            f"{jobs[first].sift.album.name} the first: run its shard again (or --shard "
            f"{first + 1}/{len(jobs)}, which is this album alone), then --merge"
        )


def prepare_shard(
    albums: Path,
    out: Path,
    params: BuildParams,
    shard: Shard,
    *,
    workers: int,
    device: str = "auto",
) -> None:
    """Make features and counts of the albums of one shard, and nothing else.

    All shards can run at once, here or elsewhere, with the same `out`; then `build_cufed5` with
    `merge` makes the data set of them. Raises InputError.
    """
    check_outside(albums, out)
    with open_output(out, "dataset", reads=[albums], shard=shard) as output:
        found, _ = find_albums(albums)
        jobs = album_jobs(found, out, params, device)
        output.claim(work_files(jobs))
        part = list(shard.of(jobs))
        prepare(part, workers)
    log.info(
        "Wrote features and counts of %d of %d albums (shard %s) to %s; when all shards are done, "
        "run again with --merge",
        len(part), len(found), shard, out / WORK,
    )  # fmt: skip


def prepare(jobs: list[AlbumJob], workers: int) -> None:
    """Do the `jobs`; the bar over the albums tells pairs a second and files rejected so far."""
    pairs = rejected = 0

    def show(bar: Any, result: Prepared) -> None:
        nonlocal pairs, rejected
        pairs, rejected = pairs + result.pairs, rejected + result.rejected
        rate = pairs / max(bar.format_dict["elapsed"], 1e-3)
        bar.set_postfix_str(f"{rate:,.0f} pairs/s, {rejected:,} rejected", refresh=False)

    run_all(
        prepare_album, jobs, workers=workers, description="SIFT and matches", unit="albums",
        each=show,
    )  # fmt: skip
