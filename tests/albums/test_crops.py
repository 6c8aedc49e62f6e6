import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.albums.crops import draw_crop_pairs

SIDE = 40


def draw(hr_xy, ref_xy, hr_size=(120, 160), ref_size=(120, 160), seed=0, **options):
    settings = {"crop": SIDE, "most": 3, "least_matches": 5} | options
    return draw_crop_pairs(
        hr_xy, ref_xy, hr_size, ref_size, rng=np.random.default_rng(seed), **settings
    )


def scattered(count, size=(120, 160), seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, [size[1], size[0]], (count, 2)).astype(np.float32)


def inside(xy, corner, side=SIDE):
    """Count matches in a crop, one by one."""
    x0, y0 = corner
    return sum(x0 <= x < x0 + side and y0 <= y < y0 + side for x, y in xy)


def fits(corner, size, side=SIDE):
    (x, y), (height, width) = corner, size
    return 0 <= x <= width - side and 0 <= y <= height - side


# Synthetic matches


@pytest.mark.parametrize("shift", [(0, 0), (25, -10), (-30, 12.4)])
def test_reference_crop_is_where_the_photo_moved_to(shift):
    hr_xy = scattered(400)
    room = 60  # so that no crop meets the border of the reference
    crops = draw(hr_xy, hr_xy + np.float32(shift) + room, ref_size=(240, 280))
    assert len(crops) == 3
    for crop in crops:
        moved = np.array(crop.ref) - crop.hr - room
        np.testing.assert_allclose(moved, shift, atol=0.51)


def test_wrong_matches_do_not_pull_the_crop_away():
    hr_xy = scattered(400)
    ref_xy = hr_xy + np.float32([20, 30])
    ref_xy[::4] = scattered(100, (240, 280), seed=1)
    for crop in draw(hr_xy, ref_xy, ref_size=(240, 280)):
        np.testing.assert_allclose(np.array(crop.ref) - crop.hr, (20, 30), atol=3)


def test_zoomed_reference_is_cut_around_the_same_place():
    """Both crops have the same centre in the scene, as far as the scatter of matches goes."""
    hr_xy = scattered(2000)
    for crop in draw(hr_xy, 2 * hr_xy, ref_size=(240, 320)):
        centre = np.array(crop.hr) + SIDE / 2
        np.testing.assert_allclose(np.array(crop.ref) + SIDE / 2, 2 * centre, atol=4)


def test_crop_at_the_border_is_kept_inside():
    hr_xy = scattered(400)
    ref_xy = hr_xy + np.float32([0, -100])
    for crop in draw(hr_xy, ref_xy, seed=3):
        assert crop.ref[1] == max(0, crop.hr[1] - 100)


def test_places_outside_the_reference_are_not_used():
    hr_xy = scattered(400)
    assert draw(hr_xy, hr_xy + np.float32([500, -500])) == []


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 10**6),
    st.integers(0, 200),
    st.tuples(st.integers(SIDE, 150), st.integers(SIDE, 150)),
    st.tuples(st.integers(SIDE, 150), st.integers(SIDE, 150)),
    st.tuples(st.floats(-80, 80), st.floats(-80, 80)),
    st.integers(1, 8),
    st.integers(1, 4),
)
def test_crops_lie_in_both_photos_and_hold_the_matches_they_say(
    seed, count, hr_size, ref_size, shift, least, most
):
    hr_xy = scattered(count, hr_size, seed)
    ref_xy = hr_xy + np.float32(shift)
    crops = draw(hr_xy, ref_xy, hr_size, ref_size, seed, least_matches=least, most=most)
    assert len(crops) <= most
    for crop in crops:
        assert fits(crop.hr, hr_size)
        assert fits(crop.ref, ref_size)
        ends = zip(hr_xy, ref_xy, strict=True)
        both = [inside([hr], crop.hr) and inside([ref], crop.ref) for hr, ref in ends]
        assert crop.matches == sum(both) >= least


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6))
def test_crops_of_a_pair_are_half_a_side_apart(seed):
    xy = scattered(400)
    crops = draw(xy, xy, seed=seed, most=6)
    for i, one in enumerate(crops):
        for other in crops[:i]:
            assert np.abs(np.array(one.hr) - other.hr).max() >= SIDE / 2


def test_every_place_can_be_drawn():
    xy = scattered(5000, (42, 43))
    corners = {draw(xy, xy, (42, 43), seed=seed, most=1)[0].hr for seed in range(300)}
    assert corners == {(x, y) for x in range(4) for y in range(3)}


def test_photo_as_small_as_the_crop_is_taken_whole():
    xy = scattered(50, (SIDE, SIDE))
    (crop,) = draw(xy, xy, (SIDE, SIDE), (SIDE, SIDE))
    assert (crop.hr, crop.ref, crop.matches) == ((0, 0), (0, 0), 50)


@pytest.mark.parametrize("count", [0, 4])
def test_too_few_matches_give_no_crop(count):
    xy = scattered(count)
    assert draw(xy, xy) == []


def test_same_seed_same_crops_another_seed_others():
    xy = scattered(400)
    assert draw(xy, xy, seed=1) == draw(xy, xy, seed=1)
    assert draw(xy, xy, seed=1) != draw(xy, xy, seed=2)
