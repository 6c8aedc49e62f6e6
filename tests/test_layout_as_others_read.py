"""A data set built here, read as the loaders of other RefSR projects read CUFED5.

They list files and pair them by position or by a file of names, crop HR to multiples of the scale,
make LR by bicubic ↓4, and pad or stitch references. Nothing of ours reads here: only glob, OpenCV
and NumPy.
"""

# ruff: noqa: PTH119, PTH207 - glob and basename are what they use

import csv
from glob import glob
from os.path import basename

import cv2
import numpy as np
import pytest

from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.demo import DemoAlbumJob, write_album
from srntt_pipeline.config import BuildParams, DemoAlbumsParams

REFERENCES = 5  # as the released CUFED5 has


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three albums at 158 px, which is no multiple of 4; five levels."""
    root = tmp_path_factory.mktemp("layout")
    params = DemoAlbumsParams(photos_min=9, photos_max=9, long_side_px=200)
    for scene in ("cat", "coffee", "temple"):
        write_album(DemoAlbumJob(scene, root / "albums" / scene, params))
    params = BuildParams(
        long_side_px=158, crop_px=80, levels=REFERENCES, levels_by="quantiles", train_pairs=15,
        test_groups=3, test_albums=0.6,
    )  # fmt: skip
    build_cufed5(root / "albums", root / "dataset", params, workers=1)
    return root / "dataset"


def read(path):
    image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    assert image is not None
    assert (image.dtype, image.ndim, image.shape[-1]) == (np.uint8, 3, 3), "8-bit colour, no alpha"
    return image


def crop_to_4(image):
    height, width = image.shape[:2]
    return image[: height // 4 * 4, : width // 4 * 4]


def pad_to(image, height, width):
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas


def test_training_pairs_by_position_in_sorted_listings(dataset):
    inputs = sorted(glob(f"{dataset}/train/input/*"))
    refs = sorted(glob(f"{dataset}/train/ref/*"))
    assert len(inputs) == 15
    assert [basename(path) for path in inputs] == [basename(path) for path in refs]
    with (dataset / "manifests" / "train.csv").open(newline="") as file:
        names = [f"{row['name']}.png" for row in csv.DictReader(file)]
    assert [basename(path) for path in inputs] == names
    for hr_path, ref_path in zip(inputs, refs, strict=True):
        hr, ref = read(hr_path), read(ref_path)
        assert hr.shape == ref.shape == (80, 80, 3)
        lr = cv2.resize(hr, (20, 20), interpolation=cv2.INTER_CUBIC)
        assert lr.shape[0] * 4 == hr.shape[0]
        assert not np.array_equal(hr, ref)


def test_a_batch_stacks_as_arrays_of_one_shape(dataset):
    batch = np.stack([read(path) for path in sorted(glob(f"{dataset}/train/*/*"))])
    assert batch.shape == (30, 80, 80, 3)


@pytest.mark.parametrize("k", range(1, REFERENCES + 1))
def test_test_images_by_position_of_their_endings(dataset, k):
    inputs = sorted(glob(f"{dataset}/test/CUFED5/*_0.png"))
    refs = sorted(glob(f"{dataset}/test/CUFED5/*_{k}.png"))
    assert len(inputs) == len(refs) == 3
    for hr_path, ref_path in zip(inputs, refs, strict=True):
        assert hr_path.replace("_0.png", f"_{k}.png") == ref_path
        hr, ref = crop_to_4(read(hr_path)), read(ref_path)
        height, width = hr.shape[:2]
        assert (height % 4, width % 4) == (0, 0)
        assert max(height, width) == 156
        lr = cv2.resize(hr, (width // 4, height // 4), interpolation=cv2.INTER_CUBIC)
        back = cv2.resize(lr, (width, height), interpolation=cv2.INTER_CUBIC)
        assert np.abs(back.astype(int) - hr).mean() < 30, "LR is of this HR"
        largest = max(height, *ref.shape[:2]), max(width, *ref.shape[:2])
        padded = pad_to(ref, *largest)
        np.testing.assert_array_equal(padded[: ref.shape[0], : ref.shape[1]], ref)
        cropped = crop_to_4(ref)
        assert (cropped.shape[0] % 4, cropped.shape[1] % 4) == (0, 0)


def test_groups_by_the_name_before_the_underscore(dataset):
    groups = {}
    for path in sorted(glob(f"{dataset}/test/CUFED5/*.png")):
        group, _, k = basename(path).removesuffix(".png").partition("_")
        groups.setdefault(group, []).append(int(k))
    assert groups == {name: list(range(REFERENCES + 1)) for name in ("000", "001", "002")}


def test_five_references_stitched_into_one(dataset):
    """Multi-reference code pastes a group's references onto one canvas of 500 px squares."""
    for hr_path in sorted(glob(f"{dataset}/test/CUFED5/*_0.png")):
        refs = [read(hr_path.replace("_0.png", f"_{k}.png")) for k in range(1, REFERENCES + 1)]
        assert all(max(ref.shape[:2]) <= 500 for ref in refs), "fits its square"
        stitched = np.concatenate([pad_to(ref, 500, 500) for ref in refs], axis=1)
        assert stitched.shape == (500, 2500, 3)
        for place, ref in enumerate(refs):
            square = stitched[:, 500 * place : 500 * (place + 1)]
            np.testing.assert_array_equal(square[: ref.shape[0], : ref.shape[1]], ref)
            assert ref.any()


def masa_multi(dataset):
    """MASA's loader of five references: lists by ending, squares of 512 px, one below the other.

    OpenCV raises an error where a reference is larger than its square.
    """
    lists = [sorted(glob(f"{dataset}/test/CUFED5/*_{k}.png")) for k in range(6)]
    for place in range(len(lists[0])):
        refs = []
        for listed in lists[1:]:
            ref = read(listed[place])
            rests = [512 - side for side in ref.shape[:2]]
            top, left = (rest // 2 for rest in rests)
            around = (top, rests[0] - top, left, rests[1] - left)
            refs.append(cv2.copyMakeBorder(ref, *around, cv2.BORDER_REPLICATE))
        yield read(lists[0][place]), cv2.vconcat(refs)


def test_masa_reads_five_references(dataset):
    scenes = list(masa_multi(dataset))
    assert len(scenes) == 3
    for number, (hr, refs) in enumerate(scenes):
        assert refs.shape == (5 * 512, 512, 3)
        for k in range(1, 6):
            ref = read(f"{dataset}/test/CUFED5/{number:03d}_{k}.png")
            tile = refs[512 * (k - 1) : 512 * k]
            top, left = ((512 - side) // 2 for side in ref.shape[:2])
            inner = tile[top : top + ref.shape[0], left : left + ref.shape[1]]
            np.testing.assert_array_equal(inner, ref)
        assert max(hr.shape[:2]) == 158


def test_masa_cannot_read_four(dataset, tmp_path):
    """The default: which is why formats.md tells of `--levels 5`."""
    folder = tmp_path / "test" / "CUFED5"
    folder.mkdir(parents=True)
    for path in glob(f"{dataset}/test/CUFED5/*_[0-4].png"):
        (folder / basename(path)).symlink_to(path)
    with pytest.raises(IndexError):
        next(masa_multi(tmp_path))


def test_c2_matching_reads_the_file_of_pairs(dataset):
    """Two names a line, with one space, below the folders that its options name."""
    folder = f"{dataset}/test/CUFED5"
    lines = open(f"{dataset}/test/CUFED5_pairs.txt").readlines()  # noqa: PTH123, SIM115 - as it does
    assert lines[0] == "000_0.png 000_1.png\n"
    assert len(lines) == 3
    for line in lines:
        hr_name, ref_name = line.strip().split(" ")
        assert hr_name.replace("_0.png", "_1.png") == ref_name
        hr, ref = crop_to_4(read(f"{folder}/{hr_name}")), crop_to_4(read(f"{folder}/{ref_name}"))
        largest = (max(sides) for sides in zip(hr.shape[:2], ref.shape[:2], strict=True))
        height, width = largest
        padded = [pad_to(image, height, width) for image in (hr, ref)]
        assert padded[0].shape == padded[1].shape
        assert (height % 4, width % 4) == (0, 0)


def test_c2_matching_trains_on_files_of_equal_names(dataset):
    inputs, refs = ({basename(p) for p in glob(f"{dataset}/train/{f}/*")} for f in ("input", "ref"))
    assert inputs == refs


def test_nothing_but_images_lies_where_listings_look(dataset):
    for folder in ("train/input", "train/ref", "test/CUFED5"):
        assert all(path.endswith(".png") for path in glob(f"{dataset}/{folder}/*"))
        assert not glob(f"{dataset}/{folder}/.*")
