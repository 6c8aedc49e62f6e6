import os
import re
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srntt_pipeline.albums.photos import Album, PhotoChecks
from srntt_pipeline.albums.sift import (
    SiftJob,
    detect,
    extract,
    is_extracted,
    mirrored,
    perceptual_hashes,
    read_features,
    read_index,
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


def hashes(path):
    return {photo.name: photo.sha256 for photo in read_index([path]).photos}


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
    cv2.setUseOptimized(False)
    keypoints, descriptors = cv2.SIFT_create().detectAndCompute(grey, None)
    cv2.setUseOptimized(True)
    features = detect(read_rgb(path))
    np.testing.assert_array_equal(features.xy, np.array([k.pt for k in keypoints], np.float32))
    np.testing.assert_array_equal(features.descriptors, descriptors)  # whole numbers: none is lost
    assert features.descriptors.dtype == np.uint8


FEATURES = """
import hashlib, sys
from pathlib import Path
from srntt_pipeline.albums.sift import detect, perceptual_hashes
from srntt_pipeline.images import read_rgb
image = read_rgb(Path(sys.argv[1]))
print(hashlib.sha256(detect(image).descriptors.tobytes()).hexdigest(), perceptual_hashes(image)[0])
"""


@pytest.mark.parametrize("without", ["AVX512-SKX", "AVX512-SKX,AVX2,FMA3,AVX,FP16", "IPP"])
def test_features_are_the_same_on_processors_that_can_less(shared, without):
    """OpenCV's own choice gives other descriptors with other instruction sets."""
    path = shared / "data" / "cufed" / "test" / "CUFED5" / "001_0.png"

    def run(**environment):
        command = [sys.executable, "-c", FEATURES, str(path)]
        return subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, check=True
        ).stdout

    less = {"OPENCV_IPP": "disabled"} if without == "IPP" else {"OPENCV_CPU_DISABLE": without}
    assert run(**less) == run() != ""


def test_opencv_is_left_as_it_was():
    before = cv2.useOptimized()
    detect(np.zeros((40, 40, 3), np.uint8))
    assert cv2.useOptimized() == before


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
    cv2.setUseOptimized(False)
    keypoints = cv2.SIFT_create().detect(to_grey(image), None)
    cv2.setUseOptimized(True)
    strongest = sorted((k.response for k in keypoints), reverse=True)[:20]
    kept = detect(image, 20).xy.tolist()
    assert 20 <= len(kept) <= 25  # ties stay together
    assert {tuple(xy) for xy in kept} == {k.pt for k in keypoints if k.response >= strongest[-1]}


# Perceptual hashes


def bits(a, b):
    return (int(a, 16) ^ int(b, 16)).bit_count()


def test_perceptual_hash_survives_what_sharing_does_to_a_photo(photograph, tmp_path):
    image = photograph
    Image.fromarray(image).save(tmp_path / "a.jpg", quality=30)
    small = np.asarray(Image.fromarray(image).resize((256, 256), Image.Resampling.LANCZOS))
    bright = np.clip(image * 1.2, 0, 255).astype(np.uint8)
    for copy in (read_rgb(tmp_path / "a.jpg"), small, bright):
        assert bits(perceptual_hashes(copy)[0], perceptual_hashes(image)[0]) <= 8
    assert bits(perceptual_hashes(image[::-1])[0], perceptual_hashes(image)[0]) > 16


def test_perceptual_hashes_are_those_of_the_eight_orientations(photograph):
    image = photograph[:200, :300]
    expected = [np.rot90(image, turn) for turn in range(4)]
    expected += [np.rot90(np.fliplr(image), turn) for turn in range(4)]
    assert perceptual_hashes(image) == [
        cv2.img_hash.pHash(np.ascontiguousarray(to_grey(turned))).tobytes().hex()
        for turned in expected
    ]
    assert len(set(perceptual_hashes(image))) == 8


def test_mirrored_descriptors_are_those_of_the_mirror_image(photograph):
    """What is found in the mirror image lies where ours does, mirrored, and looks as ours does."""
    image = photograph[:256, 100:356]
    ours, theirs = detect(image), detect(np.ascontiguousarray(image[:, ::-1]))
    distances = np.linalg.norm(
        mirrored(ours.descriptors)[:, None].astype(float) - theirs.descriptors[None], axis=2
    )
    nearest = distances.argmin(axis=1)
    place = ours.xy * [-1, 1] + [255, 0]
    same = np.linalg.norm(theirs.xy[nearest] - place, axis=1) < 1
    assert same.mean() > 0.85
    assert np.median(distances[same].min(axis=1)) < 30  # of some 512
    unmirrored = np.linalg.norm(
        ours.descriptors[:, None].astype(float) - theirs.descriptors[None], axis=2
    )
    assert (np.linalg.norm(theirs.xy[unmirrored.argmin(axis=1)] - place, axis=1) < 1).mean() < 0.5


def test_perceptual_hash_is_sixteen_hexadecimal_digits(photograph):
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in perceptual_hashes(photograph))


# The file of a block


def test_album_is_read_back_as_it_was_extracted(job, album):
    extract(job)
    index = read_index([job.path])
    assert index.album == "lund"
    assert [photo.name for photo in index.photos] == ["a.png", "b ü.jpg"]
    for photo, features in zip(index.photos, read_features(index.photos), strict=True):
        image = read_rgb(album.folder / photo.name)
        expected = detect(image)
        np.testing.assert_array_equal(features.xy, expected.xy)
        np.testing.assert_array_equal(features.descriptors, expected.descriptors)
        assert [photo.phash, photo.turned] == [
            perceptual_hashes(image)[0], "".join(perceptual_hashes(image)[1:])
        ]  # fmt: skip
        assert (photo.height, photo.width) == (120, 160)
        assert photo.sha256 == file_sha256(album.folder / photo.name)


def test_hashes_are_those_of_the_usable_photos(job, album):
    extract(job)
    names = ["a.png", "b ü.jpg"]
    assert hashes(job.path) == {name: file_sha256(album.folder / name) for name in names}


def test_rejected_photos_are_kept_with_the_reason(job):
    extract(job)
    (row,) = read_index([job.path]).rejected
    assert (row.album, row.photo) == ("lund", "c.jpg")
    assert "not an image" in row.reason


def test_album_without_a_usable_photo_is_no_error(tmp_path):
    (tmp_path / "a.jpg").touch()
    extract(SiftJob(Album("x", tmp_path, ("a.jpg",)), CHECKS, 0, tmp_path / "x.h5"))
    index = read_index([tmp_path / "x.h5"])
    assert index.photos == ()
    assert len(index.rejected) == 1


def test_thousands_of_rejected_photos_fit(tmp_path):
    names = tuple(f"a photo with quite a long name {i:05d}.jpg" for i in range(2000))
    for name in names:
        (tmp_path / name).touch()
    extract(SiftJob(Album("x", tmp_path, names), CHECKS, 0, tmp_path / "x.h5"))
    assert [row.photo for row in read_index([tmp_path / "x.h5"]).rejected] == list(names)


def test_photo_without_features_is_usable(tmp_path):
    cv2.imwrite(str(tmp_path / "sky.png"), np.full((40, 40, 3), 200, np.uint8))
    extract(SiftJob(Album("x", tmp_path, ("sky.png",)), CHECKS, 0, tmp_path / "x.h5"))
    index = read_index([tmp_path / "x.h5"])
    (features,) = read_features(index.photos)
    assert len(features.xy) == 0


def test_what_is_there_is_not_made_again(job):
    extract(job)
    before = job.path.stat()
    extract(job)
    assert job.path.stat().st_mtime_ns == before.st_mtime_ns
    assert job.path.stat().st_ino == before.st_ino


def test_changed_photo_is_extracted_anew(job, album, save_view):
    extract(job)
    save_view(album.folder / "a.png", x=30)
    extract(job)
    assert hashes(job.path)["a.png"] == file_sha256(album.folder / "a.png")


def test_added_photo_is_extracted(job, album, save_view):
    extract(job)
    save_view(album.folder / "d.png", x=30)
    extract(SiftJob(Album("lund", album.folder, (*album.photos, "d.png")), CHECKS, 0, job.path))
    assert list(hashes(job.path)) == ["a.png", "b ü.jpg", "d.png"]


@pytest.mark.parametrize(
    ("checks", "most"), [(PhotoChecks(80, 16, 10), 0), (PhotoChecks(160, 130, 10), 0), (CHECKS, 5)]
)
def test_other_parameters_extract_anew(job, album, tmp_path, checks, most):
    extract(job)
    again = SiftJob(album, checks, most, job.path)
    extract(again)
    fresh = SiftJob(album, checks, most, tmp_path / "fresh.h5")
    extract(fresh)
    one, other = read_index([again.path]), read_index([fresh.path])
    assert one.rejected == other.rejected
    assert [replace(photo, file=fresh.path) for photo in one.photos] == list(other.photos)
    for a, b in zip(read_features(one.photos), read_features(other.photos), strict=True):
        np.testing.assert_array_equal(a.xy, b.xy)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_damaged_file_is_made_anew(job, share):
    extract(job)
    whole = job.path.read_bytes()
    job.path.write_bytes(whole[: int(share * len(whole))])
    extract(job)
    assert [photo.name for photo in read_index([job.path]).photos] == ["a.png", "b ü.jpg"]
    assert job.path.read_bytes() == whole


def test_file_of_another_program_is_replaced(job):
    job.path.parent.mkdir()
    job.path.write_bytes(b"not HDF5 at all")
    extract(job)
    assert len(read_index([job.path]).photos) == 2


def test_features_are_there_when_they_are_whole_and_of_these_photos(job, album, save_view):
    assert not is_extracted(job)
    extract(job)
    assert is_extracted(job)
    assert not is_extracted(SiftJob(album, CHECKS, 5, job.path))
    content = bytearray(job.path.read_bytes())
    content[len(content) // 2] ^= 1
    job.path.write_bytes(content)
    assert not is_extracted(job)
    extract(job)
    save_view(album.folder / "a.png", x=30)
    assert not is_extracted(job)


def test_blocks_of_an_album_are_read_as_one(job, album, tmp_path):
    whole = extract(job)
    parts = [replace(album, photos=album.photos[i : i + 1]) for i in range(3)]
    paths = [tmp_path / f"{i}.h5" for i in range(3)]
    for part, path in zip(parts, paths, strict=True):
        extract(SiftJob(part, CHECKS, 0, path))
    index = read_index(paths)
    assert (index.album, index.rejected) == (whole.album, whole.rejected)
    assert [photo.sha256 for photo in index.photos] == [photo.sha256 for photo in whole.photos]
    backwards = read_features(index.photos[::-1])  # of several files, in the order asked for
    for ours, expected in zip(backwards[::-1], read_features(whole.photos), strict=True):
        np.testing.assert_array_equal(ours.xy, expected.xy)
        np.testing.assert_array_equal(ours.descriptors, expected.descriptors)
