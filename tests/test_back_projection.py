"""Back-projection against its definition, with Pillow and MATLAB's kernel."""

import numpy as np
import pytest
from scipy.ndimage import correlate

from srntt_pipeline.back_projection import back_project
from srntt_pipeline.degradation import Making, bicubic, make_lr


@pytest.fixture
def hr(photograph):
    return photograph[60:124, 180:260]


@pytest.mark.parametrize("kernel", ["pillow", "matlab", "matlab-replicate", "pillow-lanczos"])
def test_sr_becomes_lr_again_and_nears_hr(hr, kernel):
    making = Making(kernel, 4)
    lr = make_lr(hr, making)
    start = bicubic(lr, making).astype(np.float64)
    errors, distances = [], []
    for rounds in (0, 5, 20):
        sr = back_project(start, lr, kernel, rounds)
        assert sr.shape == hr.shape
        assert sr.min() >= 0
        assert sr.max() <= 255
        small = make_lr(np.rint(sr).astype(np.uint8), making)
        errors.append(np.abs(small.astype(float) - lr).mean())
        distances.append(((sr - hr) ** 2).mean())
    assert errors[0] > 2 * errors[1] > 2 * errors[2]
    assert errors[2] < 1
    assert distances[0] > distances[1] > distances[2]


def test_hr_is_left_as_it_is_but_for_rounding(hr):
    lr = make_lr(hr, Making("pillow", 4))
    assert np.abs(back_project(hr.astype(float), lr, "pillow") - hr).max() < 2


def test_one_round_is_its_definition(hr):
    """By matrices of MATLAB's weights, and a two-dimensional filter."""
    making = Making("matlab", 4)
    lr = make_lr(hr, making)
    sr = bicubic(lr, making).astype(np.float64)
    y, x = np.mgrid[-2:3, -2:3]
    gaussian = np.exp(-(y**2 + x**2) / 2)
    squared = gaussian**2 / (gaussian**2).sum()

    def weights(size, new):
        """Keys' cubic, widened where it shrinks, borders mirrored: dense, by a loop."""
        matrix = np.zeros((new, size))
        scale = new / size
        for row in range(new):
            centre = (row + 0.5) / scale - 0.5
            for tap in range(-8 * 4, size + 8 * 4):
                distance = abs(centre - tap) * min(scale, 1)
                near = 1.5 * distance**3 - 2.5 * distance**2 + 1
                far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
                value = near if distance <= 1 else far if distance < 2 else 0
                place = tap % (2 * size)
                matrix[row, place if place < size else 2 * size - 1 - place] += value
        return matrix / matrix.sum(axis=1, keepdims=True)

    down_y, down_x = weights(64, 16), weights(80, 20)
    up_y, up_x = weights(16, 64), weights(20, 80)
    expected = sr.copy()
    for channel in range(3):
        lacking = lr[..., channel] - down_y @ sr[..., channel] @ down_x.T
        expected[..., channel] += correlate(up_y @ lacking @ up_x.T, squared, mode="mirror")
    found = back_project(sr, lr, "matlab", rounds=1)
    np.testing.assert_allclose(found, expected.clip(0, 255), atol=1e-9)
