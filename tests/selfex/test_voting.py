"""Votes, against a loop in float64."""

import naive_selfex as naive
import numpy as np
import pytest

from srntt_pipeline.selfex.field import first_field, improve
from srntt_pipeline.selfex.voting import bicubic_at, vote


def keys(x):
    x = np.abs(x)
    inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0))


def bicubic(level, x, y):
    """Return the values [3] of a level [h, w, 3] at (x, y), its border repeated."""
    height, width = level.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    total = np.zeros(3)
    for row in range(int(y) - 2, int(y) + 4):
        for column in range(int(x) - 2, int(x) + 4):
            value = level[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
            total += keys(np.float64(x - column)) * keys(np.float64(y - row)) * value
    return total


def test_pixels_between_pixels_are_keys_cubic(small):
    start, height, width = small.pyramid.shapes[-2]
    level = small.levels[-2].astype(float)
    for x, y in ((0, 0), (3.25, 7.5), (width - 1, height - 1), (width - 1.3, 0.4), (-2, 11.75)):
        found = [
            bicubic_at(small.pyramid.sharp, np.float32(x), np.float32(y), start, height, width, c)
            for c in range(3)
        ]
        assert np.allclose(found, bicubic(level, x, y), atol=2e-6)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (23, 17), (49, 2)])
def test_a_pixel_is_the_weighted_mean_of_the_patches_over_it(small, x, y):
    field = first_field(np.zeros(small.size, np.uint8))
    field.planes[10:, 5:] = 1
    improve(field, small.level, np.ones((2, 32, 40), np.float32), np.array([1], np.uint64))
    voted = vote(field, small.level, small.pyramid.sharp)
    weights, (height, width) = naive.gaussian(), small.size
    total, share = np.zeros(3), 0.0
    for centre_y in range(max(0, y - 2), min(height, y + 3)):
        for centre_x in range(max(0, x - 2), min(width, x + 3)):
            match = field.matches[centre_y, centre_x]
            line = small.level.lines[field.planes[centre_y, centre_x]]
            scale = naive.scale_of(centre_x, centre_y, match, line)
            index = naive.level_of(len(small.levels), scale)
            sharp, blurred = small.levels[index], small.blurred[index]
            places = naive.places(centre_x, centre_y, match, line)
            at_x = (places[0] + 0.5) * sharp.shape[1] / width - 0.5
            at_y = (places[1] + 0.5) * sharp.shape[0] / height - 0.5
            bias = np.zeros(3)
            for row, column in np.ndindex(5, 5):
                lies = at_x[row, column], at_y[row, column]
                gap = small.level.target[centre_y + row, centre_x + column] - bicubic(
                    blurred, *lies
                )
                bias += weights[row, column] * gap
            mine = y - centre_y + 2, x - centre_x + 2
            pixel = bicubic(sharp, at_x[mine], at_y[mine]) + bias.clip(-0.25, 0.25)
            total, share = total + weights[mine] * pixel, share + weights[mine]
    assert np.allclose(voted[y, x], total / share, atol=2e-5)
