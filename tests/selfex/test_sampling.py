"""A match's map and cost, against matrices in float64 and OpenCV."""

import cv2
import naive_selfex as naive
import numpy as np
import pytest
import skimage.data

from srntt_pipeline.selfex.sampling import (
    cost_of,
    place,
    source_level,
    source_scale,
    transform,
    within,
)

PLACES = np.empty((2, 25), np.float32)
# Where, and the match: source x and y, scale, rotation, shears.
MATCHES = [
    (20, 15, (20, 15, 1.26, 0, 0, 0)),
    (20, 15, (31.3, 12.6, 1.7, 0.4, 0.05, -0.03)),
    (9, 33, (24.5, 20.25, 2.6, -0.7, -0.02, 0.04)),
    (0, 0, (3.5, 2.5, 5.5, 0.2, 0, 0.05)),
    (49, 39, (46.0, 38.0, 1.1, -0.3, 0.01, 0)),
]


@pytest.mark.parametrize("plane", [0, 1])
@pytest.mark.parametrize(("x", "y", "match"), MATCHES)
def test_places_are_those_of_the_homography(small, x, y, match, plane):
    line, match = small.level.lines[plane], np.array(match, np.float32)
    place(x, y, transform(x, y, match, line), 0.5, 0.25, PLACES)
    expected = naive.places(x, y, match, line)
    assert np.allclose(PLACES[0].reshape(5, 5), (expected[0] + 0.5) * 0.5 - 0.5, atol=1e-4)
    assert np.allclose(PLACES[1].reshape(5, 5), (expected[1] + 0.5) * 0.25 - 0.5, atol=1e-4)
    assert np.isclose(source_scale(x, y, match, line), naive.scale_of(x, y, match, line), rtol=1e-4)


@pytest.mark.parametrize("plane", [0, 1])
@pytest.mark.parametrize(("x", "y", "match"), MATCHES)
def test_costs_are_those_of_a_naive_loop(small, x, y, match, plane):
    match = np.array(match, np.float32)
    line, (height, width) = small.level.lines[plane], small.size
    expected = naive.cost(small.level.target, small.blurred, x, y, match, line)
    for at in ((x, y), (int(match[0]), int(match[1]))):
        expected += small.level.plane_costs[plane, at[1] * 32 // height, at[0] * 40 // width]
    found = cost_of(small.level, x, y, match, plane, PLACES)
    assert np.isclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_plane_is_rectified_as_opencv_warps_it():
    image = skimage.data.camera()[100:300, 100:300].astype(np.float32)
    line, match = np.array([0.002, -0.003, 1.0]), np.array([140, 90, 1.3, 0.3, 0.02, 0], np.float32)
    x, y = 60, 70
    place(x, y, transform(x, y, match, line), 1.0, 1.0, PLACES)
    ours = cv2.remap(image, *PLACES.reshape(2, 5, 5), cv2.INTER_LINEAR)
    matrix = naive.homography(x, y, match, line)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    theirs = cv2.warpPerspective(image, matrix, image.shape[::-1], flags=flags)
    assert np.abs(ours - theirs[y - 2 : y + 3, x - 2 : x + 3]).max() < 2
    assert ours.std() > 10


def test_there_is_no_match_outside_the_image_or_beyond_the_horizon(small):
    height, width = small.size

    def cost(x, y, *match, line=(0, 0, 1.0)):
        level = small.level._replace(lines=np.array([line]))
        return cost_of(level, x, y, np.array(match, np.float32), 0, PLACES)

    assert np.isfinite(cost(20, 15, width - 1, height - 1, 2, 0, 0, 0))
    for outside in ((-0.1, 3), (3, -0.1), (width - 0.9, 3), (3, height - 0.9), (np.nan, 3)):
        assert cost(20, 15, *outside, 2, 0, 0, 0) == np.inf
    assert cost(20, 15, 20, 15, 0.99, 0, 0, 0) == np.inf
    assert cost(20, 15, 20, 15, 8.1, 0, 0, 0) == np.inf
    for line in ((1, 0, -22.0), (1, 0, -20.0), (1, 0, -30.0)):  # between them, at each of them
        assert cost(20, 15, 30, 15, 2, 0, 0, 0, line=line) == np.inf


def test_a_match_smaller_than_a_level_costs_more(small):
    def cost(scale):
        flat = small.level._replace(images=np.zeros_like(small.pyramid.blurred))
        match = np.array([20, 15, scale, 0, 0, 0], np.float32)
        return cost_of(flat, 20, 15, match, 0, PLACES)

    assert cost(1.0) - cost(1.3) == pytest.approx(1e-3 * (2 ** (1 / 3) - 1), abs=1e-6)
    assert cost(1.3) == cost(3.0)


def test_a_bias_beyond_a_quarter_is_not_removed(small):
    level = small.level._replace(
        target=np.full_like(small.level.target, 0.9),
        images=np.full_like(small.pyramid.blurred, 0.5),
        plane_costs=np.zeros_like(small.level.plane_costs),
    )
    match = np.array([20, 15, 2, 0, 0, 0], np.float32)
    assert cost_of(level, 20, 15, match, 0, PLACES) == pytest.approx(3 * 0.15**2, rel=1e-4)
    near = level._replace(images=level.images + np.float32(0.2))
    assert cost_of(near, 20, 15, match, 0, PLACES) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("levels", [1, 10])
def test_levels_follow_scales(levels):
    for scale in (1.0, 1.26, 1.5, 2, 3.9, 8):
        assert source_level(levels, scale) == naive.level_of(levels, scale)


def test_places_that_are_no_numbers_stay_inside():
    places = np.array([np.nan, -np.inf, np.inf, -3, 2.5, 9], np.float32)
    last = np.float32(7)
    assert [float(within(place, last)) for place in places] == [0, 0, 7, 0, 2.5, 7]
