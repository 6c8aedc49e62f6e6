import itertools

import cv2
import numpy as np
import pandas as pd
import pytest

from srntt_pipeline.albums.counts import (
    CountJob,
    count_album,
    count_matches,
    is_counted,
    read_counts,
)
from srntt_pipeline.albums.matching import best_matches
from srntt_pipeline.albums.photos import Album, PhotoChecks
from srntt_pipeline.albums.sift import SiftJob, detect, extract_album
from srntt_pipeline.config import Matching
from srntt_pipeline.errors import UnusableImage
from srntt_pipeline.images import limit_long_side, read_rgb

DEFAULT = Matching()


@pytest.mark.parametrize(("k", "expected"), [(1, 352), (2, 96), (3, 76), (4, 50), (5, 35)])
def test_counts_of_the_real_cufed5_group(shared, k, expected):
    group = shared / "data" / "cufed" / "test" / "CUFED5"
    assert count_matches(group / "001_0.png", group / f"001_{k}.png", DEFAULT) == expected


# Two image files


def test_image_matches_itself_by_almost_every_feature(save_view, tmp_path):
    path = save_view(tmp_path / "a.png")
    total = len(detect(read_rgb(path)).xy)
    assert 0.9 * total <= count_matches(path, path, DEFAULT) <= total


def test_images_are_shrunk_first_when_asked(save_view, tmp_path):
    a, b = save_view(tmp_path / "a.png"), save_view(tmp_path / "b.png", x=8)
    small = [detect(limit_long_side(read_rgb(path), 80)).descriptors for path in (a, b)]
    found = cv2.BFMatcher().knnMatch(*(d.astype(np.float32) for d in small), k=2)
    expected = sum(first.distance < 0.75 * second.distance for first, second in found)
    assert count_matches(a, b, DEFAULT, long_side_px=80) == expected > 0


def test_grey_images_can_be_compared(shared, tmp_path):
    group = shared / "data" / "cufed" / "test" / "CUFED5"
    for k in (0, 1):
        grey = cv2.imread(str(group / f"001_{k}.png"), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(tmp_path / f"{k}.png"), grey)
    assert count_matches(tmp_path / "0.png", tmp_path / "1.png", DEFAULT) == 352


def test_file_that_is_no_image_is_named(tmp_path, save_view):
    save_view(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    with pytest.raises(UnusableImage, match=r"b\.png"):
        count_matches(tmp_path / "a.png", tmp_path / "b.png", DEFAULT)


# The album's table


@pytest.fixture
def album(tmp_path, save_view):
    for i, name in enumerate(("a.png", "b.png", "c.png")):
        save_view(tmp_path / "lund" / name, x=12 * i)
    return Album("lund", tmp_path / "lund", ("a.png", "b.png", "c.png"))


@pytest.fixture
def job(album, tmp_path):
    job = CountJob(tmp_path / "lund.h5", DEFAULT, tmp_path / "lund.parquet")
    extract_album(SiftJob(album, PhotoChecks(160, 16, 10), 0, job.features))
    return job


def test_table_has_every_ordered_pair_with_its_count(job, album):
    count_album(job)
    table = read_counts(job.path)
    assert list(table.columns) == ["hr", "ref", "matches"]
    rows = list(table.itertuples(index=False, name=None))
    assert [row[:2] for row in rows] == list(itertools.permutations(album.photos, 2))
    for hr, ref, matches in rows:
        assert matches == count_matches(album.folder / hr, album.folder / ref, DEFAULT)


@pytest.mark.parametrize("photos", [(), ("a.png",)])
def test_album_of_less_than_two_photos_has_an_empty_table(album, tmp_path, photos):
    job = CountJob(tmp_path / "x.h5", DEFAULT, tmp_path / "x.parquet")
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
    count_album(CountJob(job.features, Matching(ratio=0.95), job.path))
    assert (read_counts(job.path)["matches"] > strict).all()


def test_other_features_are_counted_anew(job, album, save_view, tmp_path):
    count_album(job)
    save_view(album.folder / "a.png", x=200)
    extract_album(SiftJob(album, PhotoChecks(160, 16, 10), 0, job.features))
    count_album(job)
    fresh = CountJob(job.features, DEFAULT, tmp_path / "fresh.parquet")
    count_album(fresh)
    pd.testing.assert_frame_equal(read_counts(job.path), read_counts(fresh.path))


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_damaged_table_is_counted_anew(job, share):
    count_album(job)
    whole = job.path.read_bytes()
    job.path.write_bytes(whole[: int(share * len(whole))])
    count_album(job)
    assert job.path.read_bytes() == whole


@pytest.mark.parametrize("kind", ["homography", "fundamental"])
def test_verified_counts_are_those_of_the_verified_matches(job, album, kind):
    matching = Matching(verify=kind, mutual=True)
    count_album(CountJob(job.features, matching, job.path))
    photos = {name: detect(read_rgb(album.folder / name)) for name in album.photos}
    for row in read_counts(job.path).itertuples():
        assert row.matches == len(best_matches(photos[row.hr], photos[row.ref], matching))


def test_counts_are_there_when_they_are_whole_and_of_these_features(job, tmp_path):
    assert not is_counted(job)
    assert count_album(job) == 3
    assert is_counted(job)
    assert count_album(job) == 0
    assert not is_counted(CountJob(job.features, Matching(ratio=0.8), job.path))
    job.path.write_bytes(job.path.read_bytes()[:-9])
    assert not is_counted(job)
    job.features.unlink()
    assert not is_counted(job)
