import itertools
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.albums.selection import (
    PAIR_COLUMNS,
    choose_groups,
    choose_test_albums,
    complete_photos,
    order_training_pairs,
)
from srntt_pipeline.config import BuildParams


def album_pairs(name, photos, level_of):
    """All ordered pairs of `photos` photos; matches tell pairs apart."""
    names = [f"{i:02d}.jpg" for i in range(photos)]
    return [
        (name, hr, ref, 1000 * i + j, level_of(i, j))
        for (i, hr), (j, ref) in itertools.permutations(enumerate(names), 2)
    ]


def table(*albums):
    return pd.DataFrame([row for rows in albums for row in rows], columns=PAIR_COLUMNS)


def complete(name, photos=6):
    return album_pairs(name, photos, lambda i, j: 1 + (j - i) % photos % 4)


def incomplete(name, photos=6):
    return album_pairs(name, photos, lambda i, j: 1)


# Photos that make a group


def test_photo_is_complete_with_a_reference_at_every_level():
    pairs = table(
        [("a", "hr", "1", 9, 1), ("a", "hr", "2", 5, 2), ("a", "hr", "3", 0, 0)],
        [("a", "other", "1", 9, 1), ("a", "other", "2", 9, 1), ("a", "other", "3", 0, 0)],
    )
    assert complete_photos(pairs, 2).to_numpy().tolist() == [["a", "hr"]]
    assert complete_photos(pairs, 3).empty


def test_pairs_without_a_level_complete_nothing():
    assert complete_photos(table([("a", "hr", "1", 0, 0)]), 1).empty


# Test albums


def test_share_of_the_albums_is_for_testing():
    pairs = table(*(complete(f"{i:02d}") for i in range(20)))
    assert len(choose_test_albums(pairs, BuildParams(test_albums=0.1))) == 2
    assert len(choose_test_albums(pairs, BuildParams(test_albums=0.5))) == 10


def test_at_least_one_album_is_for_testing():
    pairs = table(complete("a"), complete("b"))
    assert len(choose_test_albums(pairs, BuildParams(test_albums=0))) == 1


@pytest.mark.parametrize("albums", [1, 2, 3])
def test_never_are_all_albums_for_testing(albums):
    pairs = table(*(complete(f"{i}") for i in range(albums)))
    assert len(choose_test_albums(pairs, BuildParams(test_albums=0.99))) == albums - 1


def test_no_album_is_kept_for_testing_when_no_groups_are_wanted():
    pairs = table(complete("a"), complete("b"))
    assert choose_test_albums(pairs, BuildParams(test_groups=0)) == []


def test_albums_that_make_no_complete_group_are_for_training():
    pairs = table(complete("b"), *(incomplete(name) for name in "acdef"))
    assert choose_test_albums(pairs, BuildParams(test_albums=0.9)) == ["b"]
    assert choose_test_albums(table(incomplete("a"), incomplete("b")), BuildParams()) == []


def test_seed_decides_which_albums():
    pairs = table(*(complete(f"{i:02d}") for i in range(20)))
    chosen = {tuple(choose_test_albums(pairs, BuildParams(seed=seed))) for seed in range(10)}
    assert len(chosen) > 3
    again = choose_test_albums(pairs.sample(frac=1, random_state=1), BuildParams(seed=3))
    assert again == choose_test_albums(pairs, BuildParams(seed=3))


# Groups


def check_groups(groups, pairs, params):
    matches = {(row.album, row.hr, row.ref): (row.matches, row.level) for row in pairs.itertuples()}
    for group in groups:
        assert len(group.refs) == params.levels
        for level, (ref, count) in enumerate(group.refs, start=1):
            assert matches[group.album, group.hr, ref] == (count, level)
    photos = [(group.album, group.hr) for group in groups]
    assert len(set(photos)) == len(photos)
    assert photos == sorted(photos)


def test_groups_have_a_reference_of_every_level_and_each_hr_once():
    pairs = table(complete("a"), complete("b"), incomplete("c"))
    params = BuildParams()
    groups = choose_groups(pairs, params)
    check_groups(groups, pairs, params)
    assert Counter(group.album for group in groups) == {"a": 6, "b": 6}


def test_no_more_groups_than_asked_for_spread_over_the_albums():
    pairs = table(complete("a", 20), complete("b", 20), complete("c", 20))
    groups = choose_groups(pairs, BuildParams(test_groups=8))
    assert sorted(Counter(group.album for group in groups).values()) == [2, 3, 3]


def test_small_albums_leave_their_share_to_the_others():
    pairs = table(complete("a", 5), complete("b", 20))
    groups = choose_groups(pairs, BuildParams(test_groups=18))
    assert Counter(group.album for group in groups) == {"a": 5, "b": 13}


def test_seed_decides_which_groups_the_order_of_rows_does_not():
    pairs = table(complete("a", 20))
    groups = choose_groups(pairs, BuildParams(test_groups=5, seed=1))
    assert groups != choose_groups(pairs, BuildParams(test_groups=5, seed=2))
    shuffled = pairs.sample(frac=1, random_state=1)
    assert groups == choose_groups(shuffled, BuildParams(test_groups=5, seed=1))


def test_pairs_that_complete_nothing_make_no_groups():
    assert choose_groups(table(incomplete("a")), BuildParams()) == []
    assert choose_groups(table(), BuildParams()) == []


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 12))
def test_any_grading_gives_sound_groups(seed, levels, most):
    rng = np.random.default_rng(seed)
    pairs = table(*(album_pairs(n, 6, lambda i, j: int(rng.integers(0, levels + 1))) for n in "ab"))
    params = BuildParams(levels=levels, test_groups=most, seed=seed)
    groups = choose_groups(pairs, params)
    check_groups(groups, pairs, params)
    assert len(groups) == min(most, len(complete_photos(pairs, levels)))


# Training pairs


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_training_pairs_are_the_graded_ones_levels_by_turn(seed):
    rng = np.random.default_rng(seed)
    pairs = table(*(album_pairs(n, 5, lambda i, j: int(rng.integers(0, 5))) for n in "ab"))
    ordered = order_training_pairs(pairs, BuildParams(seed=seed))
    graded = pairs[pairs["level"] > 0]
    assert sorted(ordered.itertuples(index=False)) == sorted(graded.itertuples(index=False))
    left = Counter(graded["level"])
    turn = []
    for level in ordered["level"]:
        if not turn:
            turn = sorted(level for level in left if left[level])
        assert level == turn.pop(0)
        left[level] -= 1


def test_seed_decides_the_order_of_training_pairs_the_order_of_rows_does_not():
    pairs = table(complete("a"), complete("b"))
    ordered = order_training_pairs(pairs, BuildParams(seed=1))
    shuffled = pairs.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(ordered, order_training_pairs(shuffled, BuildParams(seed=1)))
    assert not ordered.equals(order_training_pairs(pairs, BuildParams(seed=2)))


def test_no_graded_pairs_give_no_training_pairs():
    assert order_training_pairs(table([("a", "1", "2", 0, 0)]), BuildParams()).empty
