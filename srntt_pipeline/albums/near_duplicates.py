"""Near-duplicates of test photos among the training photos: recompressed, resized, bursts, turned.

Copies of one picture wander between albums. A perceptual hash finds the candidates among all
photos, in any of the eight orientations, and the matches of their SIFT features decide. These bear
any turn; for a mirror image the test photo's descriptors are mirrored.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srntt_pipeline.albums.matching import match_both_ways
from srntt_pipeline.albums.sift import PhotoRecord, mirrored, read_features
from srntt_pipeline.albums.survey import CountedAlbum
from srntt_pipeline.config import BuildParams
from srntt_pipeline.parallel import progress, run_all

_TURNS = 4  # by quarters of a circle; as many of the mirror image
_BITS = np.unpackbits(
    np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1
).sum(axis=1, dtype=np.uint8)  # set in every number of 16 bits


Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class NearDuplicate:
    """A training photo that shows the same as a test photo: bits that differ, share of matches."""

    album: str
    photo: str
    test_album: str
    test_photo: str
    bits: int
    share: float
    turned: bool = False
    mirrored: bool = False

    def __str__(self) -> str:
        how = "mirrored " if self.mirrored else "turned " if self.turned else ""
        return (
            f"a {how}near-duplicate of test photo {self.test_album}/{self.test_photo} "
            f"({self.bits} of 64 hash bits differ, {self.share:.0%} of the keypoints match)"
        )


@dataclass(frozen=True)
class Candidate:
    """A training photo whose hash is near a test photo's, in orientation `turn` of the eight."""

    photo: PhotoRecord
    test_album: CountedAlbum
    test_photo: PhotoRecord
    bits: int
    turn: int

    @property
    def mirrored(self) -> bool:
        """Whether it is the hash of the test photo's mirror image."""
        return self.turn >= _TURNS


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
    hashes = _bytes([photo.phash + photo.turned for _, photo in test])
    jobs = []
    with progress("Near-duplicates: hashes", "albums", len(training)) as bar:
        for album in training if test else ():
            photos = [p for p in album.index().photos if p.name not in album.unused]
            bits = hamming(_bytes([photo.phash for photo in photos]), hashes)
            candidates = tuple(
                Candidate(photos[i], *test[j], differing, turn)
                for i, j, differing, turn in _nearest(bits, params.near_duplicate_bits)
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


def _nearest(bits: Bits, most: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield photo, test photo, differing bits and orientation, where at most `most` bits differ.

    `bits` uint8 [N, 8 M]: in how many bits the hash of each of N photos differs from those of M
    test photos, in eight orientations each: four turns, then four turns of the mirror image. Only
    the nearest turn of each four is given, for the features that decide bear any turn.
    """
    sides = bits.reshape(len(bits), bits.shape[1] // (2 * _TURNS), 2, _TURNS)
    turns, least = sides.argmin(axis=3), sides.min(axis=3)
    for i, j, side in np.argwhere(least <= most):
        yield int(i), int(j), int(least[i, j, side]), int(_TURNS * side + turns[i, j, side])


def _bytes(hashes: list[str]) -> npt.NDArray[np.uint8]:
    digests = b"".join(map(bytes.fromhex, hashes))
    return np.frombuffer(digests, np.uint8).reshape(-1, 8)


def hamming(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> Bits:
    """Return in how many bits the hashes `a` uint8 [N, 8] and `b` [M, 8] differ, uint8 [N, M]."""
    bits = np.zeros((len(a), len(b)), np.uint8)
    for one, other in zip(a.view(np.uint16).T, b.view(np.uint16).T, strict=True):
        bits += _BITS[one[:, None] ^ other[None]]
    return bits


def compare(job: CompareJob) -> list[NearDuplicate]:
    """Return the candidates of an album whose features match; the first test photo for each."""
    found: dict[str, NearDuplicate] = {}
    for candidate in job.candidates:
        photo, test = candidate.photo, candidate.test_photo
        if photo.name in found:
            continue
        (a,) = read_features([photo])
        (b,) = read_features([test])
        theirs = mirrored(b.descriptors) if candidate.mirrored else b.descriptors
        forth, back = match_both_ways(a.descriptors, theirs, job.params.matching)
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
                candidate.turn % _TURNS > 0,
                candidate.mirrored,
            )
    return list(found.values())
