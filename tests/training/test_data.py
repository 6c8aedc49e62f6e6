from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import TrainPair
from srntt_pipeline.training.data import Patches, StepSampler, map_deviations
from srntt_pipeline.views import AS_IT_IS, View, turned
from tests.naive_views import naive

some = settings(max_examples=60, deadline=None)
counts, batches, seeds = st.integers(1, 12), st.integers(1, 9), st.integers(0, 1000)
LAYERS = {"relu3_1": 1, "relu2_1": 2, "relu1_1": 4}  # size by LR's


@some
@given(counts, batches, seeds)
def test_every_pair_once_an_epoch(pairs: int, batch_size: int, seed: int) -> None:
    drawn = [draw for batch in StepSampler(pairs, batch_size, 0, 4 * pairs, seed) for draw in batch]
    assert len(drawn) == 4 * pairs * batch_size
    assert [draw[:2] for draw in drawn] == [
        (step, place) for step in range(4 * pairs) for place in range(batch_size)
    ]
    visited = [draw[2] for draw in drawn]
    for start in range(0, len(visited), pairs):
        assert sorted(visited[start : start + pairs]) == list(range(pairs))


@some
@given(counts, batches, seeds, st.integers(0, 30), st.integers(0, 30))
def test_starts_where_another_run_stopped(
    pairs: int, batch_size: int, seed: int, start: int, more: int
) -> None:
    stop = start + more
    whole = list(StepSampler(pairs, batch_size, 0, stop, seed))
    rest = StepSampler(pairs, batch_size, start, stop, seed)
    assert len(rest) == more
    assert list(rest) == whole[start:]
    assert list(rest) == whole[start:]  # and again


def test_epochs_and_seeds_differ_in_order() -> None:
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        ((*batch,),) = StepSampler(20, 20, epoch, epoch + 1, seed)
        return tuple(index for _, _, index in batch)

    assert len({order(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


class Places:
    """Pairs whose every value tells the LR pixel it lies on: 1000·row + column."""

    def __init__(self, height: int, width: int) -> None:
        self.size = height, width
        self.pairs = [TrainPair(str(n), Path(f"{n}.png"), Path("ref.png")) for n in range(3)]

    def __len__(self) -> int:
        return 3

    def map(self, channels: int, scale: int) -> Tensor:
        rows, columns = (torch.arange(size).float() for size in self.size)
        places = 1000 * rows[:, None] + columns
        return places.repeat_interleave(scale, 0).repeat_interleave(scale, 1).repeat(channels, 1, 1)

    def lr_hr(self, index: int, view: View = AS_IT_IS) -> tuple[Tensor, Tensor]:
        return turned(self.map(3, 1), view.way), turned(self.map(3, 4), view.way)

    def seen(self, index: int, view: View) -> dict:
        lr, hr = self.lr_hr(index, view)
        maps = {layer: turned(self.map(2, scale), view.way) for layer, scale in LAYERS.items()}
        weight = turned(self.map(1, 1), view.way)
        return {"name": "", "lr": lr, "hr": hr, "maps": maps, "weight": weight}

    def __getitem__(self, index: int) -> dict:
        return self.seen(index, AS_IT_IS)


@some
@given(st.integers(4, 30), st.integers(0, 9), st.integers(0, 9), st.integers(0, 1000))
def test_patches_are_cut_at_the_same_place(side: int, more: int, wider: int, step: int) -> None:
    height, width = side + more, side + wider
    cut = Patches(Places(height, width), 4 * side, seed=0, inputs="maps")[step, 1, 2]
    assert set(cut) == {"lr", "hr", "weight", *LAYERS}
    first = int(cut["lr"].flatten()[0])
    top, left = first // 1000, first % 1000
    assert top + side <= height
    assert left + side <= width
    expected = Places(height, width).map(1, 1)[0, top : top + side, left : left + side]
    for name, scale in {"lr": 1, "hr": 4, "weight": 1, **LAYERS}.items():
        assert cut[name].shape[1:] == (side * scale, side * scale)
        for channel in cut[name]:
            assert torch.equal(
                channel, expected.repeat_interleave(scale, 0).repeat_interleave(scale, 1)
            )
    plain = Patches(Places(height, width), 4 * side, seed=0, inputs="lr")[step, 1, 2]
    assert set(plain) == {"lr", "hr"}
    assert torch.equal(plain["lr"], cut["lr"])
    assert torch.equal(plain["hr"], cut["hr"])


def test_places_depend_on_seed_step_and_place_alone() -> None:
    def place(seed: int, step: int, number: int, pair: int = 0) -> int:
        patches = Patches(Places(40, 40), 16, seed, inputs="lr")
        return int(patches[step, number, pair]["lr"][0, 0, 0])

    assert place(0, 5, 1) == place(0, 5, 1) == place(0, 5, 1, pair=2)
    places = Counter(place(s, t, n) for s in range(3) for t in range(3) for n in range(3))
    assert len(places) > 20


def test_every_place_is_drawn() -> None:
    patches = Patches(Places(4, 5), 12, seed=0, inputs="lr")
    places = {int(patches[step, 0, 0]["lr"][0, 0, 0]) for step in range(200)}
    assert places == {0, 1, 2, 1000, 1001, 1002}


@pytest.mark.parametrize("size", [(8, 7), (7, 20)])
@pytest.mark.parametrize("inputs", ["lr", "maps"])
def test_a_pair_smaller_than_the_patch_is_named(size: tuple[int, int], inputs: str) -> None:
    patches = Patches(Places(*size), 32, 0, inputs)
    with pytest.raises(InputError, match=r"2\.png is smaller than patch_px = 32"):
        patches[0, 0, 2]


def as_numpy_turns_and_flips(values: Tensor, way: int) -> np.ndarray:
    """One of the eight ways, of [C, H, W]."""
    return naive(values.numpy().transpose(1, 2, 0), way).transpose(2, 0, 1)


def test_augmented_patches_are_plain_ones_turned_and_flipped_all_alike() -> None:
    pairs = Places(9, 11)
    plain, augmented = (Patches(pairs, 20, 3, "maps", augment) for augment in (False, True))
    ways = Counter()
    for step in range(60):
        before, after = plain[step, 0, 1], augmented[step, 0, 1]
        fitting = [
            way
            for way in range(8)
            if np.array_equal(as_numpy_turns_and_flips(before["hr"], way), after["hr"])
        ]
        assert len(fitting) == 1
        for name, tensor in after.items():
            assert np.array_equal(as_numpy_turns_and_flips(before[name], fitting[0]), tensor), name
        ways[fitting[0]] += 1
    assert set(ways) == set(range(8))


def test_augmentation_depends_on_seed_step_and_place_alone() -> None:
    def patch(seed: int, step: int, place: int, inputs: str = "lr") -> bytes:
        patches = Patches(Places(30, 30), 16, seed, inputs, augment=True)
        return patches[step, place, 0]["hr"].numpy().tobytes()

    assert patch(0, 5, 1) == patch(0, 5, 1) == patch(0, 5, 1, inputs="maps")
    assert len({patch(s, t, n) for s in range(2) for t in range(3) for n in range(3)}) > 12


class Views(Places):
    """Pairs that tell which view they are asked for in."""

    def __init__(self) -> None:
        super().__init__(9, 9)
        self.asked: list[View] = []

    def lr_hr(self, index: int, view: View = AS_IT_IS) -> tuple[Tensor, Tensor]:
        self.asked.append(view)
        return super().lr_hr(index, view)


def test_colours_depend_on_seed_step_and_place_alone() -> None:
    def asked(seed: int, inputs: str, augment: bool = False) -> list[View]:
        pairs = Views()
        patches = Patches(pairs, 16, seed, inputs, augment, colour=0.25)
        for draw in ((0, 0, 0), (0, 1, 1), (1, 0, 0), (0, 0, 2)):
            patches[draw]
        return pairs.asked

    first, second, third, again = asked(0, "lr")
    assert first == again
    assert len({first, second, third}) == 3
    assert asked(0, "maps") == [first, second, third, again]
    assert first not in asked(1, "lr")
    assert all(view.way == 0 and view.colour for view in (first, second, third))
    assert len({view.way for seed in range(9) for view in asked(seed, "lr", augment=True)}) > 4
    pairs = Views()
    Patches(pairs, 16, 0, "lr")[0, 0, 0]
    assert pairs.asked == [AS_IT_IS]


class Spoilt(Places):
    """Pairs with one value that is no number."""

    def __init__(self, name: str, value: float) -> None:
        super().__init__(4, 4)
        self.name, self.value = name, value

    def seen(self, index: int, view: View) -> dict:
        pair = super().seen(index, view)
        tensor = pair["maps"].get(self.name, pair.get(self.name))
        tensor[0, 0, 0] = self.value
        return pair


@pytest.mark.parametrize("name", ["weight", *LAYERS])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_maps_that_are_no_numbers_are_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"2\.png: {name} of this pair holds NaN or infinity"):
        Patches(Spoilt(name, value), 16, 0, inputs="maps")[0, 0, 2]
    if name != "weight":
        with pytest.raises(InputError, match=rf"maps hold NaN or infinity on {name}"):
            map_deviations(Spoilt(name, value), 3)
    assert Patches(Spoilt(name, 3e38), 16, 0, inputs="maps")[0, 0, 2]["lr"].isfinite().all()


@pytest.mark.parametrize("inputs", ["lr", "maps"])
def test_length(inputs: str) -> None:
    assert len(Patches(Places(4, 4), 16, 0, inputs)) == 3
