"""Match counts of all pairs of an album's photos, one Parquet file per pair of its blocks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from srntt_pipeline.albums.all_pairs import match_all_pairs
from srntt_pipeline.albums.matching import best_matches, verified
from srntt_pipeline.albums.sift import read_features, read_index
from srntt_pipeline.config import Matching
from srntt_pipeline.files import fingerprint, write_bytes
from srntt_pipeline.hdf5 import sealed_hash
from srntt_pipeline.images import limit_long_side, read_rgb
from srntt_pipeline.sift import SiftFeatures, detect

SCHEMA = pa.schema(
    [
        ("photo_a", pa.string()), ("photo_b", pa.string()),
        ("matches_ab", pa.int32()), ("matches_ba", pa.int32()),
    ]
)  # fmt: skip


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
    """Match counts of pairs of photos from two blocks of an album, to be written to `path`.

    `blocks`: the files of the blocks' features. A pair has a photo of either block; where both are
    one block, these are the pairs within it.
    """

    blocks: tuple[Path, Path]
    matching: Matching
    path: Path
    device: str = "cpu"

    @property
    def within_one(self) -> bool:
        """Is it of the pairs within a block?"""
        return self.blocks[0] == self.blocks[1]


def count_pairs(job: CountJob) -> bool:
    """Write the match counts of all pairs of photos of two blocks (Parquet), unless they are there.

    A row per pair, photo_a before photo_b: `matches_ab` best matches of a in b, `matches_ba` of b
    in a. Returns whether it wrote them.
    """
    made_from = _fingerprint(job)
    if _made_from(job.path) == made_from:
        return False
    photos = read_index(dict.fromkeys(job.blocks)).photos
    first = sum(photo.file == job.blocks[0] for photo in photos)
    split = None if job.within_one else first
    features = read_features(photos)
    rows = [
        {
            "photo_a": photos[a].name,
            "photo_b": photos[b].name,
            "matches_ab": int(verified(features[a], features[b], forth, job.matching).sum()),
            "matches_ba": int(verified(features[b], features[a], back, job.matching).sum()),
        }
        for a, b, forth, back in match_all_pairs(features, job.matching, job.device, split)
    ]
    table = pa.Table.from_pylist(rows, SCHEMA.with_metadata({"made_from": made_from}))
    content = pa.BufferOutputStream()
    pq.write_table(table, content, write_page_checksum=True)
    write_bytes(job.path, content.getvalue().to_pybytes())
    return True


def is_counted(job: CountJob) -> bool:
    """Tell whether the counts are there, whole, and made from these features in this way."""
    return None not in map(sealed_hash, job.blocks) and _made_from(job.path) == _fingerprint(job)


def _fingerprint(job: CountJob) -> str:
    """Tell features by their seals: whoever extracts has checked them, and a hash takes long."""
    return fingerprint(
        {"features": list(map(sealed_hash, job.blocks)), "matching": job.matching.model_dump()}
    )


def _made_from(path: Path) -> str | None:
    try:
        metadata = pq.read_table(path, page_checksum_verification=True).schema.metadata or {}
        return str(metadata[b"made_from"].decode())
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None


def read_counts(paths: Iterable[Path], photos: Sequence[str]) -> npt.NDArray[np.int32]:
    """Return the match counts of an album's N `photos` from the files of its pairs of blocks.

    int32 [N, N]: best matches of the row's photo in the column's; 0 on the diagonal. A table of two
    million pairs with their names would take twenty times the memory.
    """
    names = pa.array(photos, pa.string())
    matches = np.zeros((len(photos), len(photos)), np.int32)
    for path in paths:
        table = pq.read_table(path)
        a = pc.index_in(table["photo_a"], names).to_numpy()
        b = pc.index_in(table["photo_b"], names).to_numpy()
        matches[a, b], matches[b, a] = table["matches_ab"], table["matches_ba"]
    return matches
