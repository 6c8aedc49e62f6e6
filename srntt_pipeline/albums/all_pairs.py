"""Best SIFT matches of every pair of an album's photos, on the CPU or on a GPU."""

from collections.abc import Iterator, Sequence

from srntt_pipeline.albums.matching import PairMatches, match_both_ways, pairs_of
from srntt_pipeline.config import Matching
from srntt_pipeline.device import device_name
from srntt_pipeline.sift import SiftFeatures


def match_all_pairs(
    photos: Sequence[SiftFeatures], matching: Matching, device: str, split: int | None = None
) -> Iterator[PairMatches]:
    """Yield the best matches of the pairs of an album's photos, in the order of `pairs_of`.

    The same on every `device`: `auto`, `cpu`, `cuda`, `cuda:1`, … Matches are not yet verified.
    """
    device = device_name(device)
    if device != "cpu":
        from srntt_pipeline.albums import matching_cuda  # all else here does without PyTorch

        yield from matching_cuda.match_all_pairs(photos, matching, device, split)
        return
    for a, partners in pairs_of(len(photos), split):
        for b in partners:
            both = match_both_ways(photos[a].descriptors, photos[b].descriptors, matching)
            yield PairMatches(a, b, *both)
