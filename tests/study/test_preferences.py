"""Shares, scores and agreement against closed forms, published numbers and known preferences."""

import functools
import math

import numpy as np
import pytest
from scipy.optimize import minimize

from srntt_pipeline.study.agreement import agreement, krippendorff, participants
from srntt_pipeline.study.bradley_terry import scores
from srntt_pipeline.study.preferences import EVERY, Preferences
from srntt_pipeline.study.store import Vote
from tests.study.test_turns import design_of, plans


@functools.cache
def plans_of(count):
    design = design_of(plans=count)
    return design, plans(design)


def votes_of(count, chances, seed=0, sloppy=()):
    """Votes of `count` plans: the method is preferred to an opponent by its chance; HR always.

    Participants whose plan is in `sloppy` choose at random.
    """
    design, every = plans_of(count)
    random = np.random.default_rng(seed)
    votes = []
    for number, plan in enumerate(every):
        for position, turn in enumerate(plan):
            chance = 1.0 if turn.kind == "check" else chances[design.pairs[turn.number].opponent]
            first = bool(random.random() < (0.5 if number in sloppy else chance))
            votes.append(
                Vote(participant=f"p{number:03}", position=position, kind=turn.kind,
                     number=turn.number, first_left=turn.first_left, seconds=2.0,
                     choice="left" if first == turn.first_left else "right")
            )  # fmt: skip
    return votes


CHANCES = {"O0": 0.95, "O1": 0.8, "O2": 0.6}


def test_known_preferences_are_recovered_within_the_intervals():
    inside = dict.fromkeys(("wilson", "people", "score"), 0)
    tries = 12
    design, _ = plans_of(60)
    for seed in range(tries):
        found = Preferences(design, votes_of(60, CHANCES, seed), resamples=200, seed=0)
        for share in found.shares():
            if share.reference == EVERY and share.opponent != EVERY:
                truth = CHANCES[share.opponent]
                inside["wilson"] += share.low <= truth <= share.high
                inside["people"] += share.participants_low <= truth <= share.participants_high
                assert abs(share.share - truth) < 0.15
        logits = {name: math.log(p / (1 - p)) for name, p in CHANCES.items()}
        mean = -sum(logits.values()) / 4
        truths = {"SRNTT": -mean} | {name: -mean - logit for name, logit in logits.items()}
        for score in found.scores():
            if score.reference == EVERY:
                inside["score"] += score.low <= truths[score.method] <= score.high
    # Of 95 % intervals, 36 or 48 of them: fewer than 80 % in would be a fault.
    assert inside["wilson"] >= 0.8 * 3 * tries
    assert inside["people"] >= 0.8 * 3 * tries
    assert inside["score"] >= 0.8 * 4 * tries


def test_scores_are_those_of_the_closed_form_where_one_meets_all_others():
    wins = np.zeros((3, 3))
    wins[0, 1], wins[1, 0], wins[0, 2], wins[2, 0] = 90, 10, 40, 60
    found = scores(wins)
    assert found[0] - found[1] == pytest.approx(math.log(90.5 / 10.5))
    assert found[0] - found[2] == pytest.approx(math.log(40.5 / 60.5))
    assert found.mean() == pytest.approx(0, abs=1e-9)
    wins[1, 0] = 0  # never loses: finite all the same
    assert np.isfinite(scores(wins)).all()


def test_scores_maximise_the_likelihood_where_all_meet():
    wins = np.random.default_rng(0).integers(1, 30, (4, 4)).astype(float)
    np.fill_diagonal(wins, 0)
    given = wins + 0.5 * (1 - np.eye(4))

    def loss(s):
        return (given * np.log1p(np.exp(s[None, :] - s[:, None]))).sum()

    expected = minimize(loss, np.zeros(4), tol=1e-10).x
    np.testing.assert_allclose(scores(wins), expected - expected.mean(), atol=1e-4)
    np.testing.assert_allclose(scores(np.stack([wins, 2 * wins]))[0], scores(wins), atol=1e-8)


def test_alpha_is_that_of_krippendorffs_example():
    """Two observers, ten units, two values: 0.095 (Computing Krippendorff's Alpha, 2011, A)."""
    meg, owen = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0), (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)
    counts = [(2 - a - b, a + b) for a, b in zip(meg, owen, strict=True)]
    assert krippendorff(counts) == pytest.approx(0.095, abs=5e-4)
    assert agreement(counts) == pytest.approx(0.6)
    assert krippendorff([(3, 0), (0, 2)]) == 1
    assert krippendorff([(1, 0), (3, 0)]) is None


def test_who_fails_the_checks_is_told_and_who_repeats_is_agreed_with():
    design, _ = plans_of(30)
    people = participants(votes_of(30, dict.fromkeys(CHANCES, 1.0), sloppy={3, 4, 5}), 0.75)
    failed = {one.participant for one in people if not one.counted}
    assert failed <= {"p003", "p004", "p005"}
    assert len(failed) >= 2
    good = people[0]
    assert (good.checks_right, good.same_again, good.counted) == (1, 1, True)
    assert good.with_others == 1
    assert good.votes == design.settings.turns


def test_a_single_participant_has_no_interval_over_participants():
    design, _ = plans_of(1)
    found = Preferences(design, votes_of(1, CHANCES), resamples=100, seed=0)
    assert found.shares()[0].participants_low is None
    assert found.scores()[0].low is None
