import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from srntt_pipeline.albums import matching_cuda
from srntt_pipeline.albums.all_pairs import match_all_pairs
from srntt_pipeline.albums.matching import (
    best_matches,
    match_both_ways,
    ratio_test,
    squared_distances,
    verify,
)
from srntt_pipeline.albums.sift import SiftFeatures, detect
from srntt_pipeline.config import Matching
from srntt_pipeline.images import limit_long_side, read_rgb

RATIOS = (0.5, 0.6, 0.75, 0.8, 0.95)


def features(descriptors):
    return SiftFeatures(np.zeros((len(descriptors), 2), np.float32), descriptors)


def opencv_neighbours(query, train):
    if len(query) == 0 or len(train) == 0:
        return []
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    return matcher.knnMatch(query.astype(np.float32), train.astype(np.float32), k=2)


def passing(neighbours, ratio):
    return [
        (pair[0].queryIdx, pair[0].trainIdx)
        for pair in neighbours
        if len(pair) == 2 and pair[0].distance < ratio * pair[1].distance
    ]


def opencv_matches(query, train, ratio, mutual=False):
    """The best matches as every tutorial finds them."""
    found = passing(opencv_neighbours(query, train), ratio)
    if mutual:
        least = {}
        for pair in opencv_neighbours(train, query):
            least[pair[0].queryIdx] = pair[0].distance
        distance = {(i, j): np.linalg.norm(query[i].astype(float) - train[j]) for i, j in found}
        found = [(i, j) for i, j in found if np.float32(distance[i, j]) == np.float32(least[j])]
    return found


def our_matches(query, train, ratio, mutual=False):
    matching = Matching(ratio=ratio, mutual=mutual)
    return [tuple(r) for r in best_matches(features(query), features(train), matching).tolist()]


# Against OpenCV


@pytest.fixture(scope="module")
def real_descriptors(real_albums):
    names = (
        "sceaux_castle/100_7100.jpg",
        "sceaux_castle/100_7101.jpg",
        "lund/01.jpg",
        "lund/02.jpg",
    )
    photos = [limit_long_side(read_rgb(real_albums / name), 400) for name in names]
    return [detect(photo).descriptors for photo in photos]


@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("ratio", RATIOS)
def test_best_matches_of_real_photos_are_opencvs(real_descriptors, ratio, mutual):
    some = 0
    for query, train in itertools.permutations(real_descriptors, 2):
        expected = opencv_matches(query, train, ratio, mutual)
        assert our_matches(query, train, ratio, mutual) == expected
        some += len(expected)
    assert some > 100


@pytest.mark.parametrize("album", ["berlin", "lund", "sceaux_castle"])
def test_counts_of_all_pairs_of_a_real_album_are_opencvs(real_albums, album):
    """Every ordered pair, at three ratios, against brute force; of Lund every third photo."""
    paths = sorted(p for p in (real_albums / album).iterdir() if p.suffix.lower() == ".jpg")
    paths = paths[:: 1 + len(paths) // 12]
    photos = [detect(limit_long_side(read_rgb(path), 500)) for path in paths]
    ratios = (0.7, 0.75, 0.8)
    ours = {
        ratio: {
            pair: count
            for a, b, forth, back in match_all_pairs(photos, Matching(ratio=ratio), "cpu")
            for pair, count in (((a, b), forth.is_match.sum()), ((b, a), back.is_match.sum()))
        }
        for ratio in ratios
    }
    assert len(ours[0.75]) == len(paths) * (len(paths) - 1) > 0
    for a, b in itertools.permutations(range(len(photos)), 2):
        found = opencv_neighbours(photos[a].descriptors, photos[b].descriptors)
        for ratio in ratios:
            assert ours[ratio][a, b] == len(passing(found, ratio)), (paths[a], paths[b], ratio)


def descriptor_sets(high, most=12):
    shape = st.tuples(st.integers(0, most), st.just(128))
    return npst.arrays(np.uint8, shape, elements=st.integers(0, high))


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([1, 2, 255]).flatmap(descriptor_sets), st.data())
def test_best_matches_of_any_descriptors_are_opencvs(train, data):
    """Few distinct values make duplicates and ties; sizes include 0, 1 and 2 descriptors."""
    query = data.draw(descriptor_sets(255))
    if len(train) and data.draw(st.booleans()):
        query = train[data.draw(st.lists(st.integers(0, len(train) - 1), max_size=6))]
    ratio, mutual = data.draw(st.sampled_from(RATIOS)), data.draw(st.booleans())
    assert our_matches(query, train, ratio, mutual) == opencv_matches(query, train, ratio, mutual)


@pytest.mark.parametrize(("queries", "trains"), [(0, 0), (0, 3), (3, 0), (3, 1)])
def test_fewer_than_two_neighbours_make_no_best_match(queries, trains):
    rng = np.random.default_rng(0)
    query, train = (rng.integers(0, 256, (n, 128), np.uint8) for n in (queries, trains))
    assert our_matches(query, train, 0.9) == []


def test_two_equally_near_neighbours_make_no_best_match():
    query = np.zeros((1, 128), np.uint8)
    assert our_matches(query, np.zeros((2, 128), np.uint8), 0.99) == []
    assert our_matches(query, np.ones((2, 128), np.uint8), 0.99) == []


@pytest.mark.parametrize(("first", "expected"), [(2, True), (3, False), (4, False)])
def test_nearest_must_be_nearer_than_ratio_times_the_next(first, expected):
    """Distances are first and 4, the ratio 0.75: the test is strict."""
    found = ratio_test(np.array([[16, first**2]], np.float32), 0.75)
    assert found.is_match.tolist() == [expected]


def test_mutual_match_is_nearest_from_both_photos():
    """Both queries have train 0 as their best match; the second is nearer to it."""
    query, train = np.zeros((2, 128), np.uint8), np.zeros((2, 128), np.uint8)
    query[:, 0], train[:, 0] = (10, 4), (0, 200)
    assert our_matches(query, train, 0.75) == [(0, 0), (1, 0)]
    assert our_matches(query, train, 0.75, mutual=True) == [(1, 0)]


# The batched way: here on the CPU, on a GPU where there is one


def devices():
    import torch

    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def check_batched(photos, matching, batch, split=None):
    for device in devices():
        batched = list(matching_cuda.match_all_pairs(photos, matching, device, split, batch))
        one_by_one = list(match_all_pairs(photos, matching, "cpu", split))
        assert [pair[:2] for pair in batched] == [pair[:2] for pair in one_by_one]
        for ours, expected in zip(batched, one_by_one, strict=True):
            for found, other in zip(ours[2:], expected[2:], strict=True):
                np.testing.assert_array_equal(found.is_match, other.is_match)
                matched = other.is_match
                np.testing.assert_array_equal(found.place[matched], other.place[matched])


@pytest.mark.parametrize("batch", [1, 300_000, 1 << 27])
@pytest.mark.parametrize("mutual", [False, True])
def test_batched_matches_of_real_photos_are_those_found_one_by_one(real_descriptors, mutual, batch):
    check_batched([features(d) for d in real_descriptors], Matching(mutual=mutual), batch)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([1, 255]).flatmap(descriptor_sets), max_size=5),
    st.booleans(),
    st.sampled_from(RATIOS),
    st.none() | st.integers(0, 5),
)
def test_batched_matches_of_any_descriptors_are_those_found_one_by_one(sets, mutual, ratio, split):
    matching = Matching(mutual=mutual, ratio=ratio)
    split = None if split is None else min(split, len(sets))
    check_batched([features(d) for d in sets], matching, 200, split)


@pytest.mark.parametrize("split", range(5))
def test_pairs_of_two_blocks_are_those_within_the_whole_that_cross(real_descriptors, split):
    photos = [features(d) for d in real_descriptors[:4]]
    crossing = list(match_all_pairs(photos, Matching(), "cpu", split))
    whole = [p for p in match_all_pairs(photos, Matching(), "cpu") if p.a < split <= p.b]
    assert [pair[:2] for pair in crossing] == [pair[:2] for pair in whole]
    for ours, expected in zip(crossing, whole, strict=True):
        np.testing.assert_array_equal(ours.forth.is_match, expected.forth.is_match)
        np.testing.assert_array_equal(ours.back.is_match, expected.back.is_match)


# Geometry


def moved(count, wrong, seed=0):
    """Points of a plane seen anew, of which the first `wrong` are scattered."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 400, (count, 2))
    turn = np.array([[0.9, -0.2, 30], [0.25, 1.05, -10], [2e-4, -1e-4, 1]])
    other = np.column_stack([xy, np.ones(count)]) @ turn.T
    other = other[:, :2] / other[:, 2:] + rng.normal(0, 0.3, (count, 2))
    other[:wrong] = rng.uniform(0, 400, (wrong, 2))
    return xy.astype(np.float32), other.astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_wrong_matches_are_rejected_and_right_ones_kept(seed):
    xy, other = moved(120, wrong=60, seed=seed)
    kept = verify(xy, other, Matching(verify="homography"))
    assert kept[60:].mean() > 0.95
    assert kept[:60].mean() < 0.1


def test_matches_of_a_solid_scene_agree_with_a_fundamental_matrix():
    rng = np.random.default_rng(0)
    points = rng.uniform([-2, -2, 4], [2, 2, 10], (100, 3))  # depth: no homography explains it
    one, two = points[:, :2] / points[:, 2:], points + np.array([0.8, 0.1, 0.3])
    other = two[:, :2] / two[:, 2:]
    xy, other = (400 * one + 250).astype(np.float32), (400 * other + 250).astype(np.float32)
    other[:30] = rng.uniform(0, 500, (30, 2))
    by = {kind: verify(xy, other, Matching(verify=kind)) for kind in ("fundamental", "homography")}
    assert by["fundamental"][30:].mean() > 0.95
    assert by["fundamental"][:30].mean() < 0.2
    assert by["homography"][30:].mean() < 0.6


@pytest.mark.parametrize(("kind", "least"), [("homography", 5), ("fundamental", 9)])
def test_matches_that_any_geometry_would_fit_are_none(kind, least):
    xy, other = moved(least - 1, wrong=0)
    assert verify(xy, other, Matching(verify=kind)).sum() == 0
    empty = np.zeros((0, 2), np.float32)
    assert verify(empty, empty, Matching(verify=kind)).shape == (0,)


def test_all_points_in_one_place_are_no_error():
    xy = np.full((20, 2), 7, np.float32)
    for kind in ("homography", "fundamental"):
        assert verify(xy, xy, Matching(verify=kind)).shape == (20,)


def test_verified_matches_are_the_same_every_time():
    xy, other = moved(150, wrong=90)
    matching = Matching(verify="homography")
    first = verify(xy, other, matching)
    for _ in range(5):
        np.testing.assert_array_equal(verify(xy, other, matching), first)


def test_verification_leaves_few_matches_of_unrelated_real_photos(real_albums):
    castle, other, lund = (
        detect(limit_long_side(read_rgb(real_albums / name), 500))
        for name in ("sceaux_castle/100_7100.jpg", "sceaux_castle/100_7101.jpg", "lund/01.jpg")
    )
    for kind in ("homography", "fundamental"):
        strict, free = Matching(verify=kind, ratio=0.9), Matching(ratio=0.9)
        kept = [
            len(best_matches(castle, ref, strict)) / len(best_matches(castle, ref, free))
            for ref in (other, lund)
        ]
        assert kept[0] > 2 * kept[1]


# Distances


@settings(deadline=None, max_examples=50)
@given(descriptor_sets(255), descriptor_sets(255))
def test_squared_distances_are_exact(a, b):
    wide_a, wide_b = a.astype(np.int64), b.astype(np.int64)
    expected = [[int(((x - y) ** 2).sum()) for y in wide_b] for x in wide_a]
    result = squared_distances(a, b)
    assert result.dtype == np.float32
    assert result.shape == (len(a), len(b))
    assert result.tolist() == expected


def test_largest_distance_is_exact():
    a, b = np.zeros((1, 128), np.uint8), np.full((1, 128), 255, np.uint8)
    assert squared_distances(a, b)[0, 0] == 128 * 255**2


def test_both_ways_are_the_two_ways(real_descriptors):
    a, b = real_descriptors[:2]
    forth, back = match_both_ways(a, b, Matching())
    for found, query, train in ((forth, a, b), (back, b, a)):
        expected = opencv_matches(query, train, 0.75)
        assert [(i, found.place[i]) for i in np.flatnonzero(found.is_match)] == expected
