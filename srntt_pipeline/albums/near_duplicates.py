"""Near-duplicates of test photos among the training photos: recompressed, resized, bursts.

Copies of one picture wander between albums. A perceptual hash finds the candidates among all
photos, and the matches of their SIFT features decide.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srntt_pipeline.albums.matching import match_both_ways
from srntt_pipeline.albums.sift import PhotoRecord, read_features
from srntt_pipeline.albums.survey import CountedAlbum
from srntt_pipeline.config import BuildParams
from srntt_pipeline.parallel import progress, run_all

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


@dataclass(frozen=True)
class NearDuplicate:
    """A training photo that shows the same as a test photo: bits that differ, share of matches."""

    album: str
    photo: str
    test_album: str
    test_photo: str
    bits: int
    share: float

    def __str__(self) -> str:
        return (
            f"a near-duplicate of test photo {self.test_album}/{self.test_photo} "
            f"({self.bits} of 64 hash bits differ, {self.share:.0%} of the keypoints match)"
        )


@dataclass(frozen=True)
class Candidate:
    """A training photo whose hash is near a test photo's."""

    photo: PhotoRecord
    test_album: CountedAlbum
    test_photo: PhotoRecord
    bits: int


@dataclass(frozen=True)
class CompareJob:
    """The candidates of one training album."""

    album: CountedAlbum
    candidates: tuple[Candidate, ...]
    params: BuildParams


def find_near_duplicates(
    test: list[tuple[CountedAlbum, PhotoRecord]],
    training: list[CountedAlbum],
    params: BuildParams,
    workers: int,
) -> list[NearDuplicate]:
    """Return the photos of `training` albums that are near-duplicates of `test` photos, by name."""
    hashes = _bytes([photo for _, photo in test])
    jobs = []
    with progress("Near-duplicates: hashes", "albums", len(training)) as bar:
        for album in training if test else ():
            photos = [p for p in album.index().photos if p.name not in album.unused]
            bits = hamming(_bytes(photos), hashes)
            near = np.argwhere(bits <= params.near_duplicate_bits)
            candidates = tuple(
                Candidate(photos[i], test[j][0], test[j][1], int(bits[i, j])) for i, j in near
            )
            if candidates:
                jobs.append(CompareJob(album, candidates, params))
            bar.update()
    if not jobs:
        return []
    results = run_all(
        compare,
        jobs,
        workers=workers,
        description="Near-duplicates: matches",
        unit="candidates",
        size=lambda job: len(job.candidates),
    )
    return [found for result in results for found in result]


def _bytes(photos: list[PhotoRecord]) -> npt.NDArray[np.uint8]:
    digests = b"".join(bytes.fromhex(photo.phash) for photo in photos)
    return np.frombuffer(digests, np.uint8).reshape(-1, 8)


def hamming(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return in how many bits the hashes `a` uint8 [N, 8] and `b` [M, 8] differ, int64 [N, M]."""
    return _BITS[a[:, None] ^ b[None]].sum(axis=2, dtype=np.int64)


def compare(job: CompareJob) -> list[NearDuplicate]:
    """Return the candidates of an album whose features match; the first test photo for each."""
    found: dict[str, NearDuplicate] = {}
    for candidate in job.candidates:
        photo, test = candidate.photo, candidate.test_photo
        if photo.name in found:
            continue
        (a,) = read_features([photo])
        (b,) = read_features([test])
        forth, back = match_both_ways(a.descriptors, b.descriptors, job.params.matching)
        matches = int(max(forth.is_match.sum(), back.is_match.sum()))
        share = matches / max(1, min(len(a.xy), len(b.xy)))
        if share >= job.params.near_duplicate_share:
            found[photo.name] = NearDuplicate(
                job.album.name,
                photo.name,
                candidate.test_album.name,
                test.name,
                candidate.bits,
                share,
            )
    return list(found.values())
