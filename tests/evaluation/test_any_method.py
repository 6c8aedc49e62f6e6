"""Any method in one table: ours, a class, an installed package's, a folder of images."""

import csv
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.config import EvaluateParams
from srntt_pipeline.evaluation import measure
from srntt_pipeline.evaluation.evaluate import evaluate
from tests.methods.methods_of_ours import AsReference, Nearest, Picky, Wrong
from tests.tiny_networks import save_as, save_srntt


@pytest.fixture(scope="module")
def groups(tmp_path_factory, photograph):
    """Two groups of 48 px, each with one reference."""
    folder = tmp_path_factory.mktemp("set") / "test" / "CUFED5"
    folder.mkdir(parents=True)
    for number in (1, 2):
        for k in (0, 1):
            top = 60 * number + 10 * k
            Image.fromarray(photograph[top : top + 48, 150:206]).save(
                folder / f"{number:03}_{k}.png"
            )
    return folder.parents[1]


def run(dataset, out, *methods, **params):
    chosen = EvaluateParams(**{"protocol": "luma", **params})
    evaluate(dataset, out, chosen, methods=methods, workers=1, device="cpu")
    return out


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(out):
    return {(row["method"], row["reference"]): row for row in rows(out / "table.csv")}


def notes(out):
    return json.loads((out / "notes.json").read_text(encoding="utf-8"))


def test_what_a_method_cannot_do_is_told_and_nothing_is_left_out(groups, tmp_path, caplog):
    out = run(groups, tmp_path, Nearest(), Picky(), Wrong())
    counts = {key: row["images"] for key, row in table(out).items()}
    assert counts == {("Bicubic", "none"): "2", ("Nearest", "none"): "2", ("Picky", "L1"): "1"}
    told = notes(out)
    assert (
        "Measured with none, since they take no reference: Bicubic, Nearest, Wrong."
        in (told["notes"])
    )
    assert (
        "Picky has no SR of 1 images, so other means: 002, L1: it does not like 002."
        in (told["notes"])
    )
    assert any(note.startswith("Wrong has no SR of 2 images") for note in told["notes"])
    assert (
        "Picky is not measured with HR (warp), LR, all: it does not take this reference."
        in (told["notes"])
    )
    assert {"method": "Picky", "reference": "all", "image": "",
            "reason": "it does not take this reference"} in told["not_run"]  # fmt: skip
    assert "Picky, L1, 002: not run: it does not like 002" in caplog.messages
    assert "Wrong" in (out / "table.md").read_text()


def test_a_protocol_that_does_not_measure_a_method_is_told(groups, tmp_path):
    out = run(groups, tmp_path, Picky(), protocol=("luma-all", "luma"))
    found = {(row["protocol"], row["method"]) for row in rows(out / "table.csv")}
    assert ("luma-all", "Picky") not in found
    assert any("Picky is not measured: protocol luma-all" in note for note in notes(out)["notes"])


@pytest.mark.parametrize("protocol", ["luma", "luma-all", "luma-best"])
def test_sisr_stands_in_every_protocol_and_on_sets_without_references(
    groups, photograph, tmp_path, protocol
):
    """It was left out without a word: Bicubic stood alone."""
    sisr = save_as(tmp_path / "sisr.safetensors", "sisr", {"channels": 4, "blocks": 1})
    assert ("SISR", "none") in table(run(groups, tmp_path / "a", sisr, protocol=protocol))
    plain = tmp_path / "plain"
    plain.mkdir()
    Image.fromarray(photograph[:48, :48]).save(plain / "x.png")
    assert ("SISR", "none") in table(run(plain, tmp_path / "b", sisr, protocol=protocol))


@pytest.fixture(scope="module")
def several(tmp_path_factory, photograph):
    """Two groups of three references, which lie 2, 9 and 5 px from HR, or 9, 2 and 5."""
    folder = tmp_path_factory.mktemp("several") / "test" / "CUFED5"
    folder.mkdir(parents=True)
    for number, apart in ((1, (0, 2, 9, 5)), (2, (0, 9, 2, 5))):
        for k, shift in enumerate(apart):
            crop = photograph[60 * number + shift : 60 * number + shift + 48, 150:206]
            Image.fromarray(crop).save(folder / f"{number:03}_{k}.png")
    return folder.parents[1]


@pytest.mark.parametrize("protocol", [("luma-best-psnr",), ("luma-best-psnr", "luma")])
def test_the_reference_of_the_highest_psnr_is_that_of_a_level(several, tmp_path, protocol):
    out = run(several, tmp_path, AsReference(), Picky(), Nearest(), protocol=protocol)
    found = [row for row in rows(out / "per_image.csv") if row["protocol"] == "luma-best-psnr"]
    best = {row["image"]: row for row in found if row["method"] == "Reference"}
    assert {row["reference"] for row in best.values()} == {"best-psnr"}
    pictures = [best[image]["picture"] for image in ("001", "002")]
    assert pictures == ["images/reference/l1/001.png", "images/reference/l2/002.png"]
    assert {(row["method"], row["reference"]) for row in found} == {
        ("Reference", "best-psnr"), ("Picky", "best-psnr"), ("Nearest", "none"),
        ("Bicubic", "none"),
    }  # fmt: skip
    assert not any("luma-best-psnr measures" in note for note in notes(out)["notes"])
    if "luma" in protocol:
        of_l1 = {row["image"]: row["psnr_db"] for row in rows(out / "per_image.csv")
                 if (row["method"], row["protocol"]) == ("Reference", "luma")
                 and row["reference"] == "L1"}  # fmt: skip
        assert best["001"]["psnr_db"] == of_l1["001"]
        assert float(best["002"]["psnr_db"]) > float(of_l1["002"])


def test_that_reference_alone_can_be_asked_for(several, tmp_path):
    params = {"protocol": ("luma-best-psnr",), "references": ("best-psnr",), "max_images": 1}
    out = run(several, tmp_path, AsReference(), **params)
    assert {row["reference"] for row in rows(out / "table.csv")} == {"none", "best-psnr"}


def page_pictures(out):
    """Return the outputs that the page shows, by label."""
    page = (out / "index.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    image, found = data["images"][0], {}
    for series, value, full, *_ in image["pictures"]:
        if data["series"][series]["kind"] == "output":
            url = data["patterns"][full].replace("*", image["file"])
            found[data["series"][series]["label"]] = {"value": value, "url": url}
    return found


def test_the_page_shows_the_picture_that_was_measured(groups, tmp_path, tiny_models):
    """After a run with a network of its own for SISR, the page showed that one's picture."""
    srntt, sisr = tiny_models
    run(groups, tmp_path, srntt, sisr, max_images=1)
    out = run(groups, tmp_path, srntt, max_images=1)
    pictures = page_pictures(out)
    measured = {row["reference"]: row for row in rows(out / "per_image.csv")
                if row["method"].startswith("SRNTT-l2")}  # fmt: skip
    shown = pictures["SRNTT-l2 (SISR)"]
    assert shown["value"] == f"{float(measured['none']['psnr_db']):.2f} dB"
    lr = pictures["SRNTT-l2, LR"]
    images = [np.asarray(Image.open(out / p["url"])) for p in (shown, lr)]
    assert np.array_equal(*images)
    for row in rows(out / "per_image.csv"):
        assert (out / row["picture"]).is_file()


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return (
        save_srntt(folder / "a" / "srntt-l2.safetensors"),
        save_srntt(folder / "b" / "srntt-l2-sisr.safetensors", model="srntt-l2-sisr", seed=1),
    )


def test_two_checkpoints_of_one_file_name_have_a_curve_each(groups, tmp_path):
    for number, name in enumerate(("one", "two")):
        path = tmp_path / name / "sisr.safetensors"
        save_as(path, "sisr", {"channels": 4, "blocks": 1}, seed=number)
        (path.parent / "loss.csv").write_text("step,phase,loss\n1,a,0.5\n2,a,0.4\n")
    out = run(groups, tmp_path / "out", f"One={tmp_path}/one", f"Two={tmp_path}/two", max_images=1)
    curves = sorted(path.name for path in (out / "page" / "curves").iterdir())
    assert curves == ["one.png", "two.png"]


def test_names_that_would_share_a_folder_are_refused(groups, tmp_path):
    first, second = Nearest(), Nearest()
    first.name, second.name = "A+B", "A B"
    from srntt_pipeline.errors import InputError

    with pytest.raises(InputError, match="one folder"):
        run(groups, tmp_path / "out", first, second)


# Numbers that others published, of images that they made


@pytest.fixture(scope="module")
def release(shared, tmp_path_factory):
    """Group 001 of CUFED5, and what the authors' own program made of it, as folders of images."""
    folder = tmp_path_factory.mktemp("release")
    source = shared / "data" / "srntt_release_001"
    for name in ("SRNTT", "Upscale", "Bicubic"):
        (folder / name / "L2").mkdir(parents=True)
        Image.open(source / f"{name}.png").save(folder / name / "L2" / "001.png")
    Image.open(source / "SRNTT.png").save(folder / "001.png")
    return folder


def test_the_authors_own_images_have_their_numbers(shared, release, tmp_path):
    out = run(
        shared / "data" / "cufed",
        tmp_path,
        f"SRNTT (authors)={release / 'SRNTT'}",
        f"Upscale (authors)={release / 'Upscale'}",
        f"Bicubic (authors)={release / 'Bicubic'}",
        references=("L2",),
    )
    found = {key: round(float(row["psnr_db"]), 3) for key, row in table(out).items()}
    assert found == {
        ("Bicubic", "none"): 22.309,
        ("SRNTT (authors)", "L2"): 21.340,
        ("Upscale (authors)", "L2"): 21.346,
        ("Bicubic (authors)", "L2"): 22.309,
    }


def test_c2_matchings_images_have_their_numbers(shared, tmp_path):
    """One of the five has no image of theirs: that is told."""
    data = shared / "data" / "wrsr"
    out = run(data / "input", tmp_path, f"C2-Matching={data / 'c2_matching_rec'}")
    found = {
        (row["method"], row["image"]): float(row["psnr_db"]) for row in rows(out / "per_image.csv")
    }
    # 24.38 dB of 013 is 24.3748 here.
    theirs = {"004": 28.06, "006": 24.19, "008": 33.86, "013": 24.38}
    assert {image for method, image in found if method == "C2-Matching"} == set(theirs)
    for image, psnr in theirs.items():
        assert found["C2-Matching", image] == pytest.approx(psnr, abs=0.006)
    for image, psnr in {"004": 26.47, "006": 21.96, "008": 27.91, "013": 22.42}.items():
        assert found["Bicubic", image] == pytest.approx(psnr, abs=0.005)
    assert any("c2_matching_rec/ has no 005" in note for note in notes(out)["notes"])


# A package that someone else wrote

PACKAGE = '''
from PIL import Image
import numpy as np
from srntt_pipeline.methods import Method

class Lanczos(Method):
    """Lanczos interpolation."""

    name = "Lanczos"

    def super_resolve(self, scene, reference):
        height, width = scene.lr.shape[:2]
        large = Image.fromarray(scene.lr).resize((4 * width, 4 * height), Image.Resampling.LANCZOS)
        return np.array(large)
'''


def wheel(folder):
    """Write a wheel of that package, which brings a method by entry point."""
    info = "lanczos_sr-1.0.dist-info"
    files = {
        "lanczos_sr.py": PACKAGE,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: lanczos-sr\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": "[srntt_pipeline.methods]\nlanczos = lanczos_sr:Lanczos\n",
    }
    path = folder / "lanczos_sr-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        archive.writestr(f"{info}/RECORD", record)
    return path


def test_an_installed_package_brings_a_method(groups, tmp_path):
    """By its own worker processes, in another folder, with two of them."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", site, wheel(tmp_path)], check=True, capture_output=True)
    here = Path(measure.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{here}"}
    command = [sys.executable, "-c", "from srntt_pipeline.cli import main; main()", "evaluate"]
    options = ["--method", "lanczos", "--protocol", "luma", "--workers", "2", "--device", "cpu"]
    done = subprocess.run(
        [*command, groups, tmp_path / "out", *options],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = table(tmp_path / "out")
    assert list(found) == [("Bicubic", "none"), ("Lanczos", "none")]
    assert found["Lanczos", "none"]["images"] == "2"
    hr = Image.open(groups / "test" / "CUFED5" / "001_0.png")
    lr = hr.resize((hr.width // 4, hr.height // 4), Image.Resampling.BICUBIC)
    expected = lr.resize(hr.size, Image.Resampling.LANCZOS)
    picture = tmp_path / "out" / "images" / "lanczos" / "none" / "001.png"
    assert np.array_equal(np.asarray(Image.open(picture)), np.asarray(expected))
    assert "Lanczos" in page_pictures(tmp_path / "out")
