import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.albums.levels import level_name, levels_by_bands, levels_by_quantiles

COUNTS = st.lists(st.integers(0, 400), max_size=40)
TIED_COUNTS = st.lists(st.integers(0, 5), max_size=40)


def naive_band(count, bands):
    for level, least in enumerate(bands, start=1):
        if count >= least:
            return level
    return 0


def naive_quantile(count, counts, levels):
    """Ranked from the highest, equal ones together: the first share that the rank falls into."""
    rank = sum(other > count for other in counts)
    return next(level for level in range(1, levels + 1) if rank * levels < level * len(counts))


def test_levels_are_named_as_in_the_paper():
    assert [level_name(level) for level in (1, 4)] == ["L1", "L4"]


def test_bands_hold_their_least_count():
    counts = np.array([500, 160, 159, 80, 79, 40, 39, 20, 19, 0])
    levels = levels_by_bands(counts, (160, 80, 40, 20))
    assert levels.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 0, 0]


def test_band_from_zero_on_leaves_no_pair_without_a_level():
    assert levels_by_bands(np.array([0, 9, 10]), (10, 0)).tolist() == [2, 2, 1]


@settings(deadline=None, max_examples=100)
@given(COUNTS, st.lists(st.integers(0, 400), min_size=1, max_size=9, unique=True))
def test_bands_are_those_of_a_naive_loop(counts, bands):
    bands = sorted(bands, reverse=True)
    result = levels_by_bands(np.array(counts, np.int64), bands)
    assert result.tolist() == [naive_band(count, bands) for count in counts]


def test_quantiles_are_equal_shares_highest_first():
    counts = np.array([10, 80, 30, 60, 50, 40, 70, 20])
    assert levels_by_quantiles(counts, 4).tolist() == [4, 1, 3, 2, 2, 3, 1, 4]


def test_equal_counts_get_the_higher_level_together():
    assert levels_by_quantiles(np.array([5, 5, 5, 1]), 4).tolist() == [1, 1, 1, 4]
    assert levels_by_quantiles(np.array([7, 7, 7, 7]), 4).tolist() == [1, 1, 1, 1]


def test_no_counts_have_no_levels():
    assert levels_by_quantiles(np.array([], np.int64), 4).size == 0
    assert levels_by_bands(np.array([], np.int64), (10, 5)).size == 0


@settings(deadline=None, max_examples=100)
@given(st.one_of(COUNTS, TIED_COUNTS), st.integers(1, 9))
def test_quantiles_are_those_of_a_naive_loop(counts, levels):
    result = levels_by_quantiles(np.array(counts, np.int64), levels)
    assert result.tolist() == [naive_quantile(count, counts, levels) for count in counts]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60, unique=True), st.integers(1, 9))
def test_quantiles_of_distinct_counts_differ_in_size_by_one_at_most(counts, levels):
    sizes = np.bincount(levels_by_quantiles(np.array(counts), levels), minlength=levels + 1)[1:]
    assert sizes.max() - sizes.min() <= 1


@settings(deadline=None, max_examples=50)
@given(TIED_COUNTS, st.integers(1, 9))
def test_more_matches_never_mean_a_lower_level(counts, levels):
    result = levels_by_quantiles(np.array(counts, np.int64), levels)
    ordered = [level for _, level in sorted(zip(counts, result.tolist(), strict=True))]
    assert ordered == sorted(ordered, reverse=True)
