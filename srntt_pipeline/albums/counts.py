"""Best SIFT matches: the ratio test, decided exactly as OpenCV's brute-force matcher decides it.

A descriptor of one photo has a best match in another when its nearest descriptor there is nearer
than `ratio` times the next nearest (Lowe). The number of best matches grades the similarity of two
photos (paper section 4). Cross-checked nearest neighbours do not: on the released CUFED5 their
counts do not fall from level to level, the ratio test's do.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from srntt_pipeline.albums.sift import SiftFeatures, detect, read_album
from srntt_pipeline.files import file_sha256, fingerprint, whole_file
from srntt_pipeline.images import limit_long_side, read_rgb

Descriptors = npt.NDArray[np.uint8]


def squared_distances(a: Descriptors, b: Descriptors) -> npt.NDArray[np.float32]:
    """Return squared distances, float32 [N, M], between descriptors uint8 [N, 128] and [M, 128].

    They are exact: every term is a whole number below 2^24.
    """
    first, second = a.astype(np.float32), b.astype(np.float32)
    products = first @ second.T
    squares_a = np.einsum("nd,nd->n", first, first)
    squares_b = np.einsum("nd,nd->n", second, second)
    products *= -2
    products += squares_a[:, None]
    products += squares_b[None, :]
    return products


def ratio_test(
    squared: npt.NDArray[np.float32], ratio: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return the nearest neighbour of each row of `squared` [N, M], and whether it is a best match.

    Distances are compared as OpenCV users do: float32 roots, in double precision. Fewer than two
    neighbours make no best match. `squared` is changed.
    """
    count, neighbours = squared.shape
    if neighbours < 2:
        return np.zeros(count, np.intp), np.zeros(count, np.bool_)
    rows = np.arange(count)
    nearest = squared.argmin(axis=1)
    first = squared[rows, nearest]
    squared[rows, nearest] = np.inf
    second = squared.min(axis=1)
    squared[rows, nearest] = first
    return nearest, np.sqrt(first).astype(np.float64) < ratio * np.sqrt(second).astype(np.float64)


def best_matches(query: SiftFeatures, train: SiftFeatures, ratio: float) -> npt.NDArray[np.intp]:
    """Return the best matches of `query` in `train` as index pairs [K, 2]."""
    nearest, is_best = ratio_test(squared_distances(query.descriptors, train.descriptors), ratio)
    return np.stack([np.flatnonzero(is_best), nearest[is_best]], axis=1)


def count_matches(a: Path, b: Path, ratio: float, long_side_px: int = 0) -> int:
    """Return the number of best matches of image file `a` in image file `b`.

    `long_side_px` > 0 shrinks both first. Raises UnusableImage.
    """

    def features(path: Path) -> SiftFeatures:
        image = read_rgb(path, grey=True)
        return detect(limit_long_side(image, long_side_px or max(image.shape)))

    return len(best_matches(features(a), features(b), ratio))


@dataclass(frozen=True)
class CountJob:
    """Match counts of the album whose features are in `features`, to be written to `path`."""

    features: Path
    ratio: float
    path: Path


COLUMNS = ("photo_a", "photo_b", "matches_ab", "matches_ba")


def count_album(job: CountJob) -> None:
    """Write the match counts of every pair of an album's photos (Parquet), unless they are there.

    A row per pair, photo_a < photo_b: `matches_ab` best matches of a in b, `matches_ba` of b in a.
    """
    made_from = _should_be_made_from(job)
    if _made_from(job.path) == made_from:
        return
    photos = read_album(job.features)
    rows = []
    for i, a in enumerate(photos):
        for b in photos[i + 1 :]:
            squared = squared_distances(a.features.descriptors, b.features.descriptors)
            matches_ab = int(ratio_test(squared, job.ratio)[1].sum())
            matches_ba = int(ratio_test(np.ascontiguousarray(squared.T), job.ratio)[1].sum())
            rows.append((a.name, b.name, matches_ab, matches_ba))
    table = pa.Table.from_pandas(pd.DataFrame(rows, columns=list(COLUMNS)), preserve_index=False)
    with whole_file(job.path) as partial:
        pq.write_table(
            table.replace_schema_metadata({"made_from": made_from}),
            partial,
            write_page_checksum=True,
        )


def is_counted(job: CountJob) -> bool:
    """Tell whether `count_album` would find its work done; the features must be there."""
    return _made_from(job.path) == _should_be_made_from(job)


def _should_be_made_from(job: CountJob) -> str:
    return fingerprint({"features": file_sha256(job.features), "ratio": job.ratio})


def _made_from(path: Path) -> str | None:
    try:
        metadata = pq.read_table(path, page_checksum_verification=True).schema.metadata or {}
        return str(metadata[b"made_from"].decode())
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None


def read_counts(path: Path) -> pd.DataFrame:
    """Return an album's match counts, a row per ordered pair: hr, ref, matches (of hr in ref)."""
    table = pd.read_parquet(path)
    forth = table[["photo_a", "photo_b", "matches_ab"]].set_axis(["hr", "ref", "matches"], axis=1)
    back = table[["photo_b", "photo_a", "matches_ba"]].set_axis(["hr", "ref", "matches"], axis=1)
    both = pd.concat([forth, back]).sort_values(["hr", "ref"], ignore_index=True)
    return both.astype({"matches": "int64"})
