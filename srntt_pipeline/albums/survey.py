"""What the choice of test groups and training pairs needs to know of a collection of albums.

Albums are read one at a time. What is kept is a few numbers per album and a hash per photo, never
a row per pair of photos: CUFED has five million.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from srntt_pipeline.albums.counts import read_counts
from srntt_pipeline.albums.levels import grade
from srntt_pipeline.albums.manifest import Rejected
from srntt_pipeline.albums.sift import AlbumIndex, read_index
from srntt_pipeline.config import BuildParams
from srntt_pipeline.parallel import progress

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CountedAlbum:
    """An album whose features and match counts lie in files; `unused` photos are passed over."""

    name: str
    features: Path
    counts: Path
    unused: frozenset[str] = frozenset()

    def index(self) -> AlbumIndex:
        """Return what is known of the photos."""
        return read_index(self.features)

    def pairs(self, params: BuildParams) -> pd.DataFrame:
        """Return the ordered pairs of used photos: hr, ref, matches and level (0: none)."""
        table = read_counts(self.counts)
        table = table[~table["hr"].isin(self.unused) & ~table["ref"].isin(self.unused)]
        return table.assign(level=grade(table["matches"].to_numpy(), params))


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
            used.append(album)
            photos.append(len(left))
            pairs.append(np.bincount(table["level"], minlength=params.levels + 1))
            complete.append(len(complete_photos(table, params.levels)))
            histogram = _add_counts(histogram, table)
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


def complete_photos(pairs: pd.DataFrame, levels: int) -> list[str]:
    """Return the HR photos of an album's `pairs` that have a reference at every level, by name."""
    graded = pairs[pairs["level"] > 0]
    reached = graded.groupby("hr")["level"].nunique()
    return sorted(reached.index[reached == levels])


def count_histogram(albums: Iterable[CountedAlbum], params: BuildParams) -> Counts:
    """Return the `histogram` of a Survey for `albums` alone."""
    histogram = np.zeros((params.levels + 1, 1), np.int64)
    for album in albums:
        histogram = _add_counts(histogram, album.pairs(params))
    return histogram


def _add_counts(histogram: Counts, table: pd.DataFrame) -> Counts:
    most = int(table["matches"].max()) if len(table) else 0
    grown = np.zeros((len(histogram), max(histogram.shape[1], most + 1)), np.int64)
    grown[:, : histogram.shape[1]] = histogram
    np.add.at(grown, (table["level"].to_numpy(), table["matches"].to_numpy()), 1)
    return grown
