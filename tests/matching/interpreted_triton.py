"""Tests of `triton_search` for Triton's interpreter: `test_triton_search` runs them with it on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from srntt_pipeline.matching import torch_search, triton_search

sides = st.integers(3, 9)
shapes = st.tuples(sides, sides)
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=6, deadline=None)
ROOM = 1 << 24


@pytest.fixture(autouse=True, scope="module")
def small_tiles() -> None:
    """Tiles so small that maps of a few positions have several, and parts of Ref."""
    triton_search._TILE_ROWS, triton_search._TILE_COLUMNS = 8, 4
    triton_search._BLOCK = triton_search._DEPTH = 16


def features(seed: int, shape: tuple[int, int], channels: int) -> Tensor:
    values = np.random.default_rng(seed).normal(0.3, 1, (channels, *shape)).clip(0)
    return torch.from_numpy(values.astype(np.float32))


def whole_numbers(seed: int, shape: tuple[int, int]) -> Tensor:
    """A map of few values, so that patches repeat and every sum is exact."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 2, (1, *shape))).float()


def weights(seed: int, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Factors that are powers of two, and penalties that rule out a third of the patches."""
    rng = np.random.default_rng(seed)
    size = shape[0] - 2, shape[1] - 2
    ruled_out = rng.random(size) < 1 / 3
    ruled_out[rng.integers(size[0]), rng.integers(size[1])] = False
    penalties = torch.zeros(size).masked_fill_(torch.from_numpy(ruled_out), -torch.inf)
    return torch.from_numpy(2.0 ** rng.integers(-2, 1, size)).float(), penalties


def naive(lr: Tensor, ref: Tensor, factors: Tensor, penalties: Tensor) -> Tensor:
    """Scores of all pairs of patches, float64 [LR patches, Ref patches], from whole patches."""
    columns = [torch.nn.functional.unfold(maps.double()[None], 3)[0] for maps in (lr, ref)]
    return columns[0].T @ columns[1] * factors.flatten() + penalties.flatten()


def assert_best(found: tuple[Tensor, Tensor], scores: Tensor, tolerance: float) -> None:
    best = scores.max(1).values
    chosen = scores.gather(1, found[1].view(-1, 1))[:, 0]
    torch.testing.assert_close(found[0].double().flatten(), best, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(chosen, best, rtol=tolerance, atol=tolerance)


def plain(lr: Tensor, ref: Tensor, factors: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
    """Score and index of the best match, [h-2, w-2] each, in plain PyTorch."""
    score, index = torch_search.best_in(lr, ref, factors, penalties, ROOM, "float32")
    assert len(score) == len(index) == 1
    return score[0], index[0]


@few
@given(seeds, shapes, shapes, st.integers(1, 20))
def test_naive_product(
    seed: int, lr_shape: tuple[int, int], ref_shape: tuple[int, int], channels: int
) -> None:
    lr, ref = features(seed, lr_shape, channels), features(seed + 1, ref_shape, channels)
    found = triton_search.best_in(lr, ref, *weights(seed, ref_shape), ROOM)
    assert found[0].shape == found[1].shape == (lr_shape[0] - 2, lr_shape[1] - 2)
    assert found[1].dtype == torch.int64
    assert_best(found, naive(lr, ref, *weights(seed, ref_shape)), 1e-5)


@few
@given(seeds, shapes, shapes)
def test_ties_go_where_plain_pytorch_puts_them(
    seed: int, lr_shape: tuple[int, int], ref_shape: tuple[int, int]
) -> None:
    maps = whole_numbers(seed, lr_shape), whole_numbers(seed + 1, ref_shape)
    score, index = plain(*maps, *weights(seed, ref_shape))
    found_score, found = triton_search.best_in(*maps, *weights(seed, ref_shape), ROOM)
    assert torch.equal(found, index)
    assert torch.equal(found_score, score)


def test_float16_inputs_are_summed_in_float32() -> None:
    """Of float16 alone: Triton's interpreter multiplies the bits of bfloat16 as integers."""
    lr, ref = features(0, (9, 7), 20).half(), features(1, (8, 12), 20).half()
    found = triton_search.best_in(lr, ref, *weights(0, (8, 12)), ROOM)
    assert found[0].dtype == torch.float32
    assert_best(found, naive(lr, ref, *weights(0, (8, 12))), 1e-5)


@pytest.mark.parametrize(("parts", "programs"), [(1, 1), (2, 3), (7, 1000)])
def test_splitting_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, parts: int, programs: int
) -> None:
    maps = whole_numbers(2, (9, 6)), whole_numbers(3, (12, 10))
    expected = plain(*maps, *weights(2, (12, 10)))
    monkeypatch.setattr(triton_search, "_choose_parts", lambda *_: parts)
    monkeypatch.setattr(triton_search, "_multiprocessors", lambda device: programs)
    found = triton_search.best_in(*maps, *weights(2, (12, 10)), ROOM)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_torch_search_scales_float16_for_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of these values are beyond float16; scores are those of float32 all the same."""
    monkeypatch.setattr(triton_search, "available", lambda device: True)
    lr, ref = 1000 * features(8, (7, 6), 20), 1000 * features(9, (6, 8), 20)
    more = weights(8, (6, 8))
    exact = torch_search.best_in(lr, ref, *more, ROOM, "float32")
    assert_best(exact, naive(lr, ref, *more), 1e-5)
    score, _ = torch_search.best_in(lr, ref, *more, ROOM, "float16")
    torch.testing.assert_close(score, exact[0], rtol=2e-3, atol=0)
    assert not torch.equal(score, exact[0])


def test_full_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_TILE_ROWS", 16), ("_TILE_COLUMNS", 8), ("_BLOCK", 64), ("_DEPTH", 32)):
        monkeypatch.setattr(triton_search, name, value)
    lr, ref = features(4, (17, 9), 40), features(5, (14, 21), 40)
    found = triton_search.best_in(lr, ref, *weights(4, (14, 21)), ROOM)
    assert_best(found, naive(lr, ref, *weights(4, (14, 21))), 1e-5)


def test_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """With just enough room for one program the answer is the same; with less a line tells."""
    maps = whole_numbers(6, (9, 7)), whole_numbers(7, (12, 5))
    more = weights(6, (12, 5))
    with pytest.raises(ValueError, match=r"max_memory is \d+ bytes too small") as error:
        triton_search.best_in(*maps, *more, 0)
    needed = int(str(error.value).split()[2])
    with pytest.raises(ValueError, match="max_memory is 1 bytes too small"):
        triton_search.best_in(*maps, *more, needed - 1)
    taken: list[int] = []
    new_empty = Tensor.new_empty

    def counted(self: Tensor, *sizes: int, **options: object) -> Tensor:
        made = new_empty(self, *sizes, **options)  # type: ignore[arg-type]
        taken.append(made.nbytes)
        return made

    monkeypatch.setattr(Tensor, "new_empty", counted)
    for room in (needed, 2 * needed, ROOM):
        taken.clear()
        found = triton_search.best_in(*maps, *more, room)
        assert 0 < sum(taken) <= room
        expected = plain(*maps, *more)
        assert torch.equal(found[1], expected[1])
