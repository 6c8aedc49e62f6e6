"""Match counts of all pairs of an album's photos, one Parquet file per album."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from srntt_pipeline.albums.matching import best_matches, match_all_pairs, verified
from srntt_pipeline.albums.sift import SiftFeatures, detect, read_index
from srntt_pipeline.config import Matching
from srntt_pipeline.files import file_sha256, fingerprint, write_bytes
from srntt_pipeline.images import limit_long_side, read_rgb

COLUMNS = ("photo_a", "photo_b", "matches_ab", "matches_ba")


def count_matches(a: Path, b: Path, matching: Matching, long_side_px: int = 0) -> int:
    """Return the number of best matches of image file `a` in image file `b`.

    `long_side_px` > 0 shrinks both first. Raises UnusableImage.
    """

    def features(path: Path) -> SiftFeatures:
        image = read_rgb(path, grey=True)
        return detect(limit_long_side(image, long_side_px or max(image.shape)))

    return len(best_matches(features(a), features(b), matching))


@dataclass(frozen=True)
class CountJob:
    """Match counts of the album whose features are in `features`, to be written to `path`."""

    features: Path
    matching: Matching
    path: Path
    device: str = "cpu"


def count_album(job: CountJob) -> int:
    """Write the match counts of every pair of an album's photos (Parquet), unless they are there.

    A row per pair, photo_a < photo_b: `matches_ab` best matches of a in b, `matches_ba` of b in a.
    Returns how many pairs had to be counted.
    """
    made_from = _fingerprint(job)
    if _made_from(job.path) == made_from:
        return 0
    album = read_index(job.features)
    photos, features = album.photos, album.features(album.photos)
    rows = [
        (
            photos[a].name,
            photos[b].name,
            int(verified(features[a], features[b], forth, job.matching).sum()),
            int(verified(features[b], features[a], back, job.matching).sum()),
        )
        for a, b, forth, back in match_all_pairs(features, job.matching, job.device)
    ]
    table = pa.Table.from_pandas(pd.DataFrame(rows, columns=list(COLUMNS)), preserve_index=False)
    content = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({"made_from": made_from}), content, write_page_checksum=True
    )
    write_bytes(job.path, content.getvalue().to_pybytes())
    return len(rows)


def is_counted(job: CountJob) -> bool:
    """Tell whether the counts are there, whole, and made from these features in this way."""
    return job.features.is_file() and _made_from(job.path) == _fingerprint(job)


def _fingerprint(job: CountJob) -> str:
    return fingerprint(
        {"features": file_sha256(job.features), "matching": job.matching.model_dump()}
    )


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
