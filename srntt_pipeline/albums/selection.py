"""Which albums are for testing, which photos make a test group: by seed, spread over albums."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srntt_pipeline.albums.pairs import Pairs
from srntt_pipeline.albums.survey import CountedAlbum, Survey
from srntt_pipeline.config import BuildParams
from srntt_pipeline.seeds import generator

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ChosenGroup:
    """A test group: an HR photo and, for level 1, 2, …, a reference with its match count."""

    album: CountedAlbum
    hr: str
    refs: tuple[tuple[str, int], ...]


def share_out(total: int, available: Counts, order: npt.NDArray[np.intp]) -> Counts:
    """Return how much each of several stocks gives towards `total`, as evenly as they allow.

    No stock gives more than it has, `available` int64 [N]; a remainder goes to the first in
    `order`, a permutation of the stocks, that have more. The sum is `total`, or all there is.
    """
    total = min(total, int(available.sum()))
    low, high = 0, int(available.max(initial=0))
    while low < high:  # the highest even share that does not pass the total
        middle = (low + high + 1) // 2
        if np.minimum(available, middle).sum() <= total:
            low = middle
        else:
            high = middle - 1
    shares = np.minimum(available, low)
    with_more = [i for i in order if available[i] > low]
    shares[with_more[: total - int(shares.sum())]] += 1
    return shares


def choose_test_albums(survey: Survey, params: BuildParams) -> npt.NDArray[np.bool_]:
    """Tell which albums are for the test set, by seed, among those that make a complete group.

    At least one album, where possible, and never all of them: no test photo's album is in training.
    """
    usable = int((survey.photos > 1).sum())
    able = np.flatnonzero(survey.complete)
    wanted = max(1, round(params.test_albums * usable)) if params.test_groups else 0
    wanted = max(0, min(wanted, len(able), usable - 1))
    order = generator(params.seed, "test albums").permutation(len(able))
    chosen = np.zeros(len(survey.albums), np.bool_)
    chosen[able[order[:wanted]]] = True
    return chosen


def choose_groups(
    survey: Survey, is_test: npt.NDArray[np.bool_], params: BuildParams
) -> list[ChosenGroup]:
    """Return at most `test_groups` groups, spread evenly over the test albums, by album and HR.

    Each photo is an HR image once at most; each level's reference is drawn by seed.
    """
    order = generator(params.seed, "groups").permutation(len(survey.albums))
    shares = share_out(params.test_groups, np.where(is_test, survey.complete, 0), order)
    groups = []
    for album, share in zip(survey.albums, shares, strict=True):
        if not share:
            continue
        pairs = album.pairs(params)
        names = pairs.complete(params.levels)
        drawn = generator(params.seed, "groups", album.name).permutation(len(names))[:share]
        groups += [_group(album, names[i], pairs, params) for i in sorted(drawn)]
    return groups


def _group(album: CountedAlbum, hr: str, pairs: Pairs, params: BuildParams) -> ChosenGroup:
    refs = []
    row = pairs.names.index(hr)
    for level in range(1, params.levels + 1):
        partners = np.flatnonzero(pairs.level[row] == level)
        draw = generator(params.seed, "reference", album.name, hr, level).integers(len(partners))
        chosen = partners[draw]
        refs.append((pairs.names[chosen], int(pairs.matches[row, chosen])))
    return ChosenGroup(album, hr, tuple(refs))
