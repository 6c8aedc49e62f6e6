import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.evaluation import warp as warp_module
from srntt_pipeline.evaluation.warp import warp_hr
from srntt_pipeline.seeds import generator

HEIGHT, WIDTH = 60, 90
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture
def matrices(monkeypatch):
    """The matrices that images are warped by."""
    found = []
    real = cv2.warpAffine

    def warp_and_note(image, matrix, size, **options):
        found.append(np.asarray(matrix))
        return real(image, matrix, size, **options)

    monkeypatch.setattr(warp_module.cv2, "warpAffine", warp_and_note)
    return found


def similarity(matrix):
    """Scale, rotation (degrees) and whether `matrix` is a similarity without a mirror."""
    (a, b), (c, d) = matrix[:, :2]
    scale = np.hypot(a, c)
    return scale, np.degrees(np.arctan2(c, a)), np.allclose([a, b], [d, -c])


def centre_shift(matrix, height, width):
    """How far the centre moves, in shares of width and height."""
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return (matrix[:, :2] @ centre + matrix[:, 2] - centre) / (width, height)


def test_every_warp_is_within_the_ranges_of_the_paper(matrices):
    for seed in range(100):
        warp_hr(PIXELS, generator(seed))
    scales, angles, proper = zip(*map(similarity, matrices), strict=True)
    shifts = np.array([centre_shift(matrix, HEIGHT, WIDTH) for matrix in matrices])
    assert all(proper)
    assert min(scales) >= 1.2 - 1e-6
    assert max(scales) <= 2 + 1e-6
    assert np.abs(angles).min() >= 10 - 1e-6
    assert np.abs(angles).max() <= 30 + 1e-6
    assert np.abs(shifts).min() >= 0.25 - 1e-6
    assert np.abs(shifts).max() <= 0.5 + 1e-6


def test_the_ranges_are_used_in_full_and_in_all_directions(matrices):
    for seed in range(100):
        warp_hr(PIXELS, generator(seed))
    scales, angles, _ = zip(*map(similarity, matrices), strict=True)
    shifts = np.array([centre_shift(matrix, HEIGHT, WIDTH) for matrix in matrices])
    assert min(scales) < 1.3
    assert max(scales) > 1.9
    assert np.abs(angles).min() < 12
    assert np.abs(angles).max() > 28
    assert np.abs(shifts).min() < 0.27
    assert np.abs(shifts).max() > 0.48
    directions = {tuple(row) for row in np.sign(np.column_stack([angles, shifts]))}
    assert len(directions) == 8


def test_the_pixels_show_such_a_warp(photograph):
    """Seen from outside: SIFT finds the similarity again in the warped photograph."""
    sift, matcher = cv2.SIFT.create(), cv2.BFMatcher()
    for seed in range(4):
        warped = warp_hr(photograph, generator(seed))
        (points, here), (warped_points, there) = (
            sift.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
            for image in (photograph, warped)
        )
        matches = matcher.knnMatch(here, there, k=2)
        best = [first for first, second in matches if first.distance < 0.75 * second.distance]
        matrix, _ = cv2.estimateAffinePartial2D(
            np.float32([points[match.queryIdx].pt for match in best]),
            np.float32([warped_points[match.trainIdx].pt for match in best]),
        )
        scale, angle, _ = similarity(matrix)
        assert 1.19 < scale < 2.01
        assert 9.5 < abs(angle) < 30.5
        shift = np.abs(centre_shift(matrix, *photograph.shape[:2]))
        assert (shift > 0.24).all()
        assert (shift < 0.51).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), height=st.integers(16, 70), width=st.integers(16, 70))
def test_size_and_kind_of_the_image_are_kept(seed, height, width):
    image = np.resize(PIXELS, (height, width, 3))
    before = image.copy()
    warped = warp_hr(image, generator(seed))
    assert warped.shape == image.shape
    assert warped.dtype == np.uint8
    assert np.array_equal(image, before)


def test_what_the_warp_leaves_open_is_filled_with_the_image():
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for seed in range(20):
        assert (warp_hr(white, generator(seed)) == 255).all()


def test_the_generator_decides_the_warp():
    first, again, other = (warp_hr(PIXELS, generator(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
