import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.methods import warp as warp_module
from srntt_pipeline.methods.warp import warp_hr
from srntt_pipeline.seeds import generator

HEIGHT, WIDTH = 60, 90
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture
def warps(monkeypatch):
    """Shift (down, right) and matrix of each warp."""
    found = []
    real_roll, real_warp = np.roll, cv2.warpAffine

    def roll_and_note(image, shift, axis):
        found.append([np.array(shift)])
        return real_roll(image, shift, axis)

    def warp_and_note(image, matrix, size, **options):
        found[-1].append(np.array(matrix))
        return real_warp(image, matrix, size, **options)

    monkeypatch.setattr(warp_module.np, "roll", roll_and_note)
    monkeypatch.setattr(warp_module.cv2, "warpAffine", warp_and_note)
    return found


def similarity(matrix):
    """Scale, rotation (degrees) and whether `matrix` is a similarity without a mirror."""
    (a, b), (c, d) = matrix[:, :2]
    scale = np.hypot(a, c)
    return scale, np.degrees(np.arctan2(c, a)), np.allclose([a, b], [d, -c])


def test_every_warp_is_within_the_ranges_of_the_paper_and_uses_them_in_full(warps):
    for seed in range(100):
        warp_hr(PIXELS, generator(seed))
    scales, angles, proper = zip(*(similarity(matrix) for _, matrix in warps), strict=True)
    shifts = np.array([shift for shift, _ in warps]) / (HEIGHT, WIDTH)
    assert all(proper)
    half_pixel = 0.5 / HEIGHT  # shifts are whole pixels
    for values, least, most, near, slack in (
        (np.array(scales), 1.2, 2.0, 0.1, 1e-6),
        (np.abs(angles), 10, 30, 2, 1e-6),
        (np.abs(shifts), 0.25, 0.5, 0.02, half_pixel),
    ):
        assert least - slack <= values.min() < least + near
        assert most - near < values.max() <= most + slack
    directions = {tuple(row) for row in np.sign(np.column_stack([angles, shifts]))}
    assert len(directions) == 8


@pytest.mark.parametrize("seed", range(6))
def test_nothing_of_hr_is_lost(warps, photograph, seed):
    """Warped back by cubic resampling, every pixel is there again."""
    warped = warp_hr(photograph, generator(seed))
    ((down, right), matrix) = warps[0]
    height, width = photograph.shape[:2]
    back = cv2.warpAffine(
        warped,
        matrix,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(255, 0, 255),
    )
    moved = np.empty_like(photograph)
    for y in range(height):
        moved[(y + down) % height] = np.roll(photograph[y], right, axis=0)
    difference = np.abs(back[1:-1, 1:-1].astype(int) - moved[1:-1, 1:-1])
    assert difference.mean() < 4
    assert np.percentile(difference, 99) < 40


def test_the_pixels_show_such_a_warp(photograph):
    """Seen from outside: SIFT finds the similarity again, and where the seams of the shift lie."""
    sift, matcher = cv2.SIFT.create(), cv2.BFMatcher()
    height, width = photograph.shape[:2]
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
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        canvas = np.array([(warped.shape[1] - 1) / 2, (warped.shape[0] - 1) / 2])
        turned = np.linalg.inv(matrix[:, :2]) @ (matrix[:, :2] @ centre + matrix[:, 2] - canvas)
        shift = np.abs(turned) / (width, height)  # of the quarter that most matches lie in
        assert (shift > 0.24).all()
        assert (shift < 0.76).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), height=st.integers(16, 70), width=st.integers(16, 70))
def test_the_image_is_left_alone_and_the_canvas_holds_it(seed, height, width):
    image = np.resize(PIXELS, (height, width, 3))
    before = image.copy()
    warped = warp_hr(image, generator(seed))
    grown = np.array(warped.shape[:2]) / image.shape[:2]
    assert (grown >= 1.2).all()
    assert (grown <= 2 * (1 + 0.5 * 70 / 16) + 1).all()
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
