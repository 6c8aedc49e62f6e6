"""Test sets whose references lie in a folder of their own: Sun80, WR-SR, any pair of folders."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.config import EvaluateParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.layout import read_test_set
from srntt_pipeline.methods import Method, Scene
from srntt_pipeline.methods.method import reference_rank

# Luma, 4 px: C2-Matching's published images, and Pillow's bicubic (../shared/methods.md).
WRSR = {"004": (28.06, 26.47), "006": (24.19, 21.96), "008": (33.86, 27.91), "013": (24.38, 22.42)}


class MeanOfReferences(Method):
    """Plain grey: the mean of all values of its references, so that SR tells which these were."""

    name = "Mean"

    def takes(self, reference):
        return reference not in ("none", "LR")

    def super_resolve(self, scene, reference):
        mean = np.mean([image.mean() for image in scene.images(reference)])
        return np.full((4 * scene.lr.shape[0], 4 * scene.lr.shape[1], 3), round(mean), np.uint8)


@pytest.fixture
def put(photograph):
    """Write an image; `tone`: plain, of that value."""

    def write(path, tone=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = None if tone is None else np.full((40, 40, 3), tone, np.uint8)
        Image.fromarray(photograph[100:140, 200:240] if plain is None else plain).save(path)
        return path

    return write


def found(test_set, folder):
    return {
        group.name: {name: str(path.relative_to(folder)) for name, path in group.refs.items()}
        for group in test_set.groups
    }


def test_wr_sr_is_read_by_its_root(tmp_path, put):
    for name in ("001", "002"):
        put(tmp_path / "set" / "input" / f"{name}.png")
        put(tmp_path / "set" / "ref" / f"{name}_ref.png", 9)
    test_set = read_test_set(tmp_path / "set")
    assert (test_set.name, test_set.unread, test_set.reading) == ("set", (), None)
    assert found(test_set, tmp_path / "set") == {
        "001": {"1": "ref/001_ref.png"}, "002": {"1": "ref/002_ref.png"}
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["", ".jpg"])
def test_sun80_has_a_folder_of_scene_matches_for_each_image(tmp_path, put, suffix):
    hr, matches = "Sun_Hays_SR_groundtruth", "Sun_Hays_SR_scenematches"
    put(tmp_path / hr / "a b.jpg")
    for k in range(12):
        put(tmp_path / matches / f"a b{suffix}" / f"web_{k:02d}.jpg", k)
    test_set = read_test_set(tmp_path)
    assert test_set.name == "Sun80"
    (group,) = test_set.groups
    assert list(group.refs) == [str(k) for k in range(1, 13)]
    assert [path.name for path in group.refs.values()] == [f"web_{k:02d}.jpg" for k in range(12)]


def test_references_by_name_under_another_suffix(tmp_path, put):
    names = ("alone", "suffixed", "several", "inside", "007_0")
    for name in names:
        put(tmp_path / "hr" / f"{name}.png")
    refs = (
        "alone.jpg", "suffixed_ref.webp", "several_2.JPG", "several_10.png", "inside/y.png",
        "inside/x.png", "007_1.png", "007_5.png", "of no image.png",
    )  # fmt: skip
    for name in refs:
        put(tmp_path / "refs" / name, 9)
    test_set = read_test_set(tmp_path / "hr", ref_folder=tmp_path / "refs")
    assert test_set.name == "hr"
    assert found(test_set, tmp_path / "refs") == {
        "007_0": {"L1": "007_1.png", "L5": "007_5.png"},  # levels are known: names as CUFED5's
        "alone": {"1": "alone.jpg"},
        "inside": {"1": "inside/x.png", "2": "inside/y.png"},
        "several": {"2": "several_2.JPG", "10": "several_10.png"},
        "suffixed": {"1": "suffixed_ref.webp"},
    }


def test_a_name_that_ends_in_a_number_is_of_its_own_hr_image(tmp_path, put):
    for name in ("a.png", "a_1.png"):
        put(tmp_path / "hr" / name)
        put(tmp_path / "refs" / name, 9)
    test_set = read_test_set(tmp_path / "hr", "images", tmp_path / "refs")
    assert found(test_set, tmp_path / "refs") == {"a": {"1": "a.png"}, "a_1": {"1": "a_1.png"}}


def test_images_without_a_reference_are_listed_and_left_out(tmp_path, put):
    for name in ("a", "b", "c", "d"):
        put(tmp_path / "hr" / f"{name}.png")
    put(tmp_path / "refs" / "a.png", 9)
    (tmp_path / "refs" / "b_ref.gif").write_bytes(b"GIF89a")
    (tmp_path / "refs" / "c.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "refs" / "d").mkdir()
    (tmp_path / "refs" / "d" / "x.jxl").write_bytes(b"\xff\x0a")
    test_set = read_test_set(tmp_path / "hr", ref_folder=tmp_path / "refs")
    assert [group.name for group in test_set.groups] == ["a"]
    reasons = {file.path.name: file.reason for file in test_set.unread}
    assert "b_ref.gif: not a photo's file type" in reasons["b.png"]
    assert "c.png: not a regular file" in reasons["c.png"]
    assert reasons["d.png"].startswith("no reference in refs/; it is to be called d.png, d_ref.png")
    assert "JPEG XL" in reasons["x.jxl"]


def test_links_to_folders_and_files_are_followed(tmp_path, put):
    put(tmp_path / "hr" / "a.png")
    put(tmp_path / "elsewhere" / "x.png", 9)
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "refs")
    test_set = read_test_set(tmp_path / "hr", ref_folder=tmp_path / "link")
    assert found(test_set, tmp_path / "link") == {"a": {"1": "a/x.png"}}


def test_a_reference_that_is_hr_itself_is_told(tmp_path, put, caplog):
    hr = put(tmp_path / "hr" / "a.png")
    (tmp_path / "refs").mkdir()
    shutil.copy(hr, tmp_path / "refs" / "a_ref.png")
    test_set = read_test_set(tmp_path / "hr", ref_folder=tmp_path / "refs")
    assert "1 of the references in refs/ have the bytes of their HR image" in test_set.reading
    assert test_set.reading in caplog.text


@pytest.mark.parametrize(
    ("refs", "told"),
    [
        (["a.png", "a_ref.png"], "a.png and a_ref.png may both be references of a.png"),
        (["a.png", "a.jpg"], "a.jpg and a.png may both be"),
        (["a_ref.png", "a_1.png"], "a_ref.png and a_1.png may both be"),
        (["a_1.png", "a_01.png"], "a_01.png and a_1.png may both be"),
        (["a/x.png", "a.png"], "a.png and x.png may both be"),
        (["a/x.png", "a.png.d/y.png"], None),
        (["b.png"], "no image of the test set has one"),
    ],
)
def test_names_of_two_readings_are_refused(tmp_path, put, refs, told):
    put(tmp_path / "hr" / "a.png")
    for name in refs:
        put(tmp_path / "refs" / name, 9)
    if told is None:
        assert read_test_set(tmp_path / "hr", ref_folder=tmp_path / "refs").groups
        return
    with pytest.raises(InputError, match=told):
        read_test_set(tmp_path / "hr", ref_folder=tmp_path / "refs")


def test_a_whole_cufed5_as_folder_of_references_is_refused(tmp_path, put):
    """Its GGG_0 is HR itself."""
    put(tmp_path / "hr" / "a_0.png")
    for k in range(3):
        put(tmp_path / "cufed5" / f"a_{k}.png")
    with pytest.raises(InputError, match=r"a_0\.png and a_1\.png may both be references"):
        read_test_set(tmp_path / "hr", ref_folder=tmp_path / "cufed5")


def test_folders_that_cannot_be_meant_are_refused(tmp_path, put):
    put(tmp_path / "hr" / "a_0.png")
    put(tmp_path / "hr" / "a_1.png")
    with pytest.raises(InputError, match="gone: no such folder; name one of references"):
        read_test_set(tmp_path / "hr", "images", tmp_path / "gone")
    with pytest.raises(InputError, match="each would be its own reference"):
        read_test_set(tmp_path / "hr", "images", tmp_path / "hr")
    with pytest.raises(InputError, match=r"a_0\.png has references beside it"):
        read_test_set(tmp_path / "hr", "auto", tmp_path)


def test_numbers_stand_in_their_order_where_levels_do():
    names = ["random", "10", "2", "L2", "HR (warp)", "LR", "none", "all", "L1", "1", "²"]
    assert sorted(names, key=reference_rank) == [
        "none", "HR (warp)", "1", "L1", "2", "L2", "10", "LR", "all", "random", "²",
    ]  # fmt: skip


def test_one_at_random_depends_on_seed_and_name_alone():
    lr = np.zeros((4, 4, 3), np.uint8)
    references = {str(k): np.full((16, 16, 3), k, np.uint8) for k in range(1, 21)}
    drawn = {
        (seed, name): Scene(lr, references, name=name, seed=seed).drawn
        for seed in range(10) for name in "ab"
    }  # fmt: skip
    assert len(set(drawn.values())) > 5
    for (seed, name), number in drawn.items():
        scene = Scene(lr, references, name=name, seed=seed)
        assert (scene.images("random")[0] == int(number)).all()
        assert scene.has("random")
        assert scene.made_from("random") == Scene(lr, {number: references[number]}).made_from(
            "random"
        )
    assert not Scene(lr).has("random")


def read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(dataset, out, **params):
    chosen = EvaluateParams(**{"protocol": ("luma",), **params})
    evaluate(dataset, out, chosen, methods=[MeanOfReferences()], device="cpu")
    return read_rows(out / "per_image.csv")


def test_a_number_is_measured_alone_only_where_it_is_asked_for(tmp_path, put):
    put(tmp_path / "hr" / "a.png")
    for k in range(1, 4):
        put(tmp_path / "refs" / "a" / f"{k}.png", 50 * k)
    protocols = ("luma", "luma-random", "luma-best")
    folder = str(tmp_path / "refs")
    rows = run(tmp_path / "hr", tmp_path / "out", ref_folder=folder, protocol=protocols)
    tones = {}
    for row in rows:
        if row["method"] == "Mean":
            tones[row["reference"]] = np.array(Image.open(tmp_path / "out" / row["picture"])).mean()
    assert set(tones) == {"HR (warp)", "all", "random", "best"}
    assert tones["all"] == 100
    assert tones["random"] in (50, 100, 150)
    kept = Image.open(tmp_path / "out" / "images" / "references" / "random" / "a.png")
    assert np.array(kept).mean() == tones["random"]
    asked = run(tmp_path / "hr", tmp_path / "more", ref_folder=folder, references=("3", "1"))
    assert [row["reference"] for row in asked] == ["none", "1", "3"]


def test_a_damaged_reference_leaves_its_image_out_with_a_line(tmp_path, put):
    for name in ("a", "b"):
        put(tmp_path / "input" / f"{name}.png")
        put(tmp_path / "ref" / f"{name}_ref.png", 9)
    damaged = tmp_path / "ref" / "b_ref.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    rows = run(tmp_path, tmp_path.parent / "out")
    assert {row["image"] for row in rows} == {"a"}
    notes = json.loads((tmp_path.parent / "out" / "notes.json").read_text())
    assert [entry["file"] for entry in notes["not_used"]] == ["b_ref.png"]


def test_results_do_not_go_where_references_are_read(tmp_path, put):
    put(tmp_path / "hr" / "a.png")
    put(tmp_path / "refs" / "a.png", 9)
    with pytest.raises(InputError, match="refs"):
        run(tmp_path / "hr", tmp_path / "refs", ref_folder=str(tmp_path / "refs"))


def test_wr_sr_with_the_published_images_of_c2_matching(shared, tmp_path):
    data = shared / "data" / "wrsr"
    test_set = read_test_set(data)
    assert found(test_set, data) == {
        name: {"1": f"ref/{name}_ref.png"} for name in ("004", "005", "006", "008", "013")
    }
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "1").symlink_to(data / "c2_matching_rec")
    evaluate(
        data, tmp_path / "out", EvaluateParams(protocol=("luma",), references=("1",)),
        methods=[f"C2-Matching={tmp_path / 'theirs'}"], device="cpu",
    )  # fmt: skip
    psnr = {}
    for row in read_rows(tmp_path / "out" / "per_image.csv"):
        assert row["reference_images"] == "1"
        psnr[row["image"], row["method"], row["reference"]] = float(row["psnr_db"])
    for name, (theirs, bicubic) in WRSR.items():
        assert psnr[name, "C2-Matching", "1"] == pytest.approx(theirs, abs=0.006)
        assert psnr[name, "Bicubic", "none"] == pytest.approx(bicubic, abs=0.006)
    assert ("005", "C2-Matching", "1") not in psnr  # not published: a line in the notes
