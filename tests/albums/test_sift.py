import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.albums.photos import Album, PhotoChecks
from srntt_pipeline.albums.sift import (
    SiftJob,
    detect,
    extract_album,
    read_album,
    read_hashes,
    read_rejected,
    to_grey,
)
from srntt_pipeline.files import file_sha256
from srntt_pipeline.images import read_rgb

CHECKS = PhotoChecks(long_side_px=160, min_side_px=16, max_megapixels=10)


@pytest.fixture
def album(tmp_path, save_view):
    """Two photos and a file that is none."""
    folder = tmp_path / "lund"
    save_view(folder / "a.png")
    save_view(folder / "b ü.jpg", x=10)
    (folder / "c.jpg").write_text("no photo")
    return Album("lund", folder, ("a.png", "b ü.jpg", "c.jpg"))


@pytest.fixture
def job(album, tmp_path):
    return SiftJob(album, CHECKS, 0, tmp_path / "work" / "lund.h5")


# Grey


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_grey_is_what_opencv_reads_from_a_colour_png(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("grey") / "a.png"
    image = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    cv2.imwrite(str(path), image[..., ::-1])
    np.testing.assert_array_equal(to_grey(image), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))


def test_grey_of_grey_is_itself():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_grey(np.repeat(levels[None, :, None], 3, axis=2))[0], levels)


# Features


def test_features_are_opencvs_of_the_grey_image(shared):
    path = shared / "data" / "cufed" / "test" / "CUFED5" / "001_0.png"
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    keypoints, descriptors = cv2.SIFT_create().detectAndCompute(grey, None)
    features = detect(read_rgb(path))
    np.testing.assert_array_equal(features.xy, np.array([k.pt for k in keypoints], np.float32))
    np.testing.assert_array_equal(features.descriptors, descriptors)  # whole numbers: none is lost
    assert features.descriptors.dtype == np.uint8


def test_flat_image_has_no_features():
    features = detect(np.full((64, 64, 3), 128, np.uint8))
    assert features.xy.shape == (0, 2)
    assert features.descriptors.shape == (0, 128)


@pytest.mark.parametrize("side", [1, 2, 8])
def test_tiny_image_is_no_error(side):
    features = detect(np.zeros((side, side, 3), np.uint8))
    assert len(features.xy) == len(features.descriptors)


def test_most_keeps_the_features_of_highest_contrast(photograph):
    image = photograph[:160, 100:300]
    keypoints = cv2.SIFT_create().detect(to_grey(image), None)
    strongest = sorted((k.response for k in keypoints), reverse=True)[:20]
    kept = detect(image, 20).xy.tolist()
    assert 20 <= len(kept) <= 25  # ties stay together
    assert {tuple(xy) for xy in kept} == {k.pt for k in keypoints if k.response >= strongest[-1]}


# The album's file


def test_album_is_read_back_as_it_was_extracted(job, album):
    extract_album(job)
    photos = read_album(job.path)
    assert [photo.name for photo in photos] == ["a.png", "b ü.jpg"]
    for photo in photos:
        expected = detect(read_rgb(album.folder / photo.name))
        np.testing.assert_array_equal(photo.features.xy, expected.xy)
        np.testing.assert_array_equal(photo.features.descriptors, expected.descriptors)
        assert (photo.height, photo.width) == (120, 160)
        assert photo.sha256 == file_sha256(album.folder / photo.name)


def test_hashes_are_those_of_the_usable_photos(job, album):
    extract_album(job)
    names = ["a.png", "b ü.jpg"]
    assert read_hashes(job.path) == {name: file_sha256(album.folder / name) for name in names}


def test_rejected_photos_are_kept_with_the_reason(job):
    extract_album(job)
    (row,) = read_rejected(job.path)
    assert (row.album, row.photo) == ("lund", "c.jpg")
    assert "not an image" in row.reason


def test_album_without_a_usable_photo_is_no_error(tmp_path):
    (tmp_path / "a.jpg").touch()
    extract_album(SiftJob(Album("x", tmp_path, ("a.jpg",)), CHECKS, 0, tmp_path / "x.h5"))
    assert read_album(tmp_path / "x.h5") == []
    assert len(read_rejected(tmp_path / "x.h5")) == 1


def test_thousands_of_rejected_photos_fit(tmp_path):
    names = tuple(f"a photo with quite a long name {i:05d}.jpg" for i in range(2000))
    for name in names:
        (tmp_path / name).touch()
    extract_album(SiftJob(Album("x", tmp_path, names), CHECKS, 0, tmp_path / "x.h5"))
    assert [row.photo for row in read_rejected(tmp_path / "x.h5")] == list(names)


def test_photo_without_features_is_usable(tmp_path):
    cv2.imwrite(str(tmp_path / "sky.png"), np.full((40, 40, 3), 200, np.uint8))
    extract_album(SiftJob(Album("x", tmp_path, ("sky.png",)), CHECKS, 0, tmp_path / "x.h5"))
    (photo,) = read_album(tmp_path / "x.h5")
    assert len(photo.features.xy) == 0


def test_what_is_there_is_not_made_again(job):
    extract_album(job)
    before = job.path.stat()
    extract_album(job)
    assert job.path.stat().st_mtime_ns == before.st_mtime_ns
    assert job.path.stat().st_ino == before.st_ino


def test_changed_photo_is_extracted_anew(job, album, save_view):
    extract_album(job)
    save_view(album.folder / "a.png", x=30)
    extract_album(job)
    assert read_hashes(job.path)["a.png"] == file_sha256(album.folder / "a.png")


def test_added_photo_is_extracted(job, album, save_view):
    extract_album(job)
    save_view(album.folder / "d.png", x=30)
    extract_album(
        SiftJob(Album("lund", album.folder, (*album.photos, "d.png")), CHECKS, 0, job.path)
    )
    assert list(read_hashes(job.path)) == ["a.png", "b ü.jpg", "d.png"]


@pytest.mark.parametrize(
    ("checks", "most"), [(PhotoChecks(80, 16, 10), 0), (PhotoChecks(160, 130, 10), 0), (CHECKS, 5)]
)
def test_other_parameters_extract_anew(job, album, tmp_path, checks, most):
    extract_album(job)
    again = SiftJob(album, checks, most, job.path)
    extract_album(again)
    fresh = SiftJob(album, checks, most, tmp_path / "fresh.h5")
    extract_album(fresh)
    assert read_hashes(again.path) == read_hashes(fresh.path)
    assert read_rejected(again.path) == read_rejected(fresh.path)
    for one, other in zip(read_album(again.path), read_album(fresh.path), strict=True):
        np.testing.assert_array_equal(one.features.xy, other.features.xy)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_damaged_file_is_made_anew(job, share):
    extract_album(job)
    whole = job.path.read_bytes()
    job.path.write_bytes(whole[: int(share * len(whole))])
    extract_album(job)
    assert [photo.name for photo in read_album(job.path)] == ["a.png", "b ü.jpg"]
    assert job.path.read_bytes() == whole


def test_file_of_another_program_is_replaced(job):
    job.path.parent.mkdir()
    job.path.write_bytes(b"not HDF5 at all")
    extract_album(job)
    assert len(read_album(job.path)) == 2
