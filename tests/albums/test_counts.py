import itertools
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from srntt_pipeline.albums.counts import (
    CountJob,
    count_matches,
    count_pairs,
    is_counted,
    read_counts,
)
from srntt_pipeline.albums.matching import best_matches
from srntt_pipeline.albums.photos import Album, PhotoChecks
from srntt_pipeline.albums.sift import SiftJob, detect, extract
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


# The tables of an album's blocks


@pytest.fixture
def album(tmp_path, save_view):
    for i, name in enumerate(("a.png", "b.png", "c.png")):
        save_view(tmp_path / "lund" / name, x=12 * i)
    return Album("lund", tmp_path / "lund", ("a.png", "b.png", "c.png"))


@pytest.fixture
def block(album, tmp_path):
    """Extract a block of the album's photos; return the file."""

    def run(*names):
        path = tmp_path / f"{'-'.join(names)}.h5"
        extract(SiftJob(replace(album, photos=names), PhotoChecks(160, 16, 10), 0, path))
        return path

    return run


@pytest.fixture
def job(album, block, tmp_path):
    return CountJob((block(*album.photos),) * 2, DEFAULT, tmp_path / "lund.parquet")


def check_counts(matches, album, matching=DEFAULT):
    """The matrix holds what two image files by themselves have."""
    assert matches.dtype == np.int32
    assert not matches.diagonal().any()
    for (i, hr), (j, ref) in itertools.permutations(enumerate(album.photos), 2):
        assert matches[i, j] == count_matches(album.folder / hr, album.folder / ref, matching)


def test_table_has_every_pair_once_with_its_counts(job, album):
    count_pairs(job)
    table = pd.read_parquet(job.path)
    assert list(table.columns) == ["photo_a", "photo_b", "matches_ab", "matches_ba"]
    pairs = list(table[["photo_a", "photo_b"]].itertuples(index=False, name=None))
    assert pairs == list(itertools.combinations(album.photos, 2))
    check_counts(read_counts([job.path], album.photos), album)


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_counts_of_blocks_are_those_of_the_whole_album(album, block, tmp_path, cut):
    blocks = [block(*album.photos[:cut]), block("none.png", *album.photos[cut:])]
    paths = []
    for a, b in itertools.combinations_with_replacement(blocks, 2):
        paths.append(tmp_path / f"{len(paths)}.parquet")
        count_pairs(CountJob((a, b), DEFAULT, paths[-1]))
    tables = [pd.read_parquet(path) for path in paths]
    assert list(map(len, tables)) == [
        cut * (cut - 1) // 2,
        cut * (3 - cut),
        (3 - cut) * (2 - cut) // 2,
    ]
    check_counts(read_counts(paths, album.photos), album)


@pytest.mark.parametrize("photos", [(), ("a.png",)])
def test_block_of_less_than_two_photos_has_an_empty_table(block, tmp_path, photos):
    job = CountJob((block(*photos),) * 2, DEFAULT, tmp_path / "x.parquet")
    count_pairs(job)
    assert is_counted(job)
    assert pd.read_parquet(job.path).empty
    np.testing.assert_array_equal(read_counts([job.path], photos), np.zeros((len(photos),) * 2))


def test_what_is_there_is_not_counted_again(job):
    count_pairs(job)
    before = job.path.stat()
    count_pairs(job)
    assert (job.path.stat().st_mtime_ns, job.path.stat().st_ino) == (
        before.st_mtime_ns,
        before.st_ino,
    )


def test_another_ratio_is_counted_anew(job, album):
    count_pairs(job)
    count_pairs(replace(job, matching=Matching(ratio=0.95)))
    check_counts(read_counts([job.path], album.photos), album, Matching(ratio=0.95))


@pytest.mark.parametrize("changed", [0, 1], ids=["first block", "second block"])
def test_other_features_are_counted_anew(album, block, save_view, tmp_path, changed):
    names = (("a.png",), ("b.png", "c.png"))
    job = CountJob((block(*names[0]), block(*names[1])), DEFAULT, tmp_path / "x.parquet")
    count_pairs(job)
    save_view(album.folder / names[changed][0], x=100)
    assert is_counted(job)  # of the features that are there
    block(*names[changed])
    assert not is_counted(job)
    count_pairs(job)
    matches = read_counts([job.path], album.photos)
    for i, j in ((0, 1), (0, 2), (1, 0), (2, 0)):
        files = (album.folder / album.photos[place] for place in (i, j))
        assert matches[i, j] == count_matches(*files, DEFAULT)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_damaged_table_is_counted_anew(job, share):
    count_pairs(job)
    whole = job.path.read_bytes()
    job.path.write_bytes(whole[: int(share * len(whole))])
    count_pairs(job)
    assert job.path.read_bytes() == whole


@pytest.mark.parametrize("kind", ["homography", "fundamental"])
def test_verified_counts_are_those_of_the_verified_matches(job, album, kind):
    matching = Matching(verify=kind, mutual=True)
    count_pairs(replace(job, matching=matching))
    photos = [detect(read_rgb(album.folder / name)) for name in album.photos]
    matches = read_counts([job.path], album.photos)
    for i, j in itertools.permutations(range(3), 2):
        assert matches[i, j] == len(best_matches(photos[i], photos[j], matching))


def test_counts_are_there_when_they_are_whole_and_of_these_features(job):
    assert not is_counted(job)
    count_pairs(job)
    assert is_counted(job)
    assert not is_counted(replace(job, matching=Matching(ratio=0.8)))
    job.path.write_bytes(job.path.read_bytes()[:-9])
    assert not is_counted(job)
    count_pairs(job)
    job.blocks[0].unlink()
    assert not is_counted(job)
