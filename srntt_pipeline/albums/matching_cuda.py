"""Best SIFT matches of a whole album on a GPU: `matching` again, batched, with the same results.

Descriptors hold whole numbers below 256, which even TF32's short mantissa keeps, and sums stay
below 2^24: products are exact however the GPU makes them, so the ratio test comes out alike.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from srntt_pipeline.albums.matching import PairMatches, pairs_of
from srntt_pipeline.config import Matching
from srntt_pipeline.sift import Nearest, SiftFeatures

_BATCH = 1 << 27  # distances at a time: half a GiB, and a few times that for what is made of them


def match_all_pairs(
    photos: Sequence[SiftFeatures],
    matching: Matching,
    device: str,
    split: int | None = None,
    batch: int = _BATCH,
) -> Iterator[PairMatches]:
    """Yield the best matches of the pairs of `photos`, in the order of `matching.pairs_of`.

    `batch` bounds the distances that are in memory at a time.
    """
    sizes = [len(photo.descriptors) for photo in photos]
    longest = max(sizes, default=0)
    stacked = np.zeros((len(photos), longest, 128), np.uint8)
    for row, photo in zip(stacked, photos, strict=True):
        row[: len(photo.descriptors)] = photo.descriptors
    descriptors = torch.from_numpy(stacked).to(device).float()
    squares = descriptors.square().sum(dim=2)
    # What pads the shorter photos is infinitely far from everything.
    squares.masked_fill_(_padding(sizes, longest, device), torch.inf)
    for a, partners in pairs_of(len(photos), split):
        if not sizes[a]:  # reductions over nothing are errors
            none = Nearest(np.zeros(0, np.intp), np.zeros(0, np.bool_))
            for b in partners:
                blank = np.zeros(sizes[b], np.intp)
                yield PairMatches(a, b, none, Nearest(blank, blank.astype(np.bool_)))
            continue
        step = max(1, batch // max(1, sizes[a] * longest))
        for start in partners[::step]:
            others = slice(start, min(start + step, len(photos)))
            query, own = descriptors[a, : sizes[a]], squares[a, : sizes[a]]
            products = query @ descriptors[others].transpose(1, 2)  # [P, N, M]
            squared = products.mul_(-2).add_(own[None, :, None]).add_(squares[others, None, :])
            yield from _unpack(a, start, sizes, *_match(squared, matching))


def _padding(sizes: list[int], longest: int, device: str) -> Tensor:
    places = torch.arange(longest, device=device)
    return places[None, :] >= torch.tensor(sizes, device=device)[:, None]


def _match(squared: Tensor, matching: Matching) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the best matches from `squared` [P, N, M]: index and mark [P, N], and back [P, M]."""
    forth, is_forth, first_forth = _ratio_test(squared, 2, matching.ratio)
    back, is_back, first_back = _ratio_test(squared, 1, matching.ratio)
    if matching.mutual:
        is_forth &= first_forth == first_back.gather(1, forth)
        is_back &= first_back == first_forth.gather(1, back)
    return forth, is_forth, back, is_back


def _ratio_test(squared: Tensor, dim: int, ratio: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the nearest neighbours along `dim`, the test's outcomes, and the least distances."""
    first, index = squared.min(dim)
    place = index.unsqueeze(dim)
    squared.scatter_(dim, place, torch.inf)
    second = squared.amin(dim)
    squared.scatter_(dim, place, first.unsqueeze(dim))
    passed = first.sqrt().double() < ratio * second.sqrt().double()
    return index, passed & second.isfinite(), first  # infinite: there is no second neighbour


def _unpack(a: int, start: int, sizes: list[int], *batch: Tensor) -> Iterator[PairMatches]:
    forth, is_forth, back, is_back = (part.cpu().numpy() for part in batch)
    for place in range(len(forth)):
        b = start + place
        found = Nearest(back[place, : sizes[b]], is_back[place, : sizes[b]])
        yield PairMatches(a, b, Nearest(forth[place], is_forth[place]), found)
