"""Who sees which pair when: even, by seed, each pair once, repeats and checks in their places."""

from collections import Counter

import pytest

from srntt_pipeline.study.design import Design, Pair, Settings
from srntt_pipeline.study.turns import Balance, next_turn, plans

FILES = [f"pictures/{number:064x}.png" for number in range(2)]


def pair(image, reference, opponent, method="SRNTT"):
    return Pair(image=image, reference=reference, method=method, opponent=opponent,
                first=FILES[0], second=FILES[1])  # fmt: skip


def design_of(images=7, opponents=3, levels=2, **settings):
    chosen = {"pairs": 12, "repeats": 4, "checks": 3, "plans": 9, "most_participants": 1000,
              "seed": 0, **settings}  # fmt: skip
    names = [f"{number:03}" for number in range(images)]
    return Design(
        format="srntt_pipeline user study 1", dataset="CUFED5", method="SRNTT",
        settings=Settings(**chosen),
        pairs=tuple(pair(i, f"L{k}", f"O{o}") for k in range(levels) for o in range(opponents)
                    for i in names),
        checks=tuple(pair(i, "none", "Bicubic", "HR") for i in names),
    )  # fmt: skip


def walk(design, key, balance):
    turns = []
    while turn := next_turn(design, key, turns, balance):
        turns.append(turn)
        if turn.kind == "pair":
            balance.add(turn.number)
    return turns


@pytest.mark.parametrize("seed", [0, 1])
def test_a_participant_sees_each_pair_once_and_repeats_later_with_sides_changed(seed):
    design = design_of(seed=seed)
    for plan in plans(design):
        kinds = Counter(turn.kind for turn in plan)
        assert kinds == {"pair": 12, "repeat": 4, "check": 3}
        assert plan[0].kind == "pair"
        numbers = [turn.number for turn in plan if turn.kind == "pair"]
        assert len(set(numbers)) == 12
        for place, turn in enumerate(plan):
            if turn.kind == "repeat":
                before = next(t for t in plan if t.kind == "pair" and t.number == turn.number)
                assert numbers.index(turn.number) < 4
                assert plan.index(before) + 4 < place
                assert turn.first_left is not before.first_left
        checks = [turn.number for turn in plan if turn.kind == "check"]
        assert len(set(checks)) == 3


def test_pairs_are_dealt_evenly_over_opponents_levels_and_images_though_some_stop_early():
    design = design_of()
    balance, shown = Balance(design), Counter()
    for person in range(40):
        stops = 3 + person % 9
        turns = []
        while len(turns) < stops and (turn := next_turn(design, f"p{person}", turns, balance)):
            turns.append(turn)
            if turn.kind == "pair":
                balance.add(turn.number)
                shown[turn.number] += 1
    for key in (
        lambda pair: (pair.opponent, pair.reference),
        lambda pair: pair.image,
        lambda pair: (pair.opponent, pair.reference, pair.image),
    ):
        counts = Counter()
        for number, one in enumerate(design.pairs):
            counts[key(one)] += shown[number]
        assert max(counts.values()) - min(counts.values()) <= 2, counts


def test_order_and_sides_are_the_seeds():
    design = design_of()
    assert plans(design) == plans(design)
    assert plans(design) != plans(design_of(seed=1))
    lefts = [turn.first_left for plan in plans(design_of(plans=60)) for turn in plan]
    assert 0.45 < sum(lefts) / len(lefts) < 0.55
    assert walk(design, "a", Balance(design)) != walk(design, "b", Balance(design))


def test_all_pairs_are_seen_where_a_participant_has_so_many_turns():
    design = design_of(images=2, opponents=2, pairs=8, repeats=2, checks=2)
    (first, *_) = plans(design)
    assert {turn.number for turn in first if turn.kind == "pair"} == set(range(8))
