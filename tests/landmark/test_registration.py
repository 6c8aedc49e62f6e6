"""Registration: a homography that is known is found again, and warped as OpenCV does."""

import cv2
import numpy as np
import pytest

from srntt_pipeline.degradation import PAPER_MAKING, bicubic, make_lr
from srntt_pipeline.landmark.registration import fit_homography, register, resample, scale_at
from srntt_pipeline.methods.warp import warp_hr
from srntt_pipeline.sift import detect

KNOWN = np.array([[1.3, 0.2, 30], [-0.25, 1.25, 90], [1e-4, -5e-5, 1]])


def moved(points, matrix):
    return cv2.perspectiveTransform(np.asarray(points, np.float64)[None], matrix)[0]


@pytest.fixture
def hr(photograph):
    return photograph[0:320, 100:420]


@pytest.fixture
def lr_up(hr):
    return bicubic(make_lr(hr, PAPER_MAKING), PAPER_MAKING)


def test_a_homography_is_found_among_wrong_matches():
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 300, (60, 2))
    others = moved(places, KNOWN)
    others[:20] = rng.uniform(0, 300, (20, 2))
    matrix, agree = fit_homography(places, others)
    np.testing.assert_array_equal(agree[20:], True)
    assert agree[:20].sum() <= 1
    grid = np.mgrid[0:300:50, 0:300:50].reshape(2, -1).T
    assert np.abs(moved(grid, matrix) - moved(grid, KNOWN)).max() < 0.05
    again, _ = fit_homography(places, others)
    np.testing.assert_array_equal(again, matrix)


@pytest.mark.parametrize("matches", [0, 3, 11])
def test_few_matches_register_nothing(matches):
    places = np.random.default_rng(1).uniform(0, 300, (matches, 2))
    assert fit_homography(places, moved(places, KNOWN) if matches else places) is None


def test_matches_of_nothing_in_common_register_nothing():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert fit_homography(*rng.uniform(0, 300, (2, 40, 2))) is None
    same = np.full((30, 2), 7.0)
    assert fit_homography(same, same) is None


def test_scale_is_that_of_the_jacobian():
    place, step = np.array([120.0, 80.0]), 1e-4
    right, down = moved(place + step * np.eye(2), KNOWN)
    here = moved([place], KNOWN)[0]
    area = np.linalg.det(np.stack([right - here, down - here]) / step)
    assert scale_at(KNOWN, place) == pytest.approx(np.sqrt(area), rel=1e-4)
    assert scale_at(KNOWN @ np.diag([-1.0, 1, 1]), place) is None  # mirrored


def test_resampling_is_opencvs_warp(hr):
    """A frame that is coarser is antialiased; against a warp of the image blurred beforehand."""
    image, valid = resample(hr, KNOWN, 1.0, (200, 240))
    expected = cv2.warpPerspective(
        hr, KNOWN, (240, 200), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    )
    assert 0.2 < valid.mean() < 1
    assert np.abs(image - expected)[valid].mean() < 2
    shrunk, valid = resample(hr, np.diag([2.0, 2, 1]), 2.0, (150, 150))
    mean = hr.reshape(160, 2, 160, 2, 3).mean(axis=(1, 3))[:150, :150]
    assert np.abs(shrunk - mean)[valid].mean() < 8
    assert not valid[:, 156:].any()


def test_hr_warp_registers_by_its_parts(hr, lr_up):
    """Its shift is cyclic: one homography explains one part, several explain nearly all."""
    warped = warp_hr(hr, np.random.default_rng(3))
    seen = list(register(detect(lr_up), lr_up, warped))
    assert len(seen) > 1
    near = [
        one.valid & (np.abs(cv2.blur(one.image, (9, 9)) - cv2.blur(hr, (9, 9))).max(axis=2) < 12)
        for one in seen
    ]
    assert near[0].mean() > 0.2
    assert np.any(near, axis=0).mean() > max(one.mean() for one in near) + 0.05
    assert [one.inliers for one in seen] == sorted((one.inliers for one in seen), reverse=True)


def test_another_photograph_does_not_register(lr_up):
    other = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    for reference in (other, np.full((64, 64, 3), 7, np.uint8), lr_up[:, ::-1].copy()):
        assert list(register(detect(lr_up), lr_up, reference)) == []
