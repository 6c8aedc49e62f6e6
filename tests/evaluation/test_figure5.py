"""Figure 5, of an evaluation of real images with two methods."""

import csv
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.config import EvaluateParams, TablesParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.evaluation.figure5 import FOLDER
from srntt_pipeline.evaluation.paper_tables import paper_tables

FIGURES = ["figure5_photos.pdf", "figure5_photos.png"]


@pytest.fixture(scope="module")
def results(tmp_path_factory, shared):
    """Three crops of Urban100 with bicubic and with SR of another program (Lanczos)."""
    folder = tmp_path_factory.mktemp("figure5")
    for name in ("photos", "theirs"):
        (folder / name).mkdir()
    for path in sorted((shared / "data" / "urban100").glob("*.png"))[:3]:
        hr = Image.open(path).convert("RGB").crop((200, 200, 328, 296))
        hr.save(folder / "photos" / path.name)
        lr = hr.resize((32, 24), Image.Resampling.BICUBIC)
        lr.resize(hr.size, Image.Resampling.LANCZOS).save(folder / "theirs" / path.name)
    evaluate(folder / "photos", folder / "results", EvaluateParams(protocol=("luma",)),
             methods=[f"Theirs={folder / 'theirs'}"], device="cpu")  # fmt: skip
    return folder / "results"


def drawn(out, results, **params):
    paper_tables([results], out, TablesParams(**params))
    return sorted(path.name for path in (out / FOLDER).iterdir() if path.suffix != ".md")


def test_a_figure_is_drawn_of_the_images_where_methods_differ_most(tmp_path, results):
    assert drawn(tmp_path / "a", results, max_images=2) == FIGURES
    with (results / "per_image.csv").open(newline="", encoding="utf-8") as file:
        psnr = {(row["image"], row["method"]): float(row["psnr_db"])
                for row in csv.DictReader(file)}  # fmt: skip
    images = sorted({image for image, _ in psnr})
    apart = {name: abs(psnr[name, "Bicubic"] - psnr[name, "Theirs"]) for name in images}
    text = (tmp_path / "a" / FOLDER / "figure5.md").read_text()
    shown = re.findall(r"(img\S+) \d+x\d+\+\d+\+\d+", text.replace("\\", ""))
    assert shown == sorted(sorted(apart, key=apart.get)[1:])
    assert "by protocol `luma`" in text


def test_the_same_figure_has_the_same_bytes(tmp_path, results, contents):
    for name in ("a", "b"):
        drawn(tmp_path / name, results, max_images=1)
    assert contents(tmp_path / "a" / FOLDER) == contents(tmp_path / "b" / FOLDER)
    pdf = (tmp_path / "a" / FOLDER / FIGURES[0]).read_bytes()
    assert b"CreationDate" not in pdf


def test_details_are_the_pixels_of_the_pictures(tmp_path, results):
    """HR's detail and bicubic's stand side by side, enlarged by a whole number."""
    name = next(results.glob("images/bicubic/none/*.png")).name
    image = name.removesuffix(".png")
    drawn(tmp_path / "out", results, images=(image,), detail=(f"{image}=32x24+40+16",))
    figure = np.asarray(Image.open(tmp_path / "out" / FOLDER / FIGURES[1]).convert("RGB"))
    pictures = {"HR": results / "page" / "hr" / name,
                "Bicubic": results / "images" / "bicubic" / "none" / name}  # fmt: skip
    for place in pictures.values():
        detail = np.asarray(Image.open(place))[16:40, 40:72]
        large = detail.repeat(10, axis=0).repeat(10, axis=1)
        corner = (figure[: -large.shape[0] + 1, : -large.shape[1] + 1] == large[0, 0]).all(axis=2)
        assert any(
            (figure[y : y + 240, x : x + 320] == large).all() for y, x in np.argwhere(corner)
        )


def test_methods_can_be_chosen_and_no_figure_at_all(tmp_path, results):
    out = tmp_path / "out"
    both = drawn(out, results, max_images=1)
    size = Image.open(out / FOLDER / FIGURES[1]).size
    assert drawn(out, results, max_images=1, methods=("Theirs",)) == both
    assert Image.open(out / FOLDER / FIGURES[1]).size != size
    assert drawn(out, results, max_images=0) == []  # ours of before are removed
    assert (out / "table1.md").is_file()


def test_missing_pictures_are_told_in_a_line_and_the_tables_are_made(tmp_path, results, caplog):
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    shutil.rmtree(copy / "images" / "theirs")
    assert drawn(tmp_path / "a", copy, max_images=1) == FIGURES
    (told,) = [r.getMessage() for r in caplog.records if "Figure 5" in r.getMessage()
               and "left out" in r.getMessage()]  # fmt: skip
    assert "Theirs" in told
    caplog.clear()
    shutil.rmtree(copy / "images")
    assert drawn(tmp_path / "b", copy) == []
    (told,) = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert "evaluate again" in told
    assert "\n" not in told
    assert (tmp_path / "b" / "table1.csv").read_bytes() == (
        tmp_path / "a" / "table1.csv"
    ).read_bytes()


def test_a_damaged_picture_and_one_outside_are_not_shown(tmp_path, results, caplog):
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    table = copy / "per_image.csv"
    table.write_text(table.read_text().replace("images/theirs/", "../../theirs/"))
    for path in (copy / "images" / "bicubic" / "none").iterdir():
        path.write_bytes(b"\x89PNG")
    assert drawn(tmp_path / "out", copy) == []
    told = [record.getMessage() for record in caplog.records]
    assert (
        len([line for line in told if re.match("Figure 5, photos, image .*: .*bicubic", line)]) == 3
    )
    assert not any("theirs" in line for line in told)
    assert "cannot be used" in (tmp_path / "out" / FOLDER / "figure5.md").read_text()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"images": ("none such",)}, "images: none such was not evaluated"),
        ({"methods": ("Bicubic", "SRNTT")}, "methods: SRNTT was not evaluated"),
        ({"detail": ("x=4x4+0+0",)}, "image x is not shown"),
        ({"detail": ("IMAGE=999x4+0+0",)}, "128x96 px; 999x4.* lies beyond it"),
    ],
)
def test_what_is_not_there_is_refused_in_a_line(tmp_path, results, params, words):
    image = next(results.glob("page/hr/*.png")).stem
    params = {key: tuple(t.replace("IMAGE", image) for t in texts)
              for key, texts in params.items()}  # fmt: skip
    with pytest.raises(InputError, match=words) as refusal:
        drawn(tmp_path / "out", results, **params)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()
