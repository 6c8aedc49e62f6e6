"""Matching of blocks against loops, and moves that are known."""

import numpy as np
import pytest

from srntt_pipeline.degradation import PAPER_MAKING, bicubic, make_lr
from srntt_pipeline.landmark.matching import BLOCKS, REACH, choose, light, low_pass, match, search
from srntt_pipeline.landmark.registration import Registered


def naive_structure(image):
    """Squared differences from the mean of 33×33, and of neighbours, pixel by pixel, float64."""
    height, width = image.shape
    mirrored = np.pad(image.astype(np.float64), 16, mode="reflect")
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            here = float(image[y, x])
            down = float(image[min(y + 1, height - 1), x]) - here
            right = float(image[y, min(x + 1, width - 1)]) - here
            mean = mirrored[y : y + 33, x : x + 33].mean()
            result[y, x] = (here - mean) ** 2 + 4 * (down**2 + right**2)
    return result


def test_errors_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    own = rng.uniform(0, 255, (40, 36)).astype(np.float32)
    other = rng.uniform(0, 255, (40, 36)).astype(np.float32)
    valid = np.ones((40, 36), bool)
    valid[:8, :8] = False
    moves, errors, spreads = search(own, other, valid)
    edge = np.pad(other, REACH, mode="edge")
    naive = np.full((2 * REACH + 1, 2 * REACH + 1, 64, 64), 0.0)
    for down in range(2 * REACH + 1):
        for right in range(2 * REACH + 1):
            difference = own - edge[down : down + 40, right : right + 36]
            naive[down, right, :40, :36] = naive_structure(difference)
    structure = np.zeros((64, 64))
    structure[:40, :36] = naive_structure(own)
    for side, move, error, spread in zip(BLOCKS, moves, errors, spreads, strict=True):
        for row in range(64 // side):
            for column in range(64 // side):
                place = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
                assert spread[row, column] == pytest.approx(structure[place].mean(), rel=1e-3)
                if row * column == 0 and row + column == 0:
                    assert np.isinf(error[row, column])
                    continue
                costs = naive[(..., *place)].mean(axis=(2, 3))
                far = np.arange(-REACH, REACH + 1) ** 2
                costs = costs + 0.02 * np.add.outer(far, far)
                assert error[row, column] == pytest.approx(costs.min(), rel=1e-3)
                best = np.array(np.unravel_index(costs.argmin(), costs.shape)) - REACH
                assert np.abs(move[row, column] - best).max() <= 0.5


def test_the_low_pass_is_what_bicubic_leaves(photograph):
    """On a pattern that LR can hold, LR↑ is the low-passed image; details of 2 px are gone."""
    y, x = np.mgrid[:128, :128]
    slow = 128 + 60 * np.sin(2 * np.pi * x / 64) * np.cos(2 * np.pi * y / 48)
    image = np.repeat(slow[..., None], 3, axis=2)
    up = bicubic(make_lr(np.rint(image).astype(np.uint8), PAPER_MAKING), PAPER_MAKING)
    inner = np.s_[16:-16, 16:-16]
    assert np.abs(low_pass(image.astype(np.float32)) - up)[inner].max() < 2.5
    checks = ((x + y) % 2 * 200).astype(np.float32)
    assert np.abs(low_pass(checks) - 100)[inner].max() < 2


def test_light_is_undone():
    rng = np.random.default_rng(0)
    smooth = rng.uniform(60, 200, (30, 30, 3)).astype(np.float32)
    valid = rng.random((30, 30)) > 0.3
    own = smooth * (1.4, 0.8, 1.0) + (-20, 10, 0)
    gain, offset = light(own.astype(np.float32), smooth, valid)
    np.testing.assert_allclose(gain, (1.4, 0.8, 1.0), atol=1e-3)
    np.testing.assert_allclose(offset, (-20, 10, 0), atol=0.1)
    gain, _ = light(smooth[:, ::-1] * 0 + 5, smooth, valid)
    np.testing.assert_allclose(gain, 0.5)  # nothing in common: kept in bounds


def test_a_block_is_kept_whole_where_it_fits_else_its_quarters_are():
    """Three blocks of 32 px: one fits; of one a quarter fits; of one nothing does."""
    shape = {side: (32 // side, 96 // side) for side in BLOCKS}
    moves = [np.full((*shape[side], 2), side, np.float32) for side in BLOCKS]
    errors = [np.full(shape[side], 100, np.float32) for side in BLOCKS]
    spread = [np.full(shape[side], 96, np.float32) for side in BLOCKS]  # and the noise's 4
    errors[0][0, 0] = 1
    errors[1][0, 2] = 2
    errors[2][:, 8:] = np.inf
    move, share, block = choose(moves, errors, spread)
    assert (move[:, :32] == 32).all()
    assert (move[:16, 32:48] == 16).all()
    assert (move[16:, 32:64] == 8).all()
    np.testing.assert_allclose(share[:, :32], 0.01)
    np.testing.assert_allclose(share[:16, 32:48], 0.02)
    np.testing.assert_allclose(share[16:, 32:64], 1)
    assert np.isinf(share[:, 64:]).all()
    parts = block[:, :32], block[:16, 32:48], block[16:, 32:64]
    assert [len(np.unique(part)) for part in parts] == [1, 1, 8]
    assert (block[:, 64:] == 0).all()


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-5, 4)])
def test_a_reference_that_is_moved_and_brighter_gives_hrs_details(photograph, shift):
    hr = photograph[40:200, 140:300]
    lr_up = bicubic(make_lr(hr, PAPER_MAKING), PAPER_MAKING).astype(np.float32)
    down, right = shift
    moved = photograph[40 - down : 200 - down, 140 - right : 300 - right]
    seen = Registered((moved * 0.8 + 30).astype(np.float32), np.ones((160, 160), bool), 99)
    matched = match(lr_up, seen)
    textured = matched.trust > 0.3
    assert textured.mean() > 0.5
    details = hr - low_pass(hr.astype(np.float32))
    left = ((matched.detail - details) ** 2)[textured].mean()
    assert left < 0.2 * (details**2)[textured].mean()


def test_nothing_is_taken_from_what_does_not_fit(photograph):
    lr_up = photograph[:96, :96].astype(np.float32)
    noise = np.random.default_rng(0).uniform(0, 255, (96, 96, 3)).astype(np.float32)
    nowhere = np.zeros((96, 96), bool)
    assert match(lr_up, Registered(lr_up, nowhere, 99)) is None
    matched = match(lr_up, Registered(noise, ~nowhere, 99))
    assert matched is None or (matched.trust > 0).mean() < 0.1
