import json
import shutil
import signal
import struct
import subprocess
import sys
import types
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from srntt_pipeline.albums import contact_sheet, count_plot
from srntt_pipeline.albums.build import _test_photos, build_cufed5
from srntt_pipeline.albums.counts import count_matches
from srntt_pipeline.albums.demo import DemoAlbumJob, write_album
from srntt_pipeline.albums.manifest_rows import Rejected, TestRow, TrainRow, read_manifest
from srntt_pipeline.albums.photos import PhotoChecks
from srntt_pipeline.albums.pixels import Cut, CutJob, cut_photo
from srntt_pipeline.albums.prepare import prepare_part
from srntt_pipeline.albums.selection import ChosenGroup
from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.config import BuildParams, DemoAlbumsParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK
from srntt_pipeline.layout import read_test_set, read_train_pairs

PARAMS = BuildParams(
    long_side_px=160, crop_px=64, levels=2, levels_by="quantiles", train_pairs=10, test_groups=2
)


def with_params(**changes):
    return BuildParams(**(PARAMS.model_dump() | changes))


@pytest.fixture(scope="module")
def albums(tmp_path_factory):
    """Three albums of five photographs."""
    folder = tmp_path_factory.mktemp("build") / "albums"
    params = DemoAlbumsParams(photos_min=5, photos_max=5, long_side_px=200)
    for scene in ("cat", "coffee", "temple"):
        write_album(DemoAlbumJob(scene, folder / scene, params))
    return folder


@pytest.fixture(scope="module")
def built(albums, tmp_path_factory):
    """The data set of an undisturbed build."""
    out = tmp_path_factory.mktemp("build") / "out"
    build_cufed5(albums, out, PARAMS, workers=1)
    return out


@pytest.fixture
def copy(built, tmp_path):
    """A copy of the data set to spoil."""
    return shutil.copytree(built, tmp_path / "out")


@pytest.fixture
def without_pictures(monkeypatch):
    """Leave out the pictures for people, which take most of the time of so small a build."""
    for picture in (count_plot, contact_sheet):
        monkeypatch.setattr(picture, "draw", lambda *_: None)


def manifests(out):
    return (
        read_manifest(TrainRow, out / "manifests" / "train.csv"),
        read_manifest(TestRow, out / "manifests" / "test.csv"),
    )


def photo_by_pil(path, long_side):
    """The photo at working size, without our code."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    factor = long_side / max(image.size)
    if factor < 1:
        size = round(image.width * factor), round(image.height * factor)
        image = image.resize(size, Image.Resampling.LANCZOS)
    return image


def check_images(out, albums, long_side):
    """The images are those that the manifests describe, and there are no others."""
    train, test = manifests(out)
    expected = {}
    for row in train:
        for place, photo, x, y in (
            ("input", row.hr_photo, row.hr_x_px, row.hr_y_px),
            ("ref", row.ref_photo, row.ref_x_px, row.ref_y_px),
        ):
            image = photo_by_pil(albums / row.album / photo, long_side)
            box = (x, y, x + row.size_px, y + row.size_px)
            assert box[2] <= image.width
            assert box[3] <= image.height
            expected[f"train/{place}/{row.name}.png"] = image.crop(box)
    for row in test:
        image = photo_by_pil(albums / row.album / row.photo, long_side)
        expected[f"test/CUFED5/{row.group}_{row.k}.png"] = image
    for path, image in expected.items():
        np.testing.assert_array_equal(np.asarray(Image.open(out / path)), np.asarray(image))
    folders = [out / "train", out / "test"]
    images = {str(path.relative_to(out)) for f in folders for path in f.rglob("*.png")}
    assert images == set(expected)


# What is built


def test_images_are_what_the_manifests_describe(built, albums):
    check_images(built, albums, PARAMS.long_side_px)


def test_an_album_is_read_once_whatever_its_groups():
    class Album(types.SimpleNamespace):
        def index(self):
            self.reads += 1
            return types.SimpleNamespace(photos=[types.SimpleNamespace(name=n) for n in "abcd"])

    first, second = Album(name="x", reads=0), Album(name="y", reads=0)
    groups = [ChosenGroup(first, hr, (("d", 9),)) for hr in "abc"]
    groups.append(ChosenGroup(second, "a", (("b", 9),)))
    photos = _test_photos(groups)
    assert list(photos) == [("x", n) for n in "abcd"] + [("y", "a"), ("y", "b")]
    assert (first.reads, second.reads) == (1, 1)


def test_numbers_asked_for_are_built(built):
    train, test = manifests(built)
    assert len(train) == 10
    assert [row.name for row in train] == [f"{i:05d}" for i in range(10)]
    assert [(row.group, row.k) for row in test] == [(f"00{g}", k) for g in (0, 1) for k in range(3)]
    assert {row.level for row in train} == {"L1", "L2"}


def test_no_test_album_is_in_training(built):
    train, test = manifests(built)
    assert {row.album for row in train}.isdisjoint(row.album for row in test)


def test_counts_and_levels_in_the_manifests_are_those_of_the_photos(built, albums):
    train, test = manifests(built)
    hr = {row.group: row.photo for row in test if row.k == 0}
    pairs = [(row.album, row.hr_photo, row.ref_photo, row.matches) for row in train]
    pairs += [(row.album, hr[row.group], row.photo, row.matches) for row in test if row.k]
    for album, a, b, matches in pairs:
        folder = albums / album
        assert (
            count_matches(folder / a, folder / b, PARAMS.matching, PARAMS.long_side_px) == matches
        )
    for row in test:
        assert row.level == ("HR" if row.k == 0 else f"L{row.k}")
    for group in hr:
        counts = [row.matches for row in test if row.group == group and row.k]
        assert counts == sorted(counts, reverse=True)


def test_crops_of_training_hold_enough_matches(built):
    assert all(row.crop_matches >= PARAMS.crop_matches for row in manifests(built)[0])


def test_built_data_set_is_read_by_its_layout(built):
    pairs, test_set = read_train_pairs(built), read_test_set(built)
    assert [pair.name for pair in pairs] == [row.name for row in manifests(built)[0]]
    assert [list(group.refs) for group in test_set.groups] == [["L1", "L2"]] * 2
    assert test_set.name == "albums"


def test_summary_counts_what_was_built(built):
    report = json.loads((built / "summary.json").read_text())
    train, test = manifests(built)
    rejected = read_manifest(Rejected, built / "manifests" / "rejected.csv")
    assert (report["albums"], report["photos"], report["rejected"]) == (3, 15, len(rejected))
    assert report["photo_pairs"] == 3 * 5 * 4
    assert sum(report["photo_pairs_per_level"].values()) == report["photo_pairs"]
    assert report["train_pairs"] == sum(report["train_pairs_per_level"].values()) == len(train)
    assert report["test_groups"] == len({row.group for row in test})
    assert report["test_albums"] == sorted({row.album for row in test})
    # The albums lend each other photos: some are near-duplicates, and kept out.
    assert report["near_duplicates"] == [f"{r.album}/{r.photo}: {r.reason}" for r in rejected]
    assert all("has few pairs" in text or "near-dup" in text for text in report["warnings"])


def test_pictures_for_people_are_there(built):
    for name in ("match_counts.png", "contact_sheet.png"):
        image = np.asarray(Image.open(built / name).convert("L"))
        assert min(image.shape) > 200
        assert image.std() > 10


# The same bytes


def test_two_workers_build_the_same_bytes_as_one(albums, built, tmp_path, contents):
    build_cufed5(albums, tmp_path / "out", PARAMS, workers=2)
    assert contents(tmp_path / "out") == contents(built)


def test_building_again_changes_nothing(albums, copy, built, contents):
    images = {path: path.stat().st_mtime_ns for path in (copy / "train").rglob("*.png")}
    build_cufed5(albums, copy, PARAMS, workers=1)
    assert contents(copy) == contents(built)
    assert {path: path.stat().st_mtime_ns for path in images} == images


def test_last_line_tells_what_was_made_and_what_was_reused(albums, copy, caplog, without_pictures):
    gone = sorted((copy / "train" / "input").iterdir())[:3]
    for path in (*gone, next((copy / "work" / "counts").iterdir())):
        path.unlink()
    images = len([*(copy / "train").rglob("*.png"), *(copy / "test").rglob("*.png")])
    with caplog.at_level("INFO"):
        build_cufed5(albums, copy, PARAMS, workers=1)
    told = f"files of match counts: 1 made, 2 reused; images: 3 made, {images} reused; look at "
    assert told in caplog.text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path, other: path.write_bytes(b""),
        lambda path, other: path.write_bytes(other.read_bytes()),
        lambda path, other: path.write_bytes(path.read_bytes()[:-20]),
        lambda path, other: Image.open(other).save(path),  # as another program writes it
        lambda path, other: path.unlink(),
    ],
    ids=["empty", "another", "cut short", "foreign", "gone"],
)
def test_images_are_checked_by_what_they_are_not_by_name(albums, copy, built, contents, spoil):
    first, second = sorted((copy / "train" / "ref").glob("*.png"))[:2]
    spoil(first, second)
    build_cufed5(albums, copy, PARAMS, workers=1)
    assert contents(copy) == contents(built)


@pytest.mark.parametrize("name", ["train/ref", "train/input", "test/CUFED5", "train"])
def test_a_link_in_place_of_a_folder_is_refused(albums, copy, built, tmp_path, contents, name):
    """Old images under a new manifest, and images of somebody else, would be the outcome."""
    moved = tmp_path / "moved"
    shutil.move(copy / name, moved)
    (copy / name).symlink_to(moved)
    before = contents(moved)
    for params in (PARAMS, PARAMS.model_copy(update={"seed": 5})):
        with pytest.raises(InputError, match=rf"{name} is a link"):
            build_cufed5(albums, copy, params, workers=1)
    assert contents(moved) == before
    assert contents(copy / "manifests") == contents(built / "manifests")


def test_a_stray_image_is_told_and_kept(albums, copy, caplog, save_view):
    stray = save_view(copy / "train" / "ref" / "77777.png")
    content = stray.read_bytes()
    build_cufed5(albums, copy, PARAMS.model_copy(update={"seed": 5}), workers=1)
    assert stray.read_bytes() == content
    assert f"{stray} is not of this data set; move it out of there" in caplog.text


def test_a_build_that_fails_leaves_the_data_set_that_is_there(copy, built, tmp_path, contents):
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / "bad" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "bad" / "a" / name).touch()
    with pytest.raises(InputError, match=r"rejected\.csv says why"):
        build_cufed5(tmp_path / "bad", copy, PARAMS, workers=1)
    kept = {n: c for n, c in contents(copy).items() if "work/" not in n and n != "rejected.csv"}
    assert kept == {n: c for n, c in contents(built).items() if "work/" not in n}


def test_where_the_albums_lie_does_not_matter(
    albums, built, tmp_path, contents, without_pictures, monkeypatch
):
    shutil.copytree(albums, tmp_path / "elsewhere" / "albums")
    monkeypatch.chdir(tmp_path / "elsewhere")
    build_cufed5(Path("albums"), tmp_path / "out", PARAMS, workers=1)
    images = [name for name in contents(built) if "contact" not in name and "match_c" not in name]
    assert contents(tmp_path / "out") == {name: contents(built)[name] for name in images}


BUILD = """
import os, signal, sys
from pathlib import Path
from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.prepare import prepare_part
from srntt_pipeline.config import BuildParams

albums, out, params, workers, renames = sys.argv[1:]
left, rename = int(renames), os.replace

def rename_or_die(old, new):
    global left
    left -= "/.srntt_pipeline/" not in str(new)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(old, new)

os.replace = rename_or_die
params = BuildParams.model_validate_json(params)
build_cufed5(Path(albums), Path(out), params, workers=int(workers))
"""


def build_in_a_process(albums, out, params, workers=1, die_at_rename=0):
    """Start a build in a process of its own; it kills itself before its nth file is complete."""
    text = params.model_dump_json()
    arguments = [str(albums), str(out), text, str(workers), str(die_at_rename)]
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, *arguments],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.parametrize("nth_file", [2, 5, 8, 20], ids=["features", "counts", "manifest", "image"])
def test_killed_build_goes_on_to_the_same_bytes(albums, built, tmp_path, contents, nth_file):
    out = tmp_path / "out"
    killed = build_in_a_process(albums, out, PARAMS, die_at_rename=nth_file)
    assert killed.wait() == -signal.SIGKILL
    assert any("/partial/" in name for name in contents(out))
    build_cufed5(albums, out, PARAMS, workers=1)
    assert contents(out) == contents(built)


def test_build_killed_after_a_change_of_parameters_goes_on_to_the_right_bytes(
    albums, copy, tmp_path, contents
):
    params = with_params(seed=1, train_pairs=6)
    killed = build_in_a_process(albums, copy, params, die_at_rename=4)  # the manifests' last file
    assert killed.wait() == -signal.SIGKILL
    for out in (copy, tmp_path / "fresh"):
        build_cufed5(albums, out, params, workers=1)
    assert contents(copy) == contents(tmp_path / "fresh")


# In shards


def prepare(albums, out, *shards):
    for shard in shards:
        prepare_part(albums, out, PARAMS, ArrayPart.parse(shard), workers=1)


def merge(albums, out, params=PARAMS):
    build_cufed5(albums, out, params, workers=1, merge=True)


def test_shards_in_any_order_then_merge_build_the_same_bytes(albums, built, tmp_path, contents):
    out = tmp_path / "out"
    prepare(albums, out, "4/4", "2/4", "1/4", "3/4")  # more shards than albums
    assert {Path(name).parts[0] for name in contents(out)} == {"work", MARK}
    merge(albums, out)
    assert contents(out) == contents(built)


def test_shard_does_nothing_of_other_shards(albums, tmp_path, contents, caplog):
    out = tmp_path / "out"
    half_written = out / MARK / "partial" / "0123456789abcdef.h5"
    half_written.parent.mkdir(parents=True)
    half_written.touch()
    with caplog.at_level("INFO"):
        prepare(albums, out, "1/2")
    prepared = {Path(name).name.split("-")[0] for name in contents(out) if MARK not in name}
    assert prepared == {"cat", "temple"}
    assert half_written.exists()
    told = f"2 of 3 files of match counts (part 1/2) to {out / 'work'}; files: 2 made, 0 reused; "
    assert told in caplog.text


def merge_complaint(albums, out, params=PARAMS):
    """The one line with which a merge is refused; it changes nothing."""
    with pytest.raises(InputError) as error:
        merge(albums, out, params)
    assert not (out / "manifests").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_merge_names_an_album_that_no_shard_has_prepared(albums, tmp_path):
    out = tmp_path / "out"
    prepare(albums, out, "1/3")
    message = merge_complaint(albums, out)
    assert "2 of 3 albums lack features or counts of these photos" in message
    assert "coffee the first: run the parts again, which make what is missing" in message
    assert "(or --shard 2/3, the first of it alone)" in message
    prepare(albums, out, "2/3", "3/3")
    merge(albums, out)


@pytest.mark.parametrize("pattern", ["sift/coffee-*", "counts/coffee-*"])
@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_merge_refuses_missing_and_damaged_files(albums, tmp_path, pattern, how):
    out = tmp_path / "out"
    prepare(albums, out, "1/1")
    (path,) = (out / "work").glob(pattern)
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-100])
    assert "1 of 3 albums" in merge_complaint(albums, out)


def test_merge_refuses_shards_of_other_photos_or_parameters(albums, tmp_path):
    out = tmp_path / "out"
    changed = shutil.copytree(albums, tmp_path / "albums")
    prepare(changed, out, "1/1")
    assert "3 of 3 albums" in merge_complaint(changed, out, with_params(ratio=0.7))
    assert "3 of 3 albums" in merge_complaint(changed, out, with_params(long_side_px=170))
    (changed / "cat" / "00.jpg").unlink()
    message = merge_complaint(changed, out)
    assert "1 of 3 albums" in message
    assert "cat the first" in message


# A changed build


@pytest.mark.parametrize(
    "changes",
    [
        {"train_pairs": 4},
        {"seed": 5},
        {"crop_px": 48},
        {"long_side_px": 120},
        {"test_groups": 0},
        {"levels": 4, "bands": (60, 30, 10, 0), "levels_by": "bands"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_changed_parameters_leave_no_stale_image(albums, copy, without_pictures, changes):
    params = with_params(**changes)
    build_cufed5(albums, copy, params, workers=1)
    check_images(copy, albums, params.long_side_px)


def test_changed_and_missing_photos_leave_no_stale_image(
    albums, copy, tmp_path, without_pictures, save_view
):
    changed = shutil.copytree(albums, tmp_path / "albums")
    (changed / "cat" / "00.jpg").unlink()
    shutil.copy(changed / "temple" / "01.jpg", changed / "cat" / "01.jpg")
    shutil.rmtree(changed / "coffee")
    save_view(changed / "new" / "a.png")
    save_view(changed / "new" / "b.png", x=5)
    build_cufed5(changed, copy, PARAMS, workers=1)
    check_images(copy, changed, PARAMS.long_side_px)


def test_deleted_image_is_cut_again(albums, copy, built, contents, without_pictures):
    (copy / "train" / "ref" / "00003.png").unlink()
    (copy / "test" / "CUFED5" / "000_1.png").unlink()
    build_cufed5(albums, copy, PARAMS, workers=1)
    assert contents(copy) == contents(built)


@pytest.mark.parametrize("pattern", ["work/sift/*.h5", "work/counts/*.parquet", "manifests/*"])
def test_damaged_intermediate_is_made_again(
    albums, copy, built, contents, without_pictures, pattern
):
    damaged = sorted(copy.glob(pattern))
    assert len(damaged) >= 3
    for path in damaged:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    build_cufed5(albums, copy, PARAMS, workers=1)
    assert contents(copy) == contents(built)


def test_photo_that_changes_during_the_build_is_named(tmp_path, save_view):
    photo = save_view(tmp_path / "a.png")
    cut = Cut(tmp_path / "out.png", (0, 0, 64))
    with pytest.raises(InputError, match=r"a\.png changed while the data set was built"):
        cut_photo(CutJob(photo, "0" * 64, PhotoChecks(160, 64, 100), (cut,)))
    assert not cut.path.exists()


# Levels


def test_five_levels_make_groups_of_five_references(albums, tmp_path, without_pictures):
    params = with_params(levels=5, levels_by="bands", bands=(60, 30, 15, 3, 0))
    table = build_cufed5(albums, tmp_path, params, workers=1)
    assert list(table["photo_pairs_per_level"]) == ["L1", "L2", "L3", "L4", "L5"]
    for row in manifests(tmp_path)[0]:
        least = params.bands[int(row.level[1]) - 1]
        assert row.matches >= least


def test_five_quantiles_of_a_panned_view(tmp_path, without_pictures, save_view):
    """The first photo of a pan has partners from much alike to hardly alike."""
    for album, first in (("a", 0), ("b", 60)):
        for i in range(9):
            save_view(tmp_path / "albums" / album / f"{i}.png", x=first + 9 * i)
    params = with_params(levels=5, test_groups=3)
    build_cufed5(tmp_path / "albums", tmp_path / "out", params, workers=1)
    groups = read_test_set(tmp_path / "out").groups
    assert groups
    assert all(list(group.refs) == ["L1", "L2", "L3", "L4", "L5"] for group in groups)


def test_quantiles_grade_each_album_by_itself(built):
    """A quarter of one album's pairs may have fewer matches than another's worst pair."""
    counts = {}
    for path in sorted((built / "work" / "counts").glob("*.parquet")):
        table = pd.read_parquet(path)
        counts[path.name.split("-")[0]] = np.sort(
            np.concatenate([table["matches_ab"], table["matches_ba"]])
        )[::-1]
    for row in manifests(built)[0]:
        above = (counts[row.album] > row.matches).sum()
        assert row.level == ("L1" if above < len(counts[row.album]) / 2 else "L2")


def test_bands_that_no_photo_reaches_are_warned_of(albums, tmp_path, without_pictures):
    params = with_params(levels_by="bands", bands=(9000, 8000))
    report = build_cufed5(albums, tmp_path, params, workers=1)
    assert (report["train_pairs"], report["test_groups"]) == (0, 0)
    assert [text.split(":")[0] for text in report["warnings"]] == [
        "no training pairs",
        "no test groups",
    ]


def test_pictures_of_an_empty_data_set_are_no_error(albums, tmp_path):
    params = with_params(levels_by="bands", bands=(9000, 8000))
    build_cufed5(albums, tmp_path, params, workers=1)
    assert (tmp_path / "contact_sheet.png").is_file()


def test_single_album_is_for_training_alone(albums, tmp_path, without_pictures):
    report = build_cufed5(albums / "cat", tmp_path, PARAMS, workers=1)
    assert report["train_pairs"] == 10
    assert report["test_groups"] == 0
    assert report["warnings"][-1].startswith(
        "no test groups: there is one album with two usable photos, cat, "
    )


def test_a_pipeline_that_needs_both_parts_is_told_which_is_lacking(albums, tmp_path):
    """Before an image is cut; what was counted is kept."""
    of_cat, at_levels = albums / "cat", "levels by bands [9000, 8000] (levels present: none)"
    for folder, params, reasons in (
        (of_cat, PARAMS, ["test groups: there is one album with two usable photos, cat"]),
        (albums, with_params(test_groups=0), ["test groups: test_groups is 0"]),
        (albums, with_params(levels_by="bands", bands=(9000, 8000)), [
            "training pairs: no album outside the test set has pairs with a level",
            f"test groups: no photo has a reference at each of 2 {at_levels}",
        ]),
    ):  # fmt: skip
        with pytest.raises(InputError) as error:
            build_cufed5(folder, tmp_path, params, workers=1, both_parts=True)
        assert str(error.value).startswith(f"{folder}: no {reasons[0]}")
        assert all(f"no {reason}" in str(error.value) for reason in reasons)
    assert {path.name for path in tmp_path.iterdir()} == {"work", MARK}


def test_name_is_the_folders_or_the_one_given(albums, tmp_path, without_pictures):
    report = build_cufed5(albums / "cat", tmp_path, with_params(name="cats"), workers=1)
    assert report["name"] == "cats"
    assert build_cufed5(albums / "cat", tmp_path, PARAMS, workers=1)["name"] == "cat"


# Bad input


def png_of(width, height):
    """A PNG whose header says width × height; it holds no pixels worth mentioning."""

    def chunk(kind, body):
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")


def write_bad_photos(folder, view):
    """Write one file of each kind that no data set should hold; return why it should not."""
    image = Image.fromarray(view)
    deep = view.astype(np.uint16) * 257

    def save(name, picture=image, **options):
        picture.save(folder / name, **options)
        return folder / name

    jpeg = save("truncated.jpg")
    jpeg.write_bytes(jpeg.read_bytes()[:2000])
    png = save("corrupt.png")
    content = bytearray(png.read_bytes())
    content[len(content) // 2] ^= 0xFF
    png.write_bytes(content)
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no photo")
    (folder / "deep colour.png").write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    (folder / "deep grey.png").write_bytes(cv2.imencode(".png", deep[..., 0])[1].tobytes())
    (folder / "deep.tif").write_bytes(cv2.imencode(".tif", deep)[1].tobytes())
    save("grey.jpg", image.convert("L"))
    save("cmyk.jpg", image.convert("CMYK"))
    clear = image.convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    save("alpha.png", clear)
    save("palette.png", image.quantize(), transparency=0)
    frames = {"save_all": True, "append_images": [image.rotate(90)]}
    save("moving.webp", **frames)
    save("moving.gif", **frames)
    save("tiny.png", image.crop((0, 0, 8, 8)))
    (folder / "huge.png").write_bytes(png_of(20_000, 10_000))
    (folder / "dangling.jpg").symlink_to(folder / "gone.jpg")
    return {
        "truncated.jpg": "corrupt or truncated",
        "corrupt.png": "corrupt or truncated",
        "empty.jpg": "empty file (0 bytes)",
        "text.jpg": "not an image",
        "deep colour.png": "more than 8 bits a channel",
        "deep grey.png": "more than 8 bits a channel",
        "deep.tif": "more than 8 bits a channel",
        "grey.jpg": "grey",
        "cmyk.jpg": "colour mode CMYK",
        "alpha.png": "has an alpha channel",
        "palette.png": "colour mode P",
        "moving.webp": "animated or multi-page: 2 frames",
        "moving.gif": "not a photo's file type; export it as JPEG or PNG (.gif)",
        "tiny.png": "too small: 8×8 px, 64 px needed on the short side",
        "huge.png": "200 megapixels, over the limit of 100",
        "dangling.jpg": "a link to nothing",
    }


ODD_NAMES = ("Fête à Lund 1.jpg", "写真 2.png", 'a,b "c"; 100%.PNG', "-rf.jpeg", "turned.jpg")


@pytest.fixture(scope="module")
def bad(tmp_path_factory, photograph, save_view):
    """A build from albums that hold every kind of bad file: albums, data set, expected reasons."""
    root = tmp_path_factory.mktemp("bad")
    albums = root / "Fotos från Lund"
    for i, name in enumerate(ODD_NAMES[:-1]):
        save_view(albums / "odd names" / name, x=5 * i)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown after a quarter turn clockwise
    turned = np.rot90(photograph[20:140, 145:305])
    Image.fromarray(turned).save(albums / "odd names" / "turned.jpg", exif=exif, quality=95)

    for name, x in (("good 1.png", 100), ("good 2.png", 107)):
        save_view(albums / "mixed" / name, x)
    reasons = write_bad_photos(albums / "mixed", photograph[120:240, 120:280])
    expected = {("mixed", name): reason for name, reason in reasons.items()}
    shutil.copy(albums / "mixed" / "good 1.png", albums / "mixed" / "good 3.png")
    expected["mixed", "good 3.png"] = "the same file as mixed/good 1.png"

    for name, x in (("p.png", 210), ("q.png", 220)):
        save_view(albums / "second" / name, x)
    shutil.copy(albums / "mixed" / "good 2.png", albums / "second" / "copied.png")
    expected["second", "copied.png"] = "the same file as mixed/good 2.png"

    save_view(albums / "alone" / "only.png", 180)
    expected["alone", "only.png"] = "the album's only usable photo: it has no partner"
    (albums / "all bad").mkdir()
    (albums / "all bad" / "x.jpg").touch()
    expected["all bad", "x.jpg"] = "empty file (0 bytes)"

    params = with_params(train_pairs=200, test_groups=20)
    report = build_cufed5(albums, root / "out", params, workers=1)
    return albums, root / "out", expected, report


def test_bad_files_and_no_others_are_rejected_with_a_clear_reason(bad):
    _, out, expected, report = bad
    rows = read_manifest(Rejected, out / "manifests" / "rejected.csv")
    reasons = {(row.album, row.photo): row.reason for row in rows}
    assert reasons.keys() == expected.keys()
    assert len(rows) == len(expected) == report["rejected"]
    for file, reason in expected.items():
        assert reasons[file].startswith(reason), file


def test_data_set_is_built_from_the_good_files_around_bad_ones(bad):
    albums, out, expected, _ = bad
    check_images(out, albums, PARAMS.long_side_px)
    train, test = manifests(out)
    assert train
    assert test
    used = {(row.album, photo) for row in train for photo in (row.hr_photo, row.ref_photo)}
    used |= {(row.album, row.photo) for row in test}
    assert used.isdisjoint(expected)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_photo_with_an_odd_name_is_used(bad, name):
    _, out, _, _ = bad
    train, test = manifests(out)
    used = {(row.album, photo) for row in train for photo in (row.hr_photo, row.ref_photo)}
    used |= {(row.album, row.photo) for row in test}
    assert ("odd names", name) in used


def test_photo_of_a_turned_camera_is_upright(bad, photograph):
    """Upright, it is as wide as the others and shows the scene as it stands."""
    _, out, _, _ = bad
    train, test = manifests(out)
    view = photograph[20:140, 145:305].astype(float)
    pieces = [
        (out / "test" / "CUFED5" / f"{row.group}_{row.k}.png", view)
        for row in test
        if row.photo == "turned.jpg"
    ]
    pieces += [
        (
            out / "train" / "input" / f"{row.name}.png",
            view[row.hr_y_px : row.hr_y_px + 64, row.hr_x_px : row.hr_x_px + 64],
        )
        for row in train
        if row.hr_photo == "turned.jpg"
    ]
    assert pieces
    for path, expected in pieces:
        image = np.asarray(Image.open(path))
        assert image.shape == expected.shape
        assert np.abs(image - expected).mean() < 10


# Input that nothing can be built from: one line that names it


def complaint(albums, out):
    with pytest.raises(InputError) as error:
        build_cufed5(albums, out, PARAMS, workers=1)
    message = str(error.value)
    assert "\n" not in message
    assert str(albums) in message
    return message


def test_missing_folder(tmp_path):
    assert "no such folder" in complaint(tmp_path / "albums", tmp_path / "out")


def test_empty_folder(tmp_path):
    (tmp_path / "albums").mkdir()
    assert "no albums found" in complaint(tmp_path / "albums", tmp_path / "out")


def test_folder_without_albums(tmp_path):
    (tmp_path / "albums" / "empty").mkdir(parents=True)
    (tmp_path / "albums" / "readme.txt").touch()
    assert "no albums found" in complaint(tmp_path / "albums", tmp_path / "out")


def test_nothing_but_bad_photos(tmp_path):
    (tmp_path / "albums" / "a").mkdir(parents=True)
    for name in ("1.jpg", "2.png"):
        (tmp_path / "albums" / "a" / name).touch()
    message = complaint(tmp_path / "albums", tmp_path / "out")
    rejected = tmp_path / "out" / "rejected.csv"
    assert str(rejected) in message
    assert [row.photo for row in read_manifest(Rejected, rejected)] == ["1.jpg", "2.png"]


def test_albums_of_one_photo_each(tmp_path, save_view):
    for album, x in (("a", 0), ("b", 50)):
        save_view(tmp_path / "albums" / album / "1.png", x)
    assert "no album has two usable photos" in complaint(tmp_path / "albums", tmp_path / "out")


def test_output_that_is_a_file(albums, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="out is a file; name a folder"):
        build_cufed5(albums, tmp_path / "out", PARAMS, workers=1)


@pytest.mark.parametrize("place", [".", "out", "cat/out"])
def test_output_inside_the_albums_is_refused_and_not_made(albums, place, contents):
    before = contents(albums)
    with pytest.raises(InputError, match="lies inside"):
        build_cufed5(albums, albums / place, PARAMS, workers=1)
    assert contents(albums) == before


def test_album_in_an_album_of_its_name_is_built(albums, tmp_path, without_pictures):
    root = shutil.copytree(albums / "cat", tmp_path / "photos")
    shutil.copytree(albums / "temple", root / "photos")
    report = build_cufed5(root, tmp_path / "out", PARAMS, workers=1)
    assert (report["albums"], report["photos"]) == (2, 10)
