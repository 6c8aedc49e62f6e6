"""How far participants agree: with each other, and with themselves when a pair comes again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from srntt_pipeline.study.store import Vote


@dataclass(frozen=True)
class Participant:
    """What one participant did. Shares are None where there was nothing to share.

    `checks_right`: of the checks, in which HR is right; `same_again`: of the repeats, in which the
    same picture was chosen; `with_others`: of the pairs, in which the others' majority chose the
    same; `counted`: whether the report counts the votes.
    """

    participant: str
    votes: int
    checks: int
    checks_right: float | None
    repeats: int
    same_again: float | None
    with_others: float | None
    left: float
    seconds: float
    counted: bool


def participants(votes: Sequence[Vote], least_right: float) -> list[Participant]:
    """Return what each participant did, by name.

    Counted is who has at least the share `least_right` of the checks right, or saw none.
    """
    own: dict[str, list[Vote]] = {}
    totals: dict[int, list[int]] = {}  # of each pair: votes, and those for its first picture
    for vote in votes:
        own.setdefault(vote.participant, []).append(vote)
        if vote.kind == "pair":
            total = totals.setdefault(vote.number, [0, 0])
            total[0] += 1
            total[1] += vote.for_first
    return [_participant(name, own[name], totals, least_right) for name in sorted(own)]


def _participant(
    name: str, votes: Sequence[Vote], totals: Mapping[int, Sequence[int]], least_right: float
) -> Participant:
    checks = [vote.for_first for vote in votes if vote.kind == "check"]
    pairs = {vote.number: vote.for_first for vote in votes if vote.kind == "pair"}
    repeats = [pairs.get(vote.number) == vote.for_first for vote in votes if vote.kind == "repeat"]
    with_others = []
    for number, for_first in pairs.items():
        others, their_first = totals[number][0] - 1, totals[number][1] - for_first
        if 2 * their_first != others:  # there is a majority
            with_others.append((2 * their_first > others) == for_first)
    right = _share(checks)
    return Participant(
        name, len(votes), len(checks), right, len(repeats), _share(repeats), _share(with_others),
        sum(vote.choice == "left" for vote in votes) / len(votes),
        median(vote.seconds for vote in votes), right is None or right >= least_right,
    )  # fmt: skip


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None


def krippendorff(counts: Iterable[tuple[int, int]]) -> float | None:
    """Return Krippendorff's alpha of votes with two outcomes: 1 is agreement, 0 is chance.

    `counts`: of each pair of pictures, how often its first was chosen and how often its second;
    pairs with one vote say nothing. None where no pair has two, or all votes are alike. (Content
    Analysis, 2004, chapter 11, for nominal data.)
    """
    units = [(a, b) for a, b in counts if a + b >= 2]
    first, second = (sum(unit[i] for unit in units) for i in (0, 1))
    if not first or not second:
        return None
    observed = sum(2 * a * b / (a + b - 1) for a, b in units)
    expected = 2 * first * second / (first + second - 1)
    return 1 - observed / expected


def agreement(counts: Iterable[tuple[int, int]]) -> float | None:
    """Return the share of pairs of votes on the same pair of pictures that agree; None for none."""
    units = [(a, b) for a, b in counts if a + b >= 2]
    pairs = sum((a + b) * (a + b - 1) for a, b in units)
    same = sum(a * (a - 1) + b * (b - 1) for a, b in units)
    return same / pairs if pairs else None
