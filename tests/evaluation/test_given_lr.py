"""LR images that came with a test set: taken as they are, found by name, refused where wrong."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from srntt_pipeline.config import EvaluateParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.imresize import imresize
from srntt_pipeline.layout import read_test_set, with_lr
from srntt_pipeline.methods import Method


class Trained(Method):
    """Enlarges by nearest neighbours; trained, as it says, on Pillow's LR."""

    name = "Trained"
    trained_on = "pillow"

    def super_resolve(self, scene, reference):
        return scene.lr.repeat(4, axis=0).repeat(4, axis=1)


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def hr(photograph):
    return photograph[40:85, 160:226]  # 45 × 66, cut to 44 × 64


@pytest.fixture
def dataset(hr, tmp_path):
    for name in ("a", "b"):
        save(tmp_path / "set" / f"{name}.png", hr)
    return tmp_path / "set"


@pytest.fixture
def lr(hr, dataset, tmp_path):
    """One that older MATLAB makes, and one that nobody does."""
    folder = tmp_path / "lr"
    save(folder / "a.png", imresize(hr[:44, :64], 11, 16, "replicate"))
    save(folder / "b.png", hr[:11, :16])
    return folder


def run(dataset, out, **params):
    chosen = EvaluateParams(**{"protocol": "luma", **params})
    evaluate(dataset, out, chosen, methods=[Trained()], device="cpu")
    return out


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def notes(out):
    return json.loads((out / "notes.json").read_text())["notes"]


def test_lr_as_given_wins_over_the_kernel_of_every_protocol(dataset, lr, hr, tmp_path):
    out = run(dataset, tmp_path / "out", lr=str(lr), protocol=("luma-full", "matlab"))
    for folder in ("pillow-4-given", "matlab-4-given"):
        for name in ("a", "b"):
            given = pixels(lr / f"{name}.png")
            assert np.array_equal(
                pixels(out / "images" / folder / "lr/none" / f"{name}.png"), given
            )
            sr = pixels(out / "images" / folder / "trained/none" / f"{name}.png")
            assert np.array_equal(sr[::4, ::4], given)
    baseline = Image.open(lr / "b.png").resize((64, 44), Image.Resampling.BICUBIC)
    luma = [
        16 + np.asarray(image, float) @ [65.481, 128.553, 24.966] / 255
        for image in (hr[:44, :64], baseline)
    ]
    expected = peak_signal_noise_ratio(*luma, data_range=255)
    (row,) = [
        row
        for row in rows(out / "per_image.csv")
        if (row["protocol"], row["method"], row["image"]) == ("luma-full", "Bicubic", "b")
    ]
    assert float(row["psnr_db"]) == pytest.approx(expected, abs=1e-6)
    kernels = {row["protocol"]: row["kernel"] for row in rows(out / "per_image.csv")}
    assert kernels == {
        "luma-full": "LR as given, enlarged by Pillow bicubic ×4",
        "matlab": "LR as given, enlarged by MATLAB bicubic (mirrored borders) ×4",
    }


def test_notes_say_that_lr_was_given_what_made_it_and_who_was_not_trained_on_it(
    dataset, lr, tmp_path
):
    out = run(dataset, tmp_path / "out", lr=str(lr))
    told = [
        "LR images are those in lr/, used as they are by every protocol: 1 of 2 equal MATLAB "
        "bicubic (replicated borders) to the last value; 1 of 2 are made by no kernel known here.",
        "LR as given: not trained on such LR, but on Pillow bicubic: Trained.",
    ]
    assert [note for note in notes(out) if "LR" in note][:2] == told
    for name in ("table.md", "index.html"):
        text = (out / name).read_text()
        assert "used as they are by every protocol" in text
        assert "LR as given, enlarged by Pillow bicubic ×4" in text


def test_given_lr_that_is_the_one_made_gives_the_same_numbers(dataset, hr, tmp_path):
    small = Image.fromarray(hr[:44, :64]).resize((16, 11), Image.Resampling.BICUBIC)
    for name in ("a", "b"):
        save(tmp_path / "lr" / f"{name}.png", np.asarray(small))
    given = run(dataset, tmp_path / "given", lr=str(tmp_path / "lr"))
    made = run(dataset, tmp_path / "made")
    assert rows(given / "table.csv") == rows(made / "table.csv")
    assert any("2 of 2 equal Pillow bicubic to the last value" in note for note in notes(given))
    for out in (given, made):
        assert not any("not trained on" in note for note in notes(out))


def test_given_and_made_lr_do_not_touch_each_others_pictures(dataset, lr, tmp_path, contents):
    both = run(dataset, tmp_path / "both")
    before = contents(both / "images")
    run(dataset, both, lr=str(lr))
    after = contents(both / "images")
    assert {name: after[name] for name in before} == before
    one = run(dataset, tmp_path / "one", lr=str(lr))
    assert (one / "table.csv").read_bytes() == (both / "table.csv").read_bytes()


def test_a_protocol_whose_lr_a_network_was_not_trained_on_says_so(dataset, tmp_path):
    out = run(dataset, tmp_path / "out", protocol=("luma", "matlab", "rgb", "matlab-replicate"))
    assert [note for note in notes(out) if "not trained on" in note] == [
        f"Protocol {name}: LR is made by MATLAB bicubic ({borders} borders); not trained on such "
        "LR, but on Pillow bicubic: Trained."
        for name, borders in (("matlab", "mirrored"), ("matlab-replicate", "replicated"))
    ]


def test_the_benchmarks_own_lr_files_are_what_matlab_made(shared, tmp_path):
    data = shared / "data"
    own = {"lr": str(data / "urban100_lr_x4"), "protocol": "matlab-replicate"}
    out = run(data / "urban100", tmp_path, **own, max_images=1)
    assert any(
        "1 of 1 equal MATLAB bicubic (replicated borders) to the last value" in note
        for note in notes(out)
    )
    (ours,) = [row for row in rows(out / "per_image.csv") if row["method"] == "Bicubic"]
    published = rows(shared / "paper" / "urban100_x4_per_image.csv")
    (theirs,) = [
        row for row in published if (row["image"], row["method"]) == ("img_001", "Bicubic")
    ]
    assert float(ours["psnr_db"]) == pytest.approx(float(theirs["psnr_db"]), abs=1e-4)
    assert float(ours["ssim"]) == pytest.approx(float(theirs["ssim"]), abs=1e-5)


# Names


@pytest.mark.parametrize(
    ("names", "lr_name"),
    [
        (["001_0.png", "001_1.png"], "001.png"),
        (["001_0.png", "001_1.png"], "001_0.png"),
        (["001_0.png", "001_1.png"], "001_LR.bmp"),
        (["baby.png"], "babyx4.png"),
        (["img_001_SRF_4_HR.png"], "img_001_SRF_4_LR.png"),
    ],
)
def test_names_are_those_of_hr_of_the_group_and_of_benchmarks(hr, tmp_path, names, lr_name):
    for name in names:
        save(tmp_path / "set" / name, hr)
    path = save(tmp_path / "lr" / lr_name, hr[:11, :16])
    save(tmp_path / "lr" / "another.png", hr[:9, :9])
    (group,) = with_lr(read_test_set(tmp_path / "set"), tmp_path / "lr").groups
    assert group.lr == path


# Refusals


def refused(dataset, tmp_path, folder):
    with pytest.raises(InputError) as refusal:
        run(dataset, tmp_path / "out", lr=str(folder))
    assert not (tmp_path / "out").exists()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_missing_folder_is_refused(dataset, tmp_path):
    assert refused(dataset, tmp_path, tmp_path / "no").endswith(
        "no: no such folder; name one of LR images (evaluate.lr)"
    )


def test_a_missing_lr_image_is_refused_with_the_names_it_could_have(dataset, lr, tmp_path):
    (lr / "b.png").unlink()
    told = refused(dataset, tmp_path, lr)
    assert told == (
        f"--lr {lr}: no LR image of b.png; it is to be called b.png or bx4.png or b_LR.png"
    )
    (lr / "b.cr3").write_bytes(b"raw")
    assert "no LR image of b.png (b: a camera's raw file" in refused(dataset, tmp_path, lr)


def test_two_lr_images_for_one_hr_are_refused(dataset, lr, hr, tmp_path):
    save(lr / "ax4.png", hr[:11, :16])
    assert refused(dataset, tmp_path, lr) == (
        f"--lr {lr}: a.png and ax4.png may both be the LR image of a.png; move one out"
    )


@pytest.mark.parametrize("size", [(16, 22), (11, 17), (44, 64)])
def test_lr_of_another_scale_is_refused_before_anything_is_written(
    dataset, lr, photograph, tmp_path, size
):
    save(lr / "b.png", photograph[: size[0], : size[1]])
    assert refused(dataset, tmp_path, lr) == (
        f"--lr: {lr / 'b.png'} is {size[1]}×{size[0]} px, not 16×11, which is b.png (66×45 px) ÷ 4;"
        " name the folder of this test set's LR images at ×4"
    )


def test_lr_that_lies_on_its_side_is_refused(dataset, lr, photograph, tmp_path):
    """Headers do not tell it from an image that is to be turned."""
    save(lr / "a.png", photograph[:16, :11])
    with pytest.raises(InputError, match=r"a\.png is 11×16 px, not 16×11"):
        run(dataset, tmp_path / "out", lr=str(lr))


def test_an_lr_image_that_is_damaged_leaves_its_group_out(dataset, lr, tmp_path):
    path = lr / "b.png"
    path.write_bytes(path.read_bytes()[:200])
    out = run(dataset, tmp_path / "out", lr=str(lr))
    assert {row["image"] for row in rows(out / "per_image.csv")} == {"a"}
    assert any("b.png: corrupt or truncated" in note for note in notes(out))


def test_the_folder_of_lr_images_is_no_place_for_outputs(dataset, lr):
    with pytest.raises(InputError):
        run(dataset, lr, lr=str(lr))
