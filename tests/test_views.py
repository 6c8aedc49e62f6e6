"""Turned, flipped and recoloured, against transposition, reversal and formulas in float64."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srntt_pipeline.views import (
    AS_IT_IS,
    WAYS,
    Colour,
    View,
    draw_view,
    turned,
    turned_corner,
    turned_image,
    turned_size,
)
from tests.naive_views import naive


@pytest.mark.parametrize("way", range(WAYS))
def test_the_eight_ways(way: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    expected = naive(image, way)
    found = turned_image(image, way)
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous
    assert turned_size(5, 7, way) == expected.shape[:2]
    assert turned_size(*expected.shape[:2], way) == (5, 7)
    as_maps = turned(torch.from_numpy(image).permute(2, 0, 1), way)
    np.testing.assert_array_equal(as_maps.permute(1, 2, 0), expected)
    np.testing.assert_array_equal(View(way).of(image), expected)


def test_they_all_differ() -> None:
    square = np.arange(9, dtype=np.uint8).reshape(3, 3, 1).repeat(3, 2)
    assert len({turned_image(square, way).tobytes() for way in range(WAYS)}) == 8
    assert np.array_equal(AS_IT_IS.of(square), square)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 7), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9), st.data())
def test_a_box_lies_where_its_pixels_lie(
    way: int, side: int, more: int, wider: int, data: st.DataObject
) -> None:
    height, width = side + more, side + wider
    row, column = (data.draw(st.integers(0, most)) for most in (more, wider))
    marked = np.zeros((height, width), np.bool_)
    marked[row : row + side, column : column + side] = True
    top, left = turned_corner(row, column, height, width, side, way)
    assert (top, left) == tuple(np.argwhere(naive(marked, way)).min(0))


def by_formula(image: np.ndarray, colour: Colour) -> np.ndarray:
    """Brightness, gamma and saturation in float64, as torchvision documents them."""
    values = np.minimum(image / 255 * colour.brightness, 1) ** colour.gamma
    grey = values @ [0.2989, 0.587, 0.114]
    values = colour.saturation * values + (1 - colour.saturation) * grey[..., None]
    return np.rint(values.clip(0, 1) * 255)


@pytest.mark.parametrize("factors", [(1.3, 1, 1), (1, 0.6, 1), (1, 1, 1.4), (0.7, 1.5, 0.5)])
def test_colours_are_those_of_the_formulas(factors: tuple[float, float, float]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    colour = Colour(*factors)
    found = View(3, colour).of(image)
    assert found.dtype == np.uint8
    error = np.abs(found - naive(by_formula(image, colour), 3))
    assert error.max() <= 1
    assert error.mean() < 0.02  # what lies between two values
    np.testing.assert_array_equal(found, turned_image(View(0, colour).recoloured(image), 3))
    # A pixel's colour depends on it alone, so HR, LR and references are recoloured alike.
    part = View(0, colour).recoloured(image[2:5, 3:9])
    np.testing.assert_array_equal(part, View(0, colour).recoloured(image)[2:5, 3:9])


def test_factors_of_one_change_nothing() -> None:
    image = np.random.default_rng(2).integers(0, 256, (16, 16, 3), np.uint8)
    np.testing.assert_array_equal(View(0, Colour(1, 1, 1)).of(image), image)
    np.testing.assert_array_equal(View().recoloured(image), image)


def test_views_are_drawn_from_the_generator_alone() -> None:
    def drawn(seed: int, turn: bool, colour: float) -> View:
        return draw_view(np.random.default_rng(seed), turn=turn, colour=colour)

    assert drawn(5, False, 0) == AS_IT_IS
    assert drawn(5, True, 0.2) == drawn(5, True, 0.2)
    assert set(Counter(drawn(seed, True, 0).way for seed in range(100))) == set(range(8))
    for seed in range(50):
        view = drawn(seed, False, 0.2)
        assert view.way == 0
        assert view.colour is not None
        assert all(0.8 <= factor <= 1.2 for factor in view.colour)
        assert len(set(view.colour)) == 3


def test_made_smaller_by_pillows_bicubic_to_multiples_of_4() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    for view, size in (
        (View(scale=0.5), (20, 32)),  # 30 rounds to 32
        (View(scale=0.5, least_px=32), (32, 48)),
        (View(scale=1), (40, 60)),
        (View(scale=0.2, least_px=64), (40, 60)),  # never larger
    ):
        expected = Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(view.of(image), np.asarray(expected))
    turned_too = View(way=2, scale=0.5).of(image)
    np.testing.assert_array_equal(turned_too, np.rot90(View(scale=0.5).of(image)))


def test_scales_are_drawn_where_asked_for() -> None:
    rng = np.random.default_rng(0)
    views = [draw_view(rng, turn=False, colour=0, least_scale=0.5, least_px=8) for _ in range(200)]
    scales = [view.scale for view in views]
    assert 0.5 <= min(scales) < 0.53
    assert 0.97 < max(scales) <= 1
    assert {view.least_px for view in views} == {8}
    assert draw_view(rng, turn=False, colour=0, least_px=8) == AS_IT_IS
