"""The detail that a figure enlarges."""

import numpy as np
import pytest

from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.detail import Detail, choose_detail, read_details


def textured(rng, shape=(64, 80, 3)):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def naive(hr, outputs, side):
    """Return the best square, looking at each in turn."""
    grey = hr.astype(float).mean(axis=2)
    variance = np.var([image.astype(float).mean(axis=2) for image in outputs], axis=0)
    best = (-1.0, 0, 0)
    for top in range(0, hr.shape[0] - side + 1, 4):
        for left in range(0, hr.shape[1] - side + 1, 4):
            energy = 0.0
            for y in range(top, top + side):
                for x in range(left, left + side):
                    energy += abs(grey[y, x] - grey[y, x - 1]) if x else 0
                    energy += abs(grey[y, x] - grey[y - 1, x]) if y else 0
            spread = variance[top : top + side, left : left + side].sum()
            best = max(best, (energy * spread, -top, -left))
    return Detail(-best[2], -best[1], side, side)


def test_it_is_the_square_with_most_gradient_times_variance():
    rng = np.random.default_rng(0)
    hr = textured(rng)
    outputs = [textured(rng) for _ in range(3)]
    assert choose_detail(hr, outputs) == naive(hr, outputs, 16)


def test_it_lies_where_outputs_differ_and_hr_has_texture():
    rng = np.random.default_rng(1)
    hr = np.full((200, 240, 3), 99, np.uint8)
    hr[120:160, 40:80] = textured(rng, (40, 40, 3))
    outputs = [hr.copy() for _ in range(2)]
    outputs[0][10:60, 150:200] = 0  # they differ where HR is flat, too
    outputs[1][120:160, 40:80] //= 2
    found = choose_detail(hr, outputs)
    assert (found.width, found.height) == (48, 48)
    assert 30 <= found.left <= 40
    assert 110 <= found.top <= 120


def test_outputs_that_are_equal_leave_the_gradient():
    rng = np.random.default_rng(2)
    hr = np.zeros((64, 64, 3), np.uint8)
    hr[40:56, 20:36] = textured(rng, (16, 16, 3))
    found = choose_detail(hr, [hr, hr])
    assert (found.left, found.top) == (20, 40)
    tiny = choose_detail(hr[:5, :7], [])
    assert (tiny.width, tiny.height, tiny.fits((5, 7))) == (5, 5, True)


def test_a_detail_can_be_given():
    (detail,) = read_details(["img=001 a=12x8+40+4"]).values()
    assert str(detail) == "12x8+40+4"
    hr = textured(np.random.default_rng(0))
    assert (detail.of(hr) == hr[4:12, 40:52]).all()
    assert detail.fits((12, 52))
    assert not detail.fits((11, 52))


@pytest.mark.parametrize(
    "text", ["001", "001=12x8", "001=0x8+1+1", "001=9999999x8+1+1", "=1x1+0+0"]
)
def test_what_is_no_detail_is_refused_in_a_line(text):
    with pytest.raises(InputError, match="detail") as refusal:
        read_details([text])
    assert "\n" not in str(refusal.value)
