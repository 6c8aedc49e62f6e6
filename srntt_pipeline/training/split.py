"""Which pairs are kept from training to validate on: those that show no photo that is trained on.

Pairs of one photo show the same things. Kept apart at random, they would tell how well a network
remembers what it was trained on. Only where all pairs share photos there is no other way: that is
warned of, and stands in the card.
"""

import logging
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256
from srntt_pipeline.layout import PairOrigin, TrainPair, read_origins
from srntt_pipeline.recipes import Recipe
from srntt_pipeline.seeds import generator

log = logging.getLogger(__name__)

SPLIT = ("validation_pairs", "dropped_pairs")  # what `made_from` calls them
_STARTS = 64  # pairs that a cut is begun from, at most

Photos = tuple[Hashable, Hashable]
Numbers = list[int]  # of pairs


@dataclass(frozen=True)
class Split:
    """The pairs of a data set for training and for validation, each by name.

    `dropped`: pairs in neither, since they share photos with those validated on; `albums`: those
    that are kept from training as a whole; `told`: how it was split, in words.
    """

    training: list[TrainPair]
    validation: list[TrainPair]
    dropped: list[TrainPair]
    albums: tuple[str, ...]
    told: str

    @property
    def made_from(self) -> dict[str, list[str]]:
        """The names of the pairs that are not trained on, as JSON."""
        others = self.validation, self.dropped
        return {
            name: [pair.name for pair in pairs] for name, pairs in zip(SPLIT, others, strict=True)
        }

    @property
    def card(self) -> dict[str, Any]:
        """What the model card says of it, as JSON."""
        return {
            "training_pairs": len(self.training),
            **{name: len(names) for name, names in self.made_from.items()},
            "validation_split": self.told,
            "validation_albums": list(self.albums),
        }


def split_validation(dataset: Path, pairs: Sequence[TrainPair], params: Recipe) -> Split:
    """Return the split of all `pairs` of `dataset`, by its manifest and the seed.

    About `validation_pairs` of them are kept from training, at most a fifth. The manifest tells
    albums and photos: whole albums are kept; where those that fit have not half of the pairs
    wanted, all pairs of photos that are connected by pairs; where these have not either, as few
    pairs as can be are dropped. Without a manifest equal files count as one photo: that is all that
    is known. Where pairs share photos so that none would be left, they are drawn by seed alone,
    with a warning. Raises InputError for less than two pairs.
    """
    if len(pairs) < 2:
        raise InputError("training needs at least two pairs: one to train on, one to validate on")
    most = max(1, len(pairs) // 5)
    wanted = min(params.validation_pairs, most)
    seed = params.seed
    origins = read_origins(dataset)
    photos = _photos(pairs, origins)
    whole = []  # what can be kept as a whole, without dropping any
    if origins:
        albums = [origins[pair.name].album for pair in pairs]
        of_album = [(("album", album), *both) for album, both in zip(albums, photos, strict=True)]
        held = _held(_connected(of_album), wanted, most, seed)
        named = tuple(sorted({albums[number] for number in held}))
        count = f"{len(named)} album{'s' if len(named) > 1 else ''}"
        whole.append(_split(pairs, held, [], f"by album: all pairs of {count}", named))
        told = "by photos: pairs that share no photo with those trained on"
    else:
        told = "at random: no manifest tells the photos; pairs of equal files are kept together"
    whole.append(_split(pairs, _held(_connected(photos), wanted, most, seed), [], told))
    for split in whole:
        if 2 * len(split.validation) >= wanted:
            return split
    held, dropped = _cut(photos, wanted, most, seed)
    for split in whole:
        if split.validation and len(split.validation) >= len(held):
            return split
    if held:
        more = "; pairs that share photos with these are left out of training" if dropped else ""
        return _split(pairs, held, dropped, told + more)
    drawn = generator(seed, "validation").permutation(len(pairs))[:wanted].tolist()
    log.warning(
        "%s: its pairs share photos so that none can be kept apart; validation shows what is "
        "trained on. Add pairs of other photos.", dataset,
    )  # fmt: skip
    return _split(pairs, drawn, [], "at random: all pairs share photos, also with those trained on")


def _split(
    pairs: Sequence[TrainPair],
    held: Numbers,
    dropped: Numbers,
    told: str,
    albums: tuple[str, ...] = (),
) -> Split:
    validation, left_out = set(held), set(dropped)
    return Split(
        [p for i, p in enumerate(pairs) if i not in validation and i not in left_out],
        [p for i, p in enumerate(pairs) if i in validation],
        [p for i, p in enumerate(pairs) if i in left_out],
        albums,
        told,
    )


def _photos(pairs: Sequence[TrainPair], origins: dict[str, PairOrigin] | None) -> list[Photos]:
    """Return what stands for the two photos of each pair: equal for equal ones."""
    if origins:
        return [origins[pair.name].photos for pair in pairs]
    return [(file_sha256(pair.hr), file_sha256(pair.ref)) for pair in pairs]


def _connected(keys: Sequence[tuple[Hashable, ...]]) -> list[Numbers]:
    """Return the pairs in groups, by their first pair: connected are those that share a key."""
    number = {key: i for i, key in enumerate(dict.fromkeys(key for of in keys for key in of))}
    pairs = [pair for pair, of in enumerate(keys) for _ in of]
    nodes = [len(keys) + number[key] for of in keys for key in of]
    size = len(keys) + len(number)
    edges = coo_array((np.ones(len(pairs), np.int8), (pairs, nodes)), shape=(size, size))
    _, labels = connected_components(edges, directed=False)
    groups: dict[int, Numbers] = {}
    for pair, label in enumerate(labels[: len(keys)].tolist()):
        groups.setdefault(label, []).append(pair)
    return list(groups.values())


def _held(groups: Sequence[Numbers], wanted: int, most: int, seed: int) -> Numbers:
    """Return the pairs of whole groups, by seed: as many as fit into `wanted`.

    Where that is less than half, the smallest of the others too, if that is not above `most`.
    """
    held: Numbers = []
    others: list[Numbers] = []
    for number in generator(seed, "validation").permutation(len(groups)).tolist():
        group = groups[number]
        if len(held) + len(group) <= wanted:
            held += group
        else:
            others.append(group)
    smallest = min(others, key=len, default=[])
    if 2 * len(held) < wanted and len(held) + len(smallest) <= most:
        held += smallest
    return held


def _cut(photos: Sequence[Photos], wanted: int, most: int, seed: int) -> tuple[Numbers, Numbers]:
    """Return pairs to validate on, and the fewest to drop that share photos with them.

    Half of the pairs are left for training, if that can be; then half of `wanted` or more are to
    validate on; then as few as possible are dropped. Nothing where that leaves none for training.
    The fewest of all are hard to find: sets of photos are grown from up to 64 pairs, by seed.
    """
    number = {photo: i for i, photo in enumerate(dict.fromkeys(p for both in photos for p in both))}
    ends = np.array([[number[photo] for photo in both] for both in photos])
    total = len(photos)
    best: tuple[tuple[int, ...], npt.NDArray[np.bool_]] | None = None
    starts = np.unique(np.sort(ends, 1), axis=0)
    for start in generator(seed, "cut").permutation(starts)[:_STARTS].tolist():
        for inside, dropped, chosen in _grown(ends, start, wanted):
            left = total - inside - dropped
            if not left:
                continue
            amiss = max(0, -(-wanted // 2) - inside) + max(0, inside - most)
            rank = (max(0, -(-total // 2) - left), amiss, dropped, -inside)
            if best is None or rank < best[0]:
                best = rank, chosen.copy()
    if best is None:
        return [], []
    of = best[1][ends].sum(1)  # how many photos of each pair are chosen
    return np.flatnonzero(of == 2).tolist(), np.flatnonzero(of == 1).tolist()


def _grown(
    ends: npt.NDArray[np.int64], start: Sequence[int], wanted: int
) -> Iterator[tuple[int, int, npt.NDArray[np.bool_]]]:
    """Yield sets of photos that grow from the two of `start`, until `wanted` pairs lie inside.

    Of each: how many pairs lie inside, how many have one photo in it, and which photos it is. The
    photo comes next with which fewest pairs are dropped for each that lies inside.
    """
    count = int(ends.max()) + 1
    loops = np.bincount(ends[ends[:, 0] == ends[:, 1], 0], minlength=count)
    apart = ends[ends[:, 0] != ends[:, 1]]
    degree = np.bincount(apart.ravel(), minlength=count)
    links = np.zeros(count, np.int64)  # pairs of each photo with one that is chosen
    chosen = np.zeros(count, np.bool_)
    inside = dropped = 0
    coming = list(dict.fromkeys(start))
    while coming:
        photo = coming.pop()
        inside += int(links[photo] + loops[photo])
        dropped += int(degree[photo] - 2 * links[photo])
        chosen[photo] = True
        for side in (0, 1):
            links += np.bincount(apart[apart[:, side] == photo, 1 - side], minlength=count)
        if coming:
            continue
        yield inside, dropped, chosen
        near = np.flatnonzero(~chosen & (links > 0))
        if inside < wanted and len(near):
            lost, gained = degree[near] - 2 * links[near], links[near] + loops[near]
            coming.append(int(near[np.argmin((dropped + lost) / (inside + gained))]))
