import itertools

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from srntt_pipeline.albums.counts import (
    CountJob,
    best_matches,
    count_album,
    count_matches,
    ratio_test,
    read_counts,
    squared_distances,
)
from srntt_pipeline.albums.photos import Album, PhotoChecks
from srntt_pipeline.albums.sift import SiftFeatures, SiftJob, detect, extract_album
from srntt_pipeline.errors import UnusableImage
from srntt_pipeline.images import limit_long_side, read_rgb

RATIOS = (0.5, 0.6, 0.75, 0.8, 0.95)


def features(descriptors):
    return SiftFeatures(np.zeros((len(descriptors), 2), np.float32), descriptors)


def opencv_matches(query, train, ratio):
    """The best matches as every tutorial finds them."""
    if len(query) == 0 or len(train) == 0:
        return []
    found = cv2.BFMatcher(cv2.NORM_L2).knnMatch(
        query.astype(np.float32), train.astype(np.float32), k=2
    )
    return [
        (pair[0].queryIdx, pair[0].trainIdx)
        for pair in found
        if len(pair) == 2 and pair[0].distance < ratio * pair[1].distance
    ]


def our_matches(query, train, ratio):
    return [tuple(row) for row in best_matches(features(query), features(train), ratio).tolist()]


# Against OpenCV


@pytest.mark.parametrize(("k", "expected"), [(1, 352), (2, 96), (3, 76), (4, 50), (5, 35)])
def test_counts_of_the_real_cufed5_group(shared, k, expected):
    group = shared / "data" / "cufed" / "test" / "CUFED5"
    assert count_matches(group / "001_0.png", group / f"001_{k}.png", 0.75) == expected


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


@pytest.mark.parametrize("ratio", RATIOS)
def test_best_matches_of_real_photos_are_opencvs(real_descriptors, ratio):
    some = 0
    for query, train in itertools.permutations(real_descriptors, 2):
        expected = opencv_matches(query, train, ratio)
        assert our_matches(query, train, ratio) == expected
        some += len(expected)
    assert some > 100


def descriptor_sets(high):
    shape = st.tuples(st.integers(0, 12), st.just(128))
    return npst.arrays(np.uint8, shape, elements=st.integers(0, high))


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([1, 2, 255]).flatmap(descriptor_sets), st.data())
def test_best_matches_of_any_descriptors_are_opencvs(train, data):
    """Few distinct values make duplicates and ties; sizes include 0, 1 and 2 descriptors."""
    query = data.draw(descriptor_sets(255))
    if len(train) and data.draw(st.booleans()):
        query = train[data.draw(st.lists(st.integers(0, len(train) - 1), max_size=6))]
    ratio = data.draw(st.sampled_from(RATIOS))
    assert our_matches(query, train, ratio) == opencv_matches(query, train, ratio)


@pytest.mark.parametrize(("queries", "trains"), [(0, 0), (0, 3), (3, 0), (3, 1)])
def test_fewer_than_two_neighbours_make_no_best_match(queries, trains):
    rng = np.random.default_rng(0)
    query, train = (rng.integers(0, 256, (n, 128), np.uint8) for n in (queries, trains))
    assert best_matches(features(query), features(train), 0.9).shape == (0, 2)


def test_two_equally_near_neighbours_make_no_best_match():
    query = np.zeros((1, 128), np.uint8)
    assert our_matches(query, np.zeros((2, 128), np.uint8), 0.99) == []
    assert our_matches(query, np.ones((2, 128), np.uint8), 0.99) == []


@pytest.mark.parametrize(("first", "expected"), [(2, True), (3, False), (4, False)])
def test_nearest_must_be_nearer_than_ratio_times_the_next(first, expected):
    """Distances are first and 4, the ratio 0.75: the test is strict."""
    _, is_best = ratio_test(np.array([[16, first**2]], np.float32), 0.75)
    assert is_best.tolist() == [expected]


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


# Two image files


def test_image_matches_itself_by_almost_every_feature(save_view, tmp_path):
    path = save_view(tmp_path / "a.png")
    total = len(detect(read_rgb(path)).xy)
    assert 0.9 * total <= count_matches(path, path, 0.75) <= total


def test_images_are_shrunk_first_when_asked(save_view, tmp_path):
    a, b = save_view(tmp_path / "a.png"), save_view(tmp_path / "b.png", x=8)
    small = [detect(limit_long_side(read_rgb(path), 80)).descriptors for path in (a, b)]
    assert count_matches(a, b, 0.75, long_side_px=80) == len(opencv_matches(*small, 0.75))


def test_grey_images_can_be_compared(shared, tmp_path):
    group = shared / "data" / "cufed" / "test" / "CUFED5"
    for k in (0, 1):
        grey = cv2.imread(str(group / f"001_{k}.png"), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(tmp_path / f"{k}.png"), grey)
    assert count_matches(tmp_path / "0.png", tmp_path / "1.png", 0.75) == 352


def test_file_that_is_no_image_is_named(tmp_path, save_view):
    save_view(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    with pytest.raises(UnusableImage, match=r"b\.png"):
        count_matches(tmp_path / "a.png", tmp_path / "b.png", 0.75)


# The album's table


@pytest.fixture
def album(tmp_path, save_view):
    for i, name in enumerate(("a.png", "b.png", "c.png")):
        save_view(tmp_path / "lund" / name, x=12 * i)
    return Album("lund", tmp_path / "lund", ("a.png", "b.png", "c.png"))


@pytest.fixture
def job(album, tmp_path):
    job = CountJob(tmp_path / "lund.h5", 0.75, tmp_path / "lund.parquet")
    extract_album(SiftJob(album, PhotoChecks(160, 16, 10), 0, job.features))
    return job


def test_table_has_every_ordered_pair_with_its_count(job, album):
    count_album(job)
    table = read_counts(job.path)
    assert list(table.columns) == ["hr", "ref", "matches"]
    rows = list(table.itertuples(index=False, name=None))
    assert [row[:2] for row in rows] == list(itertools.permutations(album.photos, 2))
    for hr, ref, matches in rows:
        assert matches == count_matches(album.folder / hr, album.folder / ref, 0.75)


@pytest.mark.parametrize("photos", [(), ("a.png",)])
def test_album_of_less_than_two_photos_has_an_empty_table(album, tmp_path, photos):
    job = CountJob(tmp_path / "x.h5", 0.75, tmp_path / "x.parquet")
    few = Album("lund", album.folder, photos)
    extract_album(SiftJob(few, PhotoChecks(160, 16, 10), 0, job.features))
    count_album(job)
    table = read_counts(job.path)
    assert table.empty
    assert table["matches"].dtype == np.int64


def test_what_is_there_is_not_counted_again(job):
    count_album(job)
    before = job.path.stat()
    count_album(job)
    assert (job.path.stat().st_mtime_ns, job.path.stat().st_ino) == (
        before.st_mtime_ns,
        before.st_ino,
    )


def test_another_ratio_is_counted_anew(job):
    count_album(job)
    strict = read_counts(job.path)["matches"]
    count_album(CountJob(job.features, 0.95, job.path))
    assert (read_counts(job.path)["matches"] > strict).all()


def test_other_features_are_counted_anew(job, album, save_view, tmp_path):
    count_album(job)
    save_view(album.folder / "a.png", x=200)
    extract_album(SiftJob(album, PhotoChecks(160, 16, 10), 0, job.features))
    count_album(job)
    fresh = CountJob(job.features, 0.75, tmp_path / "fresh.parquet")
    count_album(fresh)
    pd.testing.assert_frame_equal(read_counts(job.path), read_counts(fresh.path))


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_damaged_table_is_counted_anew(job, share):
    count_album(job)
    whole = job.path.read_bytes()
    job.path.write_bytes(whole[: int(share * len(whole))])
    count_album(job)
    assert job.path.read_bytes() == whole
