"""Who sees which pair when: even over opponents, levels and images; order and side by seed.

A participant's turns are pairs, each seen once; repeats, which show one of the first third of
these pairs again in the last third, sides changed; and checks, HR against bicubic, whose answer is
known. Which turns are repeats and checks, and the sides, depend on the seed and the participant
alone. Which pair comes next is chosen from what others have been shown: so it is even, whoever
stops early. (How pairs were dealt out the paper does not say: this is our choice.)
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from srntt_pipeline.seeds import generator
from srntt_pipeline.study.design import Design, Kind, Settings


@dataclass(frozen=True)
class Turn:
    """What a participant is shown: a pair (or check) by number; whether `first` is on the left."""

    kind: Kind
    number: int
    first_left: bool

    def files(self, design: Design) -> tuple[str, str]:
        """Return the left and the right picture's file."""
        pair = design.pair(self.kind, self.number)
        return (pair.first, pair.second) if self.first_left else (pair.second, pair.first)


@dataclass(frozen=True)
class _Slot:
    kind: Kind
    of: int  # which of the participant's pairs, or of the study's checks
    first_left: bool


class Balance:
    """How often each pair was shown, and which is due."""

    def __init__(self, design: Design, shown: Counter[int] | None = None) -> None:
        """`shown`: how often each pair, by its number."""
        self._pairs = design.pairs
        self._by_cell: dict[tuple[str, str], list[int]] = {}
        for number, pair in enumerate(design.pairs):
            self._by_cell.setdefault((pair.opponent, pair.reference), []).append(number)
        self._of: Counter[int] = Counter()
        self._of_cell: Counter[tuple[str, str]] = Counter()
        self._of_image: Counter[str] = Counter()
        for number, times in (shown or {}).items():
            self.add(number, times)

    def add(self, number: int, times: int = 1) -> None:
        """Count a pair as shown; -1 takes one back."""
        pair = self._pairs[number]
        self._of[number] += times
        self._of_cell[pair.opponent, pair.reference] += times
        self._of_image[pair.image] += times

    def due(self, seen: Collection[int], random: np.random.Generator) -> int:
        """Return the pair that is due: of the opponent and level that were shown least, the image.

        Among images, that which was shown least there, then least at all. `random` decides between
        equals; pairs in `seen` are left out.
        """
        left = {cell: [number for number in numbers if number not in seen]
                for cell, numbers in self._by_cell.items()}  # fmt: skip
        cells = [cell for cell, numbers in left.items() if numbers]
        ranks = random.permutation(len(cells))
        place = min(range(len(cells)), key=lambda i: (self._of_cell[cells[i]], ranks[i]))
        numbers = left[cells[place]]
        ranks = random.permutation(len(numbers))

        def rank(i: int) -> tuple[int, int, int]:
            number = numbers[i]
            return self._of[number], self._of_image[self._pairs[number].image], int(ranks[i])

        return numbers[min(range(len(numbers)), key=rank)]


def next_turn(design: Design, key: str, before: Sequence[Turn], balance: Balance) -> Turn | None:
    """Return the turn after `before` of the participant `key`; None where there is none left."""
    slots = _slots(design, key)
    if len(before) == len(slots):
        return None
    slot = slots[len(before)]
    if slot.kind == "check":
        return Turn("check", slot.of, slot.first_left)
    pairs = [turn for turn in before if turn.kind == "pair"]
    if slot.kind == "repeat":
        again = pairs[slot.of]
        return replace(again, kind="repeat", first_left=not again.first_left)
    random = generator(design.settings.seed, "pair", key, len(before))
    return Turn("pair", balance.due({turn.number for turn in pairs}, random), slot.first_left)


def plans(design: Design) -> list[list[Turn]]:
    """Return the turns of the static page, one list a plan, even over all plans."""
    balance = Balance(design)
    return [_plan(design, f"plan {number}", balance) for number in range(design.settings.plans)]


def _plan(design: Design, key: str, balance: Balance) -> list[Turn]:
    turns: list[Turn] = []
    while turn := next_turn(design, key, turns, balance):
        turns.append(turn)
        if turn.kind == "pair":
            balance.add(turn.number)
    return turns


def _slots(design: Design, key: str) -> list[_Slot]:
    """Return what kind each turn of a participant is, in order. The first is a pair."""
    settings: Settings = design.settings
    random = generator(settings.seed, "slots", key)
    count, third = settings.pairs, settings.pairs // 3
    places: list[tuple[float, Kind, int]] = [(n, "pair", n) for n in range(count)]
    for of in random.choice(third, settings.repeats, replace=False) if settings.repeats else ():
        places.append((float(random.uniform(count - third, count)), "repeat", int(of)))
    for of in random.permutation(len(design.checks))[: settings.checks]:
        places.append((float(random.uniform(0, count)), "check", int(of)))
    places.sort()
    lefts = random.integers(0, 2, len(places))
    return [_Slot(kind, of, bool(left)) for (_, kind, of), left in zip(places, lefts, strict=True)]
