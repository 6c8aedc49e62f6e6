"""What the choice of test groups and training pairs needs to know of a collection of albums.

Albums are read one at a time. What is kept is a few numbers per album and a hash per photo, never
a number per pair of photos: CUFED has five million.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from srntt_pipeline.albums.counts import read_counts
from srntt_pipeline.albums.manifest_rows import Rejected
from srntt_pipeline.albums.pairs import Counts, Pairs
from srntt_pipeline.albums.sift import AlbumIndex, read_index
from srntt_pipeline.config import BuildParams
from srntt_pipeline.parallel import progress


@dataclass(frozen=True)
class CountedAlbum:
    """An album whose features and match counts lie in files; `unused` photos are passed over.

    A file of `features` holds a block of the photos, one of `counts` a pair of blocks.
    """

    name: str
    features: tuple[Path, ...]
    counts: tuple[Path, ...]
    unused: frozenset[str] = frozenset()

    def index(self) -> AlbumIndex:
        """Return what is known of the photos."""
        return read_index(self.features)

    def pairs(self, params: BuildParams) -> Pairs:
        """Return the ordered pairs of used photos, graded."""
        names = [photo.name for photo in self.index().photos]
        matches = read_counts(self.counts, names)
        used = [i for i, name in enumerate(names) if name not in self.unused]
        if len(used) < len(names):
            matches = matches[np.ix_(used, used)]
        return Pairs.graded(tuple(names[i] for i in used), matches, params)


@dataclass(frozen=True)
class Survey:
    """A collection of A albums, graded into `levels`; row or column 0 is for pairs without level.

    `photos` int64 [A] used photos; `pairs` int64 [A, levels + 1] ordered pairs per level;
    `complete` int64 [A] photos with a reference at every level; `histogram` int64
    [levels + 1, most + 1] pairs per level and match count.
    """

    albums: tuple[CountedAlbum, ...]
    photos: Counts
    pairs: Counts
    complete: Counts
    histogram: Counts
    rejected: tuple[Rejected, ...]


def survey(albums: Iterable[CountedAlbum], params: BuildParams) -> Survey:
    """Read each album's counts once; leave out photos that are copies of another file.

    Of byte for byte copies, the first by album and name is used.
    """
    first: dict[bytes, str] = {}
    rejected: list[Rejected] = []
    used: list[CountedAlbum] = []
    photos, pairs, complete = [], [], []
    histogram = np.zeros((params.levels + 1, 1), np.int64)
    albums = list(albums)
    with progress("Surveying", "albums", len(albums)) as bar:
        for album in albums:
            index = album.index()
            rejected += index.rejected
            copies = _copies(index, first)
            album = replace(album, unused=frozenset(row.photo for row in copies))
            left = [photo.name for photo in index.photos if photo.name not in album.unused]
            if len(left) == 1:
                reason = "the album's only usable photo: it has no partner"
                copies.append(Rejected(album.name, left[0], reason))
            rejected += copies
            table = album.pairs(params)
            counted = table.histogram(params.levels)
            used.append(album)
            photos.append(len(left))
            pairs.append(counted.sum(axis=1))
            complete.append(len(table.complete(params.levels)))
            histogram = _sum(histogram, counted)
            bar.update()
    return Survey(
        tuple(used),
        np.array(photos, np.int64),
        np.array(pairs, np.int64).reshape(-1, params.levels + 1),
        np.array(complete, np.int64),
        histogram,
        tuple(rejected),
    )


def _copies(index: AlbumIndex, first: dict[bytes, str]) -> list[Rejected]:
    """Return the photos of an album that are copies of one in `first`; add the others to it."""
    copies = []
    for photo in index.photos:
        place = first.setdefault(bytes.fromhex(photo.sha256), f"{index.album}/{photo.name}")
        if place != f"{index.album}/{photo.name}":
            copies.append(Rejected(index.album, photo.name, f"the same file as {place}"))
    return copies


def count_histogram(albums: Iterable[CountedAlbum], params: BuildParams) -> Counts:
    """Return the `histogram` of a Survey for `albums` alone."""
    histogram = np.zeros((params.levels + 1, 1), np.int64)
    for album in albums:
        histogram = _sum(histogram, album.pairs(params).histogram(params.levels))
    return histogram


def _sum(a: Counts, b: Counts) -> Counts:
    """Return the sum of two histograms; one may know higher counts than the other."""
    total = np.zeros((len(a), max(a.shape[1], b.shape[1])), np.int64)
    for part in (a, b):
        total[:, : part.shape[1]] += part
    return total
