import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.albums.pairs import Pairs
from srntt_pipeline.albums.selection import choose_groups, choose_test_albums, share_out
from srntt_pipeline.albums.survey import CountedAlbum, Survey
from srntt_pipeline.config import BuildParams


@dataclass(frozen=True)
class FakeAlbum(CountedAlbum):
    """An album whose pairs are given, not read."""

    given: Pairs | None = None

    def pairs(self, params):
        return self.given


def album(name, photos, level_of):
    """All ordered pairs of `photos` photos; matches tell pairs apart."""
    names = tuple(f"{i:02d}.jpg" for i in range(photos))
    matches = np.arange(photos, dtype=np.int32) + 1000 * np.arange(photos, dtype=np.int32)[:, None]
    level = np.full(matches.shape, -1, np.int8)
    for i, j in itertools.permutations(range(photos), 2):
        level[i, j] = level_of(i, j)
    return FakeAlbum(name, (), (), frozenset(), Pairs(names, matches, level))


def complete(name, photos=6):
    return album(name, photos, lambda i, j: 1 + (j - i) % photos % 4)


def incomplete(name, photos=6):
    return album(name, photos, lambda i, j: 1)


def surveyed(*albums, levels=4):
    params = BuildParams(levels=levels)
    tables = [album.pairs(params) for album in albums]
    return Survey(
        albums,
        np.array([len(table.names) for table in tables], np.int64),
        np.array([table.histogram(levels).sum(axis=1) for table in tables], np.int64),
        np.array([len(table.complete(levels)) for table in tables], np.int64),
        np.zeros((levels + 1, 1), np.int64),
        (),
    )


def chosen(survey, **params):
    is_test = choose_test_albums(survey, BuildParams(**params))
    return [album.name for album, of_test in zip(survey.albums, is_test, strict=True) if of_test]


def groups_of(survey, of_test=None, **params):
    is_test = np.ones(len(survey.albums), bool) if of_test is None else np.array(of_test)
    return choose_groups(survey, is_test, BuildParams(**params))


# Sharing out


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 60), st.lists(st.integers(0, 12), max_size=8), st.integers(0, 10**6))
def test_shares_are_as_even_as_the_stocks_allow(total, available, seed):
    order = np.random.default_rng(seed).permutation(len(available))
    shares = share_out(total, np.array(available, np.int64), order)
    assert shares.sum() == min(total, sum(available))
    assert all(0 <= share <= most for share, most in zip(shares, available, strict=True))
    # Whoever gives two less than another gives all it has: one at a time could do no better.
    for share, most in zip(shares, available, strict=True):
        assert share == most or share >= max(shares) - 1


def test_remainder_goes_to_the_first_in_order():
    assert share_out(5, np.array([9, 9, 9]), np.array([2, 0, 1])).tolist() == [2, 1, 2]
    assert share_out(5, np.array([9, 9, 1]), np.array([2, 0, 1])).tolist() == [2, 2, 1]


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 40), st.lists(st.integers(0, 9), min_size=1, max_size=6), st.data())
def test_shares_never_shrink_when_other_stocks_turn_out_smaller(total, available, data):
    """The rounds of cropping rely on it: nothing made so far is too much later."""
    before = np.array(available, np.int64)
    order = np.arange(len(before))
    shares = share_out(total, before, order)
    after = np.array(
        [data.draw(st.integers(int(s), int(b))) for s, b in zip(shares, before, strict=True)]
    )
    assert (share_out(total, after, order) >= shares).all()


# Test albums


def test_share_of_the_albums_is_for_testing():
    survey = surveyed(*(complete(f"{i:02d}") for i in range(20)))
    assert len(chosen(survey, test_albums=0.1)) == 2
    assert len(chosen(survey, test_albums=0.5)) == 10


def test_at_least_one_album_is_for_testing():
    assert len(chosen(surveyed(complete("a"), complete("b")), test_albums=0)) == 1


@pytest.mark.parametrize("albums", [1, 2, 3])
def test_never_are_all_albums_for_testing(albums):
    survey = surveyed(*(complete(f"{i}") for i in range(albums)))
    assert len(chosen(survey, test_albums=0.99)) == albums - 1


def test_no_album_is_kept_for_testing_when_no_groups_are_wanted():
    assert chosen(surveyed(complete("a"), complete("b")), test_groups=0) == []


def test_albums_that_make_no_complete_group_are_for_training():
    survey = surveyed(complete("b"), *(incomplete(name) for name in "acdef"))
    assert chosen(survey, test_albums=0.9) == ["b"]
    assert chosen(surveyed(incomplete("a"), incomplete("b"))) == []


def test_seed_decides_which_albums():
    survey = surveyed(*(complete(f"{i:02d}") for i in range(20)))
    assert len({tuple(chosen(survey, seed=seed)) for seed in range(10)}) > 3
    assert chosen(survey, seed=3) == chosen(survey, seed=3)


# Groups


def check_groups(groups, survey, params):
    matches = {}
    for album in survey.albums:
        pairs = album.pairs(params)
        for (i, hr), (j, ref) in itertools.permutations(enumerate(pairs.names), 2):
            matches[album.name, hr, ref] = (pairs.matches[i, j], pairs.level[i, j])
    for group in groups:
        assert len(group.refs) == params.levels
        for level, (ref, count) in enumerate(group.refs, start=1):
            assert matches[group.album.name, group.hr, ref] == (count, level)
    photos = [(group.album.name, group.hr) for group in groups]
    assert len(set(photos)) == len(photos)
    assert photos == sorted(photos)


def test_groups_have_a_reference_of_every_level_and_each_hr_once():
    survey = surveyed(complete("a"), complete("b"), incomplete("c"))
    groups = groups_of(survey)
    check_groups(groups, survey, BuildParams())
    assert Counter(group.album.name for group in groups) == {"a": 6, "b": 6}


def test_groups_are_of_test_albums_alone():
    survey = surveyed(complete("a"), complete("b"))
    assert {group.album.name for group in groups_of(survey, [False, True])} == {"b"}


def test_no_more_groups_than_asked_for_spread_over_the_albums():
    groups = groups_of(surveyed(*(complete(n, 20) for n in "abc")), test_groups=8)
    assert sorted(Counter(group.album.name for group in groups).values()) == [2, 3, 3]


def test_small_albums_leave_their_share_to_the_others():
    groups = groups_of(surveyed(complete("a", 5), complete("b", 20)), test_groups=18)
    assert Counter(group.album.name for group in groups) == {"a": 5, "b": 13}


def test_seed_decides_which_groups():
    survey = surveyed(complete("a", 20))
    groups = groups_of(survey, test_groups=5, seed=1)
    assert groups == groups_of(survey, test_groups=5, seed=1)
    assert groups != groups_of(survey, test_groups=5, seed=2)


def test_pairs_that_complete_nothing_make_no_groups():
    assert groups_of(surveyed(incomplete("a"))) == []
    assert groups_of(surveyed()) == []


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 12))
def test_any_grading_gives_sound_groups(seed, levels, most):
    rng = np.random.default_rng(seed)
    albums = [album(n, 6, lambda i, j: int(rng.integers(0, levels + 1))) for n in "ab"]
    survey = surveyed(*albums, levels=levels)
    params = BuildParams(levels=levels, test_groups=most, seed=seed)
    groups = choose_groups(survey, np.ones(2, bool), params)
    check_groups(groups, survey, params)
    assert len(groups) == min(most, int(survey.complete.sum()))
