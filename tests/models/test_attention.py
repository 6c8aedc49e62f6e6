"""Hard attention against loops over all patches in float64."""

import numpy as np
import pytest
import torch

from srntt_pipeline.models.attention import HardAttention

Array = np.ndarray


def patches(maps: Array, cells: int = 1) -> dict[tuple[int, int], Array]:
    """The 3×3 cells around each position, zeros beyond the border; a cell is s×s values."""
    padded = np.pad(maps, ((0, 0), (cells, cells), (cells, cells)))
    return {
        (row, column): padded[
            :, row * cells : (row + 3) * cells, column * cells : (column + 3) * cells
        ]
        for row in range(maps.shape[1] // cells)
        for column in range(maps.shape[2] // cells)
    }


def matched(query: Array, keys: list[Array]) -> tuple[Array, list[list[tuple[int, int, int]]]]:
    """The highest cosine of each patch, and which patch of which key has it first."""
    every = [((number, *place), patch) for number, key in enumerate(keys)
             for place, patch in patches(key).items()]  # fmt: skip
    _, height, width = query.shape
    score, best = np.zeros((height, width)), [[(0, 0, 0)] * width for _ in range(height)]
    for (row, column), patch in patches(query).items():
        cosines = [
            (patch * other).sum() / (np.linalg.norm(patch) * np.linalg.norm(other))
            for _, other in every
        ]
        score[row, column] = max(cosines)
        best[row][column] = every[int(np.argmax(cosines))][0]
    return score, best


def pasted(best: list[list[tuple[int, int, int]]], values: list[Array], cells: int) -> Array:
    """The patches that were found, laid over each other, over nine."""
    height, width = len(best), len(best[0])
    side = cells * (height + 2), cells * (width + 2)
    total = np.zeros((values[0].shape[0], *side))
    cut = [patches(one, cells) for one in values]
    for row in range(height):
        for column in range(width):
            number, *place = best[row][column]
            here = np.s_[:, row * cells : (row + 3) * cells, column * cells : (column + 3) * cells]
            total[here] += cut[number][tuple(place)]
    return total[:, cells:-cells, cells:-cells] / 9


@pytest.mark.parametrize("shapes", [[(5, 6)], [(4, 3), (1, 7), (6, 6)]], ids=str)
def test_each_patch_takes_its_best_match(shapes: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    query = rng.random((2, 4, 5, 4)).astype(np.float32)
    keys = [rng.random((2, 4, *shape)).astype(np.float32) for shape in shapes]
    values = {
        cells: [rng.random((2, 3, cells * h, cells * w)).astype(np.float32) for h, w in shapes]
        for cells in (1, 2, 4)
    }
    attention = HardAttention(torch.from_numpy(query), [torch.from_numpy(key) for key in keys])
    relevance = attention.relevance()
    made = {
        cells: attention.transferred([torch.from_numpy(one) for one in given], cells)
        for cells, given in values.items()
    }
    for sample in range(2):
        score, best = matched(
            query[sample].astype(np.float64), [key[sample].astype(np.float64) for key in keys]
        )
        np.testing.assert_allclose(relevance[sample, 0], score, rtol=1e-5)
        for cells, given in values.items():
            expected = pasted(best, [one[sample] for one in given], cells)
            np.testing.assert_allclose(made[cells][sample], expected, rtol=1e-5, atol=1e-6)


def test_what_is_gathered_has_a_gradient() -> None:
    """Against differences, where the matches stay what they are."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*size: int) -> torch.Tensor:
        return torch.rand(size, generator=generator, dtype=torch.float64).requires_grad_()

    query, key, value = drawn(1, 2, 3, 3), drawn(1, 2, 4, 3), drawn(1, 2, 8, 6)

    def outputs(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        attention = HardAttention(given[0], [given[1]])
        return attention.relevance(), attention.transferred([given[2]], 2)

    assert torch.autograd.gradcheck(outputs, (query, key, value), eps=1e-7, atol=1e-5)


def test_where_there_is_nothing_relevance_is_nought() -> None:
    attention = HardAttention(torch.zeros(1, 2, 3, 3), [torch.zeros(1, 2, 3, 4)])
    assert not attention.relevance().any()


def test_a_patch_that_is_no_number_takes_none() -> None:
    query = torch.rand(1, 2, 6, 6)
    query[0, 0, 0, 0] = torch.nan
    attention = HardAttention(query, [torch.rand(1, 2, 4, 4)])
    lost = attention.relevance()[0, 0].isnan()
    np.testing.assert_array_equal(lost.nonzero().tolist(), [[0, 0], [0, 1], [1, 0], [1, 1]])
    made = attention.transferred([torch.rand(1, 1, 4, 4)], 1)[0, 0].isnan()
    assert made[:3, :3].all()
    assert int(made.sum()) == 9
