"""How often the study's method is preferred, and Bradley-Terry scores, each with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from srntt_pipeline.evaluation.statistics import CONFIDENCE
from srntt_pipeline.seeds import generator
from srntt_pipeline.study.bradley_terry import scores
from srntt_pipeline.study.design import Design
from srntt_pipeline.study.store import Vote

EVERY = "(every)"  # opponent or level: all of them together

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """How many of `votes` prefer the method to `opponent` at the level `reference`.

    `low` to `high` is Wilson's interval (95 %), which takes votes for independent;
    `participants_low` to `participants_high` is the bootstrap's over participants, which does not.
    It is None where there is one participant.
    """

    opponent: str
    reference: str
    votes: int
    preferred: int
    share: float
    low: float
    high: float
    participants_low: float | None
    participants_high: float | None


@dataclass(frozen=True)
class Score:
    """The Bradley-Terry score of a method at a level; its interval over participants (95 %)."""

    reference: str
    method: str
    votes: int
    score: float
    low: float | None
    high: float | None


class Preferences:
    """What the votes on pairs say; repeats and checks are not among them.

    Votes of a participant hang together, so intervals over participants resample whole
    participants, `resamples` times, by `seed`.
    """

    def __init__(self, design: Design, votes: Sequence[Vote], *, resamples: int, seed: int) -> None:
        """`votes`: of those participants that count."""
        self._design = design
        pairs = [vote for vote in votes if vote.kind == "pair"]
        people = {name: i for i, name in enumerate(sorted({vote.participant for vote in pairs}))}
        self._cells = list(dict.fromkeys((pair.opponent, pair.reference) for pair in design.pairs))
        place = {cell: i for i, cell in enumerate(self._cells)}
        # By participant and cell: votes for the method, and all.
        self._first = np.zeros((len(people), len(place)))
        self._all = np.zeros((len(people), len(place)))
        for vote in pairs:
            pair = design.pairs[vote.number]
            at = people[vote.participant], place[pair.opponent, pair.reference]
            self._first[at] += vote.for_first
            self._all[at] += 1
        count = len(people)
        drawn = np.empty((0, count), np.int64)
        if count > 1:
            random = generator(seed, "participants", count)
            drawn = random.multinomial(count, np.full(count, 1 / count), size=resamples)
        self._drawn_first = drawn.astype(np.float64) @ self._first
        self._drawn_all = drawn.astype(np.float64) @ self._all

    def shares(self) -> list[Share]:
        """Return shares by level and opponent, where there are votes; of every level first."""
        found = []
        for reference in (EVERY, *self._design.references):
            for opponent in (*self._design.opponents, EVERY):
                cells = self._of(opponent, reference)
                votes = int(self._all[:, cells].sum())
                if not votes:
                    continue
                preferred = int(self._first[:, cells].sum())
                wilson = binomtest(preferred, votes).proportion_ci(CONFIDENCE, method="wilson")
                first, every = self._drawn_first[:, cells].sum(1), self._drawn_all[:, cells].sum(1)
                low, high = _interval(first[every > 0] / every[every > 0])
                found.append(
                    Share(opponent, reference, votes, preferred, preferred / votes,
                          float(wilson.low), float(wilson.high), low, high)
                )  # fmt: skip
        return found

    def scores(self) -> list[Score]:
        """Return scores by level, of every level first; a level's have mean zero."""
        found = []
        for reference in (EVERY, *self._design.references):
            cells = {opponent: self._of(opponent, reference) for opponent in self._design.opponents}
            cells = {name: own for name, own in cells.items() if self._all[:, own].sum()}
            if not cells:
                continue
            methods = [self._design.method, *cells]
            point = scores(_wins(self._first.sum(0), self._all.sum(0), list(cells.values())))
            drawn = scores(_wins(self._drawn_first, self._drawn_all, list(cells.values())))
            votes = [int(self._all[:, own].sum()) for own in cells.values()]
            for i, name in enumerate(methods):
                low, high = _interval(drawn[:, i])
                own_votes = sum(votes) if i == 0 else votes[i - 1]
                found.append(Score(reference, name, own_votes, float(point[i]), low, high))
        return found

    def _of(self, opponent: str, reference: str) -> list[int]:
        return [
            i
            for i, (own, level) in enumerate(self._cells)
            if opponent in (own, EVERY) and reference in (level, EVERY)
        ]


def _wins(first: Array, every: Array, cells: Sequence[Sequence[int]]) -> Array:
    """Return wins [..., m, m] of the method, 0, and its opponents, from votes [..., cells]."""
    wins = np.zeros((*first.shape[:-1], len(cells) + 1, len(cells) + 1))
    for i, own in enumerate(cells, 1):
        wins[..., 0, i] = first[..., own].sum(-1)
        wins[..., i, 0] = every[..., own].sum(-1) - wins[..., 0, i]
    return wins


def _interval(values: Array) -> tuple[float | None, float | None]:
    if not len(values):
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
