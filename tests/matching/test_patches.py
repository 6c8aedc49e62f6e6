import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srntt_pipeline.matching.patches import CellNumbers, PatchNumbers, patch_at

sides = st.integers(3, 12)
shapes = st.lists(st.tuples(sides, sides), min_size=1, max_size=5)


def counted(shapes):
    """All patches, one by one in the order of the format: version, row, column."""
    return [
        (version, row, column)
        for version, (height, width) in enumerate(shapes)
        for row in range(height - 2)
        for column in range(width - 2)
    ]


@given(shapes)
def test_numbers_count_versions_then_rows_then_columns(shapes):
    expected = torch.tensor(counted(shapes)).T
    numbers = PatchNumbers(shapes)
    assert numbers.count == expected.shape[1]
    places = numbers.places(torch.arange(numbers.count))
    assert torch.equal(torch.stack(places), expected)
    assert torch.equal(numbers.numbers(*places), torch.arange(numbers.count))


def test_the_drawing_of_the_module():
    numbers = PatchNumbers([(4, 5), (5, 4)])
    assert numbers.count == 12
    assert [int(x) for x in numbers.places(torch.tensor(10))] == [1, 2, 0]
    assert int(numbers.numbers(1, 1, 1)) == 9
    assert int(numbers.numbers(0, torch.tensor(1), 2)) == 5


def test_places_keep_the_shape_of_the_numbers():
    numbers = torch.arange(24).view(4, 6).T  # not contiguous
    places = PatchNumbers([(5, 6), (8, 4)]).places(numbers)
    assert places.grid.shape == places.row.shape == places.column.shape == (6, 4)
    assert torch.equal(places.grid, (numbers >= 12).long())


def test_cells_of_grids_without_any_are_passed_over():
    numbers = CellNumbers([(0, 3), (1, 2), (2, 0), (1, 1)])
    assert numbers.count == 3
    assert numbers.places(torch.arange(3)).grid.tolist() == [1, 1, 3]
    assert CellNumbers([]).count == 0


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_a_patch_by_the_position_that_it_begins_at(kind):
    height, width = 5, 7
    positions = [row * width + column for row in range(height - 2) for column in range(width - 2)]
    found = patch_at(kind(positions), width)
    assert list(map(int, found)) == list(range((height - 2) * (width - 2)))
