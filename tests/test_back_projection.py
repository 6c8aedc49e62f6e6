"""Back-projection against its definition, with Pillow and MATLAB's kernel."""

from functools import partial

import numpy as np
import pytest
from scipy.ndimage import correlate

from srntt_pipeline.back_projection import back_project
from srntt_pipeline.degradation import Making, bicubic, border_of, make_lr
from srntt_pipeline.imresize import resized


def corrected(sr, lr, making, **options):
    by = partial(resized, border=border_of(making))
    return back_project(sr, lr.astype(np.float64), by, highest=255, **options)


@pytest.fixture
def hr(photograph):
    return photograph[60:124, 180:260]


@pytest.mark.parametrize("kernel", ["pillow", "matlab", "matlab-replicate"])
def test_sr_becomes_lr_again_and_nears_hr(hr, kernel):
    making = Making(kernel, 4)
    lr = make_lr(hr, making)
    start = bicubic(lr, making).astype(np.float64)
    errors, distances = [], []
    for rounds in (0, 5, 20):
        sr = corrected(start, lr, making, rounds=rounds)
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
    making = Making("pillow", 4)
    assert np.abs(corrected(hr.astype(float), make_lr(hr, making), making) - hr).max() < 2


def test_hr_in_floats_is_left_as_it_is(hr):
    """Of LR that was not rounded, at another scale than 4, in float32."""
    image = hr[:60, :60].astype(np.float32) / np.float32(255)
    by = partial(resized, border="cut")
    found = back_project(image, by(image, 30, 30), by, highest=1)
    assert found.dtype == np.float32
    assert np.abs(found - image).max() < 1e-5


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
        expected[..., channel] += correlate(up_y @ lacking @ up_x.T, squared, mode="nearest")
    found = corrected(sr, lr, making, rounds=1)
    np.testing.assert_allclose(found, expected.clip(0, 255), atol=1e-9)
