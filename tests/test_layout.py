import json
import os

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import group_file, read_test_set, read_train_pairs

TEST = "test/CUFED5"


@pytest.fixture
def image(tmp_path):
    def write(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)

    return write


def levels(dataset):
    return {group.name: list(group.refs) for group in read_test_set(dataset).groups}


# Names


def test_name_that_leaves_no_room_for_those_of_outputs_is_told_at_once(tmp_path, image):
    image("a.png", "x" * 250 + ".png")
    assert len(read_test_set(tmp_path).groups) == 2
    image("é" * 125 + "x.png")
    test_set = read_test_set(tmp_path)
    assert len(test_set.groups) == 2
    assert ["too long" in file.reason for file in test_set.unread] == [True]


# Test sets


@pytest.mark.parametrize("count", [4, 5])
def test_four_and_five_references_are_l1_and_so_on(tmp_path, image, count):
    image(*(f"{TEST}/{g}_{k}.png" for g in ("000", "001") for k in range(count + 1)))
    groups = read_test_set(tmp_path).groups
    assert [group.name for group in groups] == ["000", "001"]
    for group in groups:
        assert group.hr == tmp_path / TEST / f"{group.name}_0.png"
        assert group.refs == {
            f"L{k}": tmp_path / TEST / f"{group.name}_{k}.png" for k in range(1, count + 1)
        }


def test_missing_references_leave_the_others_their_levels(tmp_path, image):
    image(f"{TEST}/000_0.png", f"{TEST}/000_1.png", f"{TEST}/000_4.png", f"{TEST}/001_0.png")
    assert levels(tmp_path) == {"000": ["L1", "L4"], "001": []}


def test_root_and_test_folder_give_the_same_groups(tmp_path, image):
    image(f"{TEST}/000_0.png", f"{TEST}/000_1.png")
    assert read_test_set(tmp_path).groups == read_test_set(tmp_path / TEST).groups


def test_group_without_hr_is_named(tmp_path, image):
    image(f"{TEST}/000_0.png", f"{TEST}/000_1.png", f"{TEST}/001_1.png", f"{TEST}/001_2.png")
    with pytest.raises(InputError, match=r"without an HR image: 001_0\.png is missing"):
        read_test_set(tmp_path)


def test_no_group_with_hr_is_an_error_not_a_plain_folder(tmp_path, image):
    image(f"{TEST}/000_1.png", f"{TEST}/000_2.png")
    with pytest.raises(InputError, match=r"000_0\.png is missing"):
        read_test_set(tmp_path)


def test_stray_image_in_the_test_folder_does_not_turn_references_into_test_images(tmp_path, image):
    """A picture someone left there must be named or passed over, never make 001_1 an HR image."""
    image(f"{TEST}/000_0.png", f"{TEST}/000_1.png", f"{TEST}/overview.png")
    try:
        found = levels(tmp_path)
    except InputError as error:
        found = str(error)
    assert found == {"000": ["L1"]} or "overview.png" in found
    assert "000_1" not in found


def test_files_that_are_no_images_and_hidden_ones_are_passed_over(tmp_path, image):
    image(f"{TEST}/000_0.png", f"{TEST}/000_1.png", f"{TEST}/.000_2.png")
    (tmp_path / TEST / "readme.txt").touch()
    assert levels(tmp_path) == {"000": ["L1"]}


def test_plain_folder_has_hr_images_without_references(tmp_path, image):
    image("b.png", "a.jpg")
    test_set = read_test_set(tmp_path)
    assert [(group.name, group.hr.name, group.refs) for group in test_set.groups] == [
        ("a", "a.jpg", {}),
        ("b", "b.png", {}),
    ]
    assert test_set.name == tmp_path.name


def test_plain_folder_whose_names_end_like_references_is_plain(tmp_path, image):
    image("img_1.png", "img_2.png", "img_3.png")
    assert levels(tmp_path) == {"img_1": [], "img_2": [], "img_3": []}


def test_plain_folder_with_only_some_names_like_a_group_is_plain(tmp_path, image):
    image("img_0.png", "img_1.png", "castle.png")
    assert levels(tmp_path) == {"castle": [], "img_0": [], "img_1": []}


def test_how_names_were_read_that_could_mean_two_things_is_told(tmp_path, image, caplog):
    """frame_0 … frame_3.png was one image with three references, without a word."""
    image(*(f"frame_{k}.png" for k in range(4)))
    test_set = read_test_set(tmp_path)
    assert [list(group.refs) for group in test_set.groups] == [["L1", "L2", "L3"]]
    assert test_set.reading == (
        "Names are taken as those of groups: frame_0.png is an HR image, frame_1.png, frame_2.png, "
        "frame_3.png are its references. If each is a test image of its own: --layout images "
        "(evaluate.layout)."
    )
    assert f"{tmp_path}: {test_set.reading}" in caplog.messages
    image("castle.png")
    test_set = read_test_set(tmp_path)
    assert len(test_set.groups) == 5
    assert "castle.png is not" in test_set.reading
    assert "--layout groups" in test_set.reading


def test_the_reading_can_be_asked_for(tmp_path, image, caplog):
    image(*(f"frame_{k}.png" for k in range(3)))
    plain = read_test_set(tmp_path, "images")
    assert [(group.name, group.refs) for group in plain.groups] == [
        (f"frame_{k}", {}) for k in range(3)
    ]
    groups = read_test_set(tmp_path, "groups")
    assert [(group.name, list(group.refs)) for group in groups.groups] == [("frame", ["L1", "L2"])]
    assert plain.reading is groups.reading is None
    assert not caplog.messages
    image("castle.png")
    with pytest.raises(InputError, match=r"castle\.png: not named GGG_K\.png.*--layout images"):
        read_test_set(tmp_path, "groups")
    (tmp_path / "castle.png").unlink()
    (tmp_path / "frame_0.png").unlink()
    with pytest.raises(InputError, match=r"frame_0\.png is missing.*--layout images"):
        read_test_set(tmp_path, "groups")


def test_a_folder_of_groups_keeps_its_own_name(tmp_path, image):
    """It was called CUFED5 anywhere, and set beside the paper's numbers."""
    image("set/a_0.png", "set/a_1.png", f"x/{TEST}/a_0.png", f"x/{TEST}/a_1.png")
    assert read_test_set(tmp_path / "set").name == "set"
    nothing_to_ask = read_test_set(tmp_path / "x")
    assert (nothing_to_ask.name, nothing_to_ask.reading) == ("CUFED5", None)


def test_names_that_are_no_groups_leave_nothing_to_tell(tmp_path, image):
    image("img_1.png", "img_2.png")
    assert read_test_set(tmp_path).reading is None


def test_numbers_of_two_digits_are_no_reference_numbers(tmp_path, image):
    image(*(f"img_{i:02d}.png" for i in range(3)))
    assert list(levels(tmp_path)) == ["img_00", "img_01", "img_02"]


@pytest.mark.parametrize("content", [None, "empty"])
def test_missing_or_empty_folder_is_named(tmp_path, content):
    folder = tmp_path / "set"
    if content:
        folder.mkdir()
    with pytest.raises(InputError) as error:
        read_test_set(folder)
    assert str(folder) in str(error.value)


def test_name_is_the_one_the_builder_recorded(tmp_path, image):
    image(f"{TEST}/000_0.png", f"{TEST}/000_1.png")
    assert read_test_set(tmp_path).name == "CUFED5"
    (tmp_path / "summary.json").write_text(json.dumps({"name": "lund-200"}))
    assert read_test_set(tmp_path).name == "lund-200"
    assert read_test_set(tmp_path / TEST).name == "lund-200"


@pytest.mark.parametrize("content", ["[]", '{"name": 3}', "{}"])
def test_summary_of_another_program_names_nothing(tmp_path, image, content):
    image(f"{TEST}/000_0.png", f"{TEST}/000_1.png")
    (tmp_path / "summary.json").write_text(content)
    assert read_test_set(tmp_path).name == "CUFED5"


@pytest.mark.parametrize("content", ['{"name": "lund"}', "not JSON"])
def test_plain_folder_is_not_named_after_a_data_set_that_it_lies_in(tmp_path, image, content):
    image("urban100/a.png", "more/sun80/b.png")
    (tmp_path / "summary.json").write_text(content)
    assert read_test_set(tmp_path / "urban100").name == "urban100"
    assert read_test_set(tmp_path / "more" / "sun80").name == "sun80"


def test_place_of_a_group_image_is_the_one_that_is_read(tmp_path, image):
    image(*(str(group_file("007", k)) for k in range(3)))
    assert levels(tmp_path) == {"007": ["L1", "L2"]}


# Training pairs


def test_pairs_are_matched_by_name(tmp_path, image):
    image("train/input/b.png", "train/input/a.png", "train/ref/a.png", "train/ref/b.png")
    pairs = read_train_pairs(tmp_path)
    assert [pair.name for pair in pairs] == ["a", "b"]
    for pair in pairs:
        assert pair.hr == tmp_path / "train" / "input" / f"{pair.name}.png"
        assert pair.ref == tmp_path / "train" / "ref" / f"{pair.name}.png"


def test_missing_training_reference_is_named(tmp_path, image):
    image("train/input/a.png", "train/input/b.png", "train/ref/a.png")
    with pytest.raises(InputError) as error:
        read_train_pairs(tmp_path)
    assert str(tmp_path / "train" / "ref" / "b.png") in str(error.value)
    assert "1 of 2" in str(error.value)


@pytest.mark.parametrize("present", [[], ["train/input"], ["train/input", "train/ref"]])
def test_no_training_pairs_is_an_error_that_names_the_folder(tmp_path, present):
    for folder in present:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(InputError) as error:
        read_train_pairs(tmp_path)
    assert str(tmp_path) in str(error.value)


# The manifest of a data set built here


def tables(dataset, train=("00000", "00001"), test=(("000", 0), ("000", 1))):
    (dataset / "manifests").mkdir(exist_ok=True)
    rows = "".join(f"Album,{name},L1\n" for name in train)
    (dataset / "manifests" / "train.csv").write_text(f"album,name,level\n{rows}")
    rows = "".join(f"{group},{k},HR\n" for group, k in test)
    (dataset / "manifests" / "test.csv").write_text(f"group,k,level\n{rows}")


@pytest.fixture
def built(tmp_path, image):
    image(*(f"train/{side}/0000{i}.png" for side in ("input", "ref") for i in range(2)))
    image(f"{TEST}/000_0.png", f"{TEST}/000_1.png")
    tables(tmp_path)
    return tmp_path


def test_a_data_set_as_its_manifest_names_it_is_read(built):
    assert [pair.name for pair in read_train_pairs(built)] == ["00000", "00001"]
    assert levels(built) == levels(built / TEST) == {"000": ["L1"]}


@pytest.mark.parametrize("gone", [("input",), ("ref",), ("input", "ref")], ids="-".join)
def test_a_pair_that_the_manifest_names_must_be_there(built, gone):
    for side in gone:
        (built / "train" / side / "00001.png").unlink()
    first = built / "train" / gone[0] / "00001.png"
    with pytest.raises(
        InputError, match=r"train\.csv names \(1 of 2 are\); build .* again"
    ) as told:
        read_train_pairs(built)
    assert str(told.value).startswith(f"{first} is missing")


@pytest.mark.parametrize("side", ["input", "ref"])
def test_a_pair_that_the_manifest_does_not_name_is_refused(built, image, side):
    image(f"train/{side}/00002.png")
    with pytest.raises(InputError, match=r"00002\.png is not in .*train\.csv .*move it out"):
        read_train_pairs(built)


@pytest.mark.parametrize("folder", ["", TEST])
def test_test_images_are_those_of_the_manifest(built, image, folder):
    image(f"{TEST}/000_2.png")
    with pytest.raises(InputError, match=r"000_2\.png is not in .*test\.csv"):
        read_test_set(built / folder)
    tables(built, test=[("000", 0), ("000", 1), ("000", 2), ("001", 0)])
    with pytest.raises(InputError, match=r"001_0\.png is missing, which .*test\.csv names"):
        read_test_set(built / folder)


@pytest.mark.parametrize("content", [b"a\n1\n", b"name\n\xff\n", b"name,x\n", b"x,name\n1\n"])
def test_a_table_that_is_no_manifest_is_named(built, content):
    (built / "manifests" / "train.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"train\.csv"):
        read_train_pairs(built)


# Real data sets


def test_real_cufed5_group(shared):
    for dataset in (shared / "data" / "cufed", shared / "data" / "cufed" / "test" / "CUFED5"):
        test_set = read_test_set(dataset)
        assert test_set.name == "CUFED5"
        (group,) = test_set.groups
        assert group.name == "001"
        assert group.hr.name == "001_0.png"
        assert {level: path.name for level, path in group.refs.items()} == {
            f"L{k}": f"001_{k}.png" for k in range(1, 6)
        }


def test_real_cufed_training_pairs(shared):
    pairs = read_train_pairs(shared / "data" / "cufed")
    assert len(pairs) == 10
    assert all(Image.open(pair.hr).size == (160, 160) for pair in pairs)
    assert all(pair.hr.name == pair.ref.name for pair in pairs)


@pytest.mark.parametrize("name", ["urban100", "sun80"])
def test_real_benchmarks_without_references(shared, name):
    test_set = read_test_set(shared / "data" / name)
    assert test_set.name == name
    assert len(test_set.groups) == 4
    assert not any(group.refs for group in test_set.groups)


def test_data_set_without_test_groups_is_not_a_folder_of_images(tmp_path, photograph):
    """Its contact sheet is no HR image."""
    (tmp_path / "train" / "input").mkdir(parents=True)
    Image.fromarray(photograph).save(tmp_path / "contact_sheet.png")
    with pytest.raises(InputError, match="without test groups"):
        read_test_set(tmp_path)


def save_as(path, photograph):
    Image.fromarray(photograph[:40, :40]).save(path, "PNG")


def test_images_that_cannot_be_used_are_told_with_a_reason(tmp_path, photograph):
    for name in ("a.png", "b.jfif", "c", "d.png_orig", f"{'x' * 250}.png", f"{'y' * 251}.png"):
        save_as(tmp_path / name, photograph)
    (tmp_path / "e.CR3").touch()
    (tmp_path / "notes.txt").write_text("no image")
    os.mkfifo(tmp_path / "f.png")
    (tmp_path / "g.png").symlink_to("/dev/zero")
    (tmp_path / "h.png").mkdir()
    test_set = read_test_set(tmp_path)
    assert [group.name for group in test_set.groups] == ["a", "b", "x" * 250]
    assert {file.path.name: file.reason for file in test_set.unread} == {
        "c": "not a photo's file type (no suffix): it seems to be PNG",
        "d.png_orig": "not a photo's file type (.png_orig): it seems to be PNG",
        "e.CR3": "a camera's raw file: export it as JPEG or PNG (.cr3)",
        "f.png": "not a regular file",
        "g.png": "not a regular file",
        f"{'y' * 251}.png": "the name is too long: outputs are called after it; rename it",
    }


def test_a_group_whose_hr_image_is_not_used_is_left_out(tmp_path, photograph):
    for name in ("001_0.png", "001_1.png", "002_1.png"):
        save_as(tmp_path / name, photograph)
    (tmp_path / "002_0.CR3").touch()
    test_set = read_test_set(tmp_path)
    assert [group.name for group in test_set.groups] == ["001"]
    assert [file.path.name for file in test_set.unread] == ["002_0.CR3"]


def test_a_folder_without_usable_images_says_what_is_wrong_with_one(tmp_path):
    (tmp_path / "a.jxl").touch()
    with pytest.raises(InputError, match=r"no test images.*a\.jxl: JPEG XL: not read"):
        read_test_set(tmp_path)


def test_training_images_that_are_not_used_are_told(tmp_path, photograph, caplog):
    for side in ("input", "ref"):
        (tmp_path / "train" / side).mkdir(parents=True)
        save_as(tmp_path / "train" / side / "a.png", photograph)
    (tmp_path / "train" / "input" / "b.CR3").touch()
    assert [pair.name for pair in read_train_pairs(tmp_path)] == ["a"]
    assert "b.CR3 is not used: a camera's raw file" in caplog.text


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        read_test_set(tmp_path)
