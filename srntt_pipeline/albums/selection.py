"""Which albums are for testing, which photos make a test group, which pairs are cropped."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from srntt_pipeline.config import BuildParams
from srntt_pipeline.seeds import generator

PAIR_COLUMNS = ["album", "hr", "ref", "matches", "level"]


@dataclass(frozen=True)
class ChosenGroup:
    """A test group: an HR photo and, for level 1, 2, …, a reference with its match count."""

    album: str
    hr: str
    refs: tuple[tuple[str, int], ...]


def complete_photos(pairs: pd.DataFrame, levels: int) -> pd.DataFrame:
    """Return the (album, hr) of `pairs` that have a reference at every level."""
    graded = pairs[pairs["level"] > 0]
    reached = graded.groupby(["album", "hr"])["level"].nunique()
    return reached[reached == levels].reset_index()[["album", "hr"]]


def choose_test_albums(pairs: pd.DataFrame, params: BuildParams) -> list[str]:
    """Return the albums for the test set, by seed, among those that can make a complete group.

    At least one album, where possible, and never all of them: no test photo's album is in training.
    """
    albums = sorted(pairs["album"].unique())
    able = sorted(complete_photos(pairs, params.levels)["album"].unique())
    wanted = max(1, round(params.test_albums * len(albums))) if params.test_groups else 0
    wanted = min(wanted, len(able), len(albums) - 1)
    order = generator(params.seed, "test albums").permutation(len(able))
    return sorted(able[i] for i in order[: max(wanted, 0)])


def choose_groups(pairs: pd.DataFrame, params: BuildParams) -> list[ChosenGroup]:
    """Return at most `test_groups` groups from the test albums' `pairs`, spread over the albums.

    Each photo is an HR image once at most; each level's reference is drawn by seed.
    """
    complete = complete_photos(pairs, params.levels)
    queues: dict[str, Iterator[str]] = {}
    for album, photos in complete.groupby("album")["hr"]:
        names = sorted(photos)
        order = generator(params.seed, "groups", album).permutation(len(names))
        queues[str(album)] = iter([names[i] for i in order])
    graded = pairs[pairs["level"] > 0]
    by_photo = dict(list(graded.groupby(["album", "hr"])))
    groups: list[ChosenGroup] = []
    while queues and len(groups) < params.test_groups:
        for album in list(queues):
            hr = next(queues[album], None)
            if hr is None:
                del queues[album]
            elif len(groups) < params.test_groups:
                groups.append(_group(album, hr, by_photo[album, hr], params))
    return sorted(groups, key=lambda group: (group.album, group.hr))


def _group(album: str, hr: str, pairs: pd.DataFrame, params: BuildParams) -> ChosenGroup:
    refs = []
    for level in range(1, params.levels + 1):
        partners = pairs[pairs["level"] == level].sort_values("ref")
        draw = generator(params.seed, "reference", album, hr, level).integers(len(partners))
        chosen = partners.iloc[int(draw)]
        refs.append((str(chosen["ref"]), int(chosen["matches"])))
    return ChosenGroup(album, hr, tuple(refs))


def order_training_pairs(pairs: pd.DataFrame, params: BuildParams) -> pd.DataFrame:
    """Return the graded `pairs` in the order in which they are cropped: by seed, level by turn.

    The n-th pairs of every level stand together, so any head of the list is balanced as far as
    the levels reach.
    """
    graded = pairs[pairs["level"] > 0].sort_values(["album", "hr", "ref"], ignore_index=True)
    shuffled = graded.iloc[generator(params.seed, "training pairs").permutation(len(graded))]
    turn = shuffled.groupby("level").cumcount()
    order = np.lexsort([shuffled["level"], turn])
    return shuffled.iloc[order].reset_index(drop=True)
