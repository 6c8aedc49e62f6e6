import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, bootstrap, wilcoxon

from srntt_pipeline.evaluation.statistics import compare, corrected, interval


def sample(seed, count=40):
    return 26 + 3 * np.random.default_rng(seed).gamma(2, size=count)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_that_of_scipys_bootstrap(seed):
    values = sample(seed)
    expected = bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    # Both are drawn: the ends scatter by some hundredths of the width.
    width = expected.high - expected.low
    assert interval(values) == pytest.approx(expected, abs=0.05 * width)


def test_the_interval_of_two_kinds_of_values_is_that_of_the_binomial():
    """Of 0, 0, 0, 0, 1, 1, 1, 1 a resample has as many ones as eight throws of a coin."""
    found = interval([0.0] * 4 + [1.0] * 4)
    assert found == pytest.approx([binom.ppf(q, 8, 0.5) / 8 for q in (0.025, 0.975)])


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    found = [interval(rng.normal(7, 2, 50)) for _ in range(300)]
    assert 0.89 < np.mean([low < 7 < high for low, high in found]) < 0.98


def test_equal_values_have_equal_intervals_every_time():
    assert interval(sample(1)) == interval(sample(1))
    assert interval(sample(1)) != interval(sample(2))


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 4.0, 5.0, 6.0, 7.0], [3.0] * 6 + [math.inf]])
def test_too_few_or_infinite_values_have_no_interval(values):
    assert interval(values) is None


def wilcoxon_by_enumeration(differences):
    """Two-sided p of the signed-rank sum: its share among all 2^n signs of the ranks."""
    ranks = np.abs(differences).argsort().argsort() + 1
    found = ranks[differences > 0].sum()
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product([0, 1], repeat=len(ranks))
    ]
    less = np.mean([total <= found for total in sums])
    more = np.mean([total >= found for total in sums])
    return min(1, 2 * min(less, more))


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0])
def test_p_is_that_of_all_signs_of_the_ranks(shift):
    theirs = sample(3, 9)
    ours = theirs + shift + np.random.default_rng(4).normal(0, 1, 9)
    found = compare(ours, theirs)
    assert found.images == 9
    assert found.difference == pytest.approx(np.mean(ours - theirs))
    assert found.p == pytest.approx(wilcoxon_by_enumeration(ours - theirs))
    assert (found.low, found.high) == interval(ours - theirs)


def test_p_of_many_or_tied_images_is_near_the_exact_one():
    theirs = sample(10, 60)
    ours = theirs + 0.4 + np.random.default_rng(11).normal(0, 1, 60)
    assert compare(ours, theirs).p == pytest.approx(
        wilcoxon(ours - theirs, method="exact").pvalue, rel=0.1
    )
    tied = np.array([0, 1, 1, 2, -1, 2, 3, 1, 0, 2.0])
    assert 0.01 < compare(tied, np.zeros(10)).p < 0.05


def test_pairs_are_compared_not_means():
    """Images differ by far more than the methods do: only pairs show it."""
    theirs = sample(6)
    better = compare(theirs + 0.05 + np.random.default_rng(7).normal(0, 0.05, 40), theirs)
    assert better.differ is True
    assert better.p < 0.001
    low, high = interval(theirs)
    assert high - low > 10 * better.difference


def test_what_differs_by_chance_only_does_not_differ():
    noise = np.random.default_rng(8).normal(0, 1, 40)
    found = compare(sample(9), sample(9) + noise - noise.mean())
    assert found.differ is False
    assert found.p > 0.05


def test_two_images_tell_nothing():
    """With p = 0.5, and the range of the two values for an interval, they once "differed"."""
    found = compare([20.5, 21.4], [20.0, 21.0])
    assert found.difference == pytest.approx(0.45)
    assert (found.low, found.high, found.p, found.differ) == (None, None, None, None)


def test_no_verdict_is_one_that_p_disagrees_with():
    """An interval that leaves out zero, beside ranks that do not."""
    found = compare([5.0, 6.0, 7.0, 8.0, -0.1, -0.2, -0.3], [0.0] * 7)
    assert found.low > 0
    assert found.p > 0.05
    assert found.differ is False


def test_p_is_corrected_for_the_number_of_comparisons():
    """As Benjamini and Hochberg have it: p · n / rank, and never above that of the next rank."""
    assert corrected([0.01, None, 0.04, 0.03, 0.9]) == pytest.approx(
        [0.04, None, 0.16 / 3, 0.16 / 3, 0.9]
    )
    assert corrected([]) == []
    assert corrected([None]) == [None]


def test_equal_numbers_have_no_p():
    found = compare([20.0, 21.0] * 3, [20.0, 21.0] * 3)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, None)
    assert found.differ is False


def test_infinite_numbers_are_left_out(recwarn):
    found = compare([math.inf, 21.0, math.inf], [math.inf, 20.0, 30.0])
    assert (found.images, found.difference, found.differ) == (1, 1.0, None)
    assert compare([math.inf], [20.0]).images == 0
    assert not recwarn
