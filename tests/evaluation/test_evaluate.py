import csv
import json
import math
import os
import re
import signal
import subprocess
import sys
import urllib.parse

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srntt_pipeline.checkpoints import CheckpointInfo, load_checkpoint, save_checkpoint
from srntt_pipeline.config import EvaluateParams, SwapParams, TrainParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.evaluation.restore import Restorer
from srntt_pipeline.layout import read_test_set
from srntt_pipeline.models import build_model
from srntt_pipeline.swaps.encoder import load_encoder

CPU = torch.device("cpu")
COLUMNS = [
    "dataset",
    "method",
    "reference",
    "protocol",
    "images",
    "psnr_db",
    "ssim",
    "paper_psnr_db",
    "paper_ssim",
]
BICUBIC, SISR, SRNTT = "Bicubic", "SRNTT-l2 (SISR)", "SRNTT-l2"


def save_tiny(path, seed=0):
    """Save an SRNTT with random weights, as if trained with the maps of a random encoder."""
    sizes = {"channels": 4, "blocks": (1, 1, 1, 1), "bicubic_skip": True}
    torch.manual_seed(seed)
    info = CheckpointInfo(
        model="srntt-l2",
        sizes=sizes,
        step=7,
        encoder=load_encoder("random", 0, CPU).identity.as_dict(),
        swaps=SwapParams(encoder_weights="random", scales=(1.0,), rotations_deg=(0.0,)),
        train=TrainParams(),
        dataset="",
        metrics={},
    )
    save_checkpoint(path, build_model("srntt-l2", sizes), info)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("model") / "srntt-l2.safetensors")


@pytest.fixture(scope="module")
def cufed(tmp_path_factory, shared):
    """Group 001 of CUFED5 at 96 px, and of its photos a group that lacks the levels 2, 3 and 5."""
    root = tmp_path_factory.mktemp("data") / "cufed"
    folder = root / "test" / "CUFED5"
    folder.mkdir(parents=True)
    source = shared / "data" / "cufed" / "test" / "CUFED5"
    photos = [Image.open(source / f"001_{k}.png").resize((96, 64)) for k in range(6)]
    for k, photo in enumerate(photos):
        photo.save(folder / f"001_{k}.png")
    for k, photo in {0: photos[2], 1: photos[0], 4: photos[3]}.items():
        photo.save(folder / f"002_{k}.png")
    return root


@pytest.fixture(scope="module")
def evaluated(cufed, checkpoint, tmp_path_factory):
    """A whole evaluation: every reference of both groups."""
    out = tmp_path_factory.mktemp("evaluation")
    evaluate(cufed, out, EvaluateParams(), checkpoint=checkpoint, workers=1, device="cpu")
    return out


def run(dataset, out, checkpoint=None, workers=1, **params):
    evaluate(
        dataset, out, EvaluateParams(**params), checkpoint=checkpoint, workers=workers, device="cpu"
    )
    return out


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_method(out):
    return {(row["method"], row["reference"]): row for row in rows(out / "table.csv")}


def links_of(page):
    """Return the files that a page names, as it writes them."""
    named = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    named += [picture["url"] for image in data for picture in image["pictures"]]
    return [link for link in named if link != "data:,"]


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def plain_folder(folder, photograph, names=("a.png", "b.png")):
    folder.mkdir()
    for index, name in enumerate(names):
        view = photograph[40 * index : 40 * index + 45, 160:226]
        Image.fromarray(view).save(folder / name)
    return folder


# The numbers


def test_the_table_has_exactly_the_promised_columns(evaluated):
    with (evaluated / "table.csv").open() as file:
        assert next(csv.reader(file)) == COLUMNS


def test_every_method_has_a_row_for_each_reference_that_the_set_has(evaluated):
    counts = {key: int(row["images"]) for key, row in by_method(evaluated).items()}
    assert counts == {
        (BICUBIC, "none"): 2,
        (SISR, "none"): 2,
        (SRNTT, "HR (warp)"): 2,
        (SRNTT, "L1"): 2,
        (SRNTT, "L2"): 1,
        (SRNTT, "L3"): 1,
        (SRNTT, "L4"): 2,
        (SRNTT, "L5"): 1,
        (SRNTT, "LR"): 2,
        (SRNTT, "all"): 2,
    }
    assert len(rows(evaluated / "table.csv")) == len(counts)


def test_the_released_cufed5_is_found_at_its_root_and_at_its_test_folder(shared):
    root = shared / "data" / "cufed"
    found = read_test_set(root)
    assert found == read_test_set(root / "test" / "CUFED5")
    assert [(group.name, list(group.refs)) for group in found.groups] == [
        ("001", ["L1", "L2", "L3", "L4", "L5"])
    ]


def test_the_test_folder_gives_the_same_numbers_as_the_root(cufed, evaluated, checkpoint, tmp_path):
    run(cufed / "test" / "CUFED5", tmp_path, checkpoint, references=("L1", "L5"))
    expected = by_method(evaluated)
    found = by_method(tmp_path)
    assert list(found) == [(BICUBIC, "none"), (SRNTT, "L1"), (SRNTT, "L5")]
    assert all(found[key] == expected[key] for key in found)


def test_means_of_the_table_are_those_of_the_images(evaluated):
    images = rows(evaluated / "per_image.csv")
    for (method, reference), row in by_method(evaluated).items():
        own = [i for i in images if (i["method"], i["reference"]) == (method, reference)]
        assert len(own) == int(row["images"])
        for column, digits in (("psnr_db", 1e-4), ("ssim", 1e-5)):
            mean = sum(float(image[column]) for image in own) / len(own)
            assert float(row[column]) == pytest.approx(mean, abs=1.1 * digits)


def test_numbers_are_those_of_the_images_written(cufed, evaluated):
    for image in rows(evaluated / "per_image.csv"):
        if image["method"] == SRNTT and image["reference"] in ("L1", "all"):
            reference = image["reference"].lower()
            sr = pixels(evaluated / "images" / "srntt-l2" / reference / f"{image['image']}.png")
            hr = pixels(cufed / "test" / "CUFED5" / f"{image['image']}_0.png")
            luma, expected = (
                (i @ np.array([65.481, 128.553, 24.966]) / 255)[4:-4, 4:-4] for i in (sr, hr)
            )
            psnr = peak_signal_noise_ratio(expected, luma, data_range=255)
            assert float(image["psnr_db"]) == pytest.approx(psnr, abs=1e-4)


def test_every_number_carries_its_protocol(evaluated):
    for row in rows(evaluated / "per_image.csv"):
        assert (row["dataset"], row["protocol"], row["channel"]) == ("CUFED5", "luma", "luma")
        assert (row["border_px"], row["ssim_window"]) == ("4", "gaussian 11×11")
        assert "bicubic" in row["kernel"]
    assert {row["protocol"] for row in rows(evaluated / "table.csv")} == {"luma"}


def test_sisr_is_lr_as_its_own_reference(evaluated):
    table = by_method(evaluated)
    for column in ("images", "psnr_db", "ssim"):
        assert table[SISR, "none"][column] == table[SRNTT, "LR"][column]


def test_all_is_a_search_over_the_references_together(cufed, evaluated, checkpoint):
    restorer = Restorer(load_checkpoint(checkpoint), CPU)
    for name, levels in (("001", (1, 2, 3, 4, 5)), ("002", (1, 4))):
        hr, *refs = (pixels(cufed / "test/CUFED5" / f"{name}_{k}.png") for k in (0, *levels))
        lr = np.asarray(Image.fromarray(hr).resize((24, 16), Image.Resampling.BICUBIC))
        expected = restorer.super_resolve(lr, refs).astype(int)
        found = pixels(evaluated / "images" / "srntt-l2" / "all" / f"{name}.png")
        assert np.abs(found - expected).max() <= 1


def test_bicubic_on_urban100_agrees_with_pillow_and_scikit_image(shared, tmp_path):
    folder = shared / "data" / "urban100"
    run(folder, tmp_path, protocol="paper-urban100", workers=1)
    psnrs, ssims = [], []
    for path in sorted(folder.glob("*.png")):
        hr = Image.open(path).convert("RGB")
        hr = hr.crop((0, 0, hr.width // 4 * 4, hr.height // 4 * 4))
        lr = hr.resize((hr.width // 4, hr.height // 4), Image.Resampling.BICUBIC)
        sr = lr.resize(hr.size, Image.Resampling.BICUBIC)
        true, test = (
            16 + (65.481 * i[..., 0] + 128.553 * i[..., 1] + 24.966 * i[..., 2])[4:-4, 4:-4] / 255
            for i in (np.asarray(hr, float), np.asarray(sr, float))
        )
        psnrs.append(peak_signal_noise_ratio(true, test, data_range=255))
        ssims.append(structural_similarity(true, test, win_size=7, data_range=255))
    (row,) = rows(tmp_path / "table.csv")
    assert (row["dataset"], row["method"], row["reference"]) == ("Urban100", BICUBIC, "none")
    assert (row["images"], row["protocol"]) == ("4", "paper-urban100")
    assert float(row["psnr_db"]) == pytest.approx(np.mean(psnrs), abs=1e-3)
    assert float(row["ssim"]) == pytest.approx(np.mean(ssims), abs=1e-4)
    assert (row["paper_psnr_db"], row["paper_ssim"]) == ("23.14", "0.674")


# The paper's numbers and the notes


def test_the_papers_numbers_stand_beside_ours(shared, evaluated):
    printed = {
        (row["method"], row["reference"]): row
        for row in rows(shared / "paper" / "paper_tables.csv")
        if row["dataset"] == "CUFED5"
    }
    for (method, reference), row in by_method(evaluated).items():
        paper = printed.get((method, "all" if reference == "none" else reference))
        assert (paper is None) == (reference == "L5")
        if paper:
            assert float(row["paper_psnr_db"]) == float(paper["psnr_db"])
            assert float(row["paper_ssim"]) == float(paper["ssim"])
        else:
            assert row["paper_psnr_db"] == row["paper_ssim"] == ""


def test_differences_from_the_paper_are_shown(evaluated):
    markdown, page = ((evaluated / name).read_text() for name in ("table.md", "index.html"))
    lines = [line for line in markdown.splitlines() if line.startswith("| ")][1:]
    for line, row in zip(lines, rows(evaluated / "table.csv"), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[:3] == [row["method"], row["reference"], row["images"]]
        assert float(cells[3]) == pytest.approx(float(row["psnr_db"]), abs=0.0051)
        if row["paper_psnr_db"]:
            difference = float(row["psnr_db"]) - float(row["paper_psnr_db"])
            assert float(cells[5]) == pytest.approx(difference, abs=0.0051)
            assert cells[5][0] in "+-"
            assert f"<td>{cells[5]}</td>" in page
            assert float(cells[8]) == pytest.approx(
                float(row["ssim"]) - float(row["paper_ssim"]), abs=0.00051
            )
        else:
            assert cells[4] == cells[5] == cells[7] == cells[8] == ""


def test_readers_are_told_that_the_encoder_is_random(evaluated):
    for name in ("table.md", "index.html"):
        text = (evaluated / name).read_text()
        assert re.search("encoder is a random", text, re.IGNORECASE)
        assert "random, seed 0" in text
        assert "7 steps" in text


def test_the_page_refers_only_to_files_that_exist(evaluated):
    page = (evaluated / "index.html").read_text()
    links = links_of(page)
    assert {"table.csv", "table.md", "per_image.csv"} <= set(links)
    for name in ("001", "002"):
        outputs = {f"images/srntt-l2/{level}/{name}.png" for level in ("hr-warp", "l1", "all")}
        assert outputs <= set(links)
        for folder in ("grids", "page/matches", "page/hr"):
            assert f"{folder}/{name}.png" in links
    for link in links:
        assert (evaluated / urllib.parse.unquote(link)).is_file(), link


def test_pictures_of_another_run_are_removed_from_the_page(cufed, tmp_path):
    run(cufed, tmp_path)
    assert (tmp_path / "page" / "hr" / "002.png").exists()
    run(cufed, tmp_path, max_images=1)
    assert [path.name for path in sorted((tmp_path / "page" / "hr").iterdir())] == ["001.png"]


def test_pictures_are_drawn_of_each_group(evaluated):
    for name in ("001", "002"):
        assert min(Image.open(evaluated / "grids" / f"{name}.png").size) > 400


# Other sets, other choices


def test_without_a_checkpoint_bicubic_alone_is_measured(cufed, evaluated, tmp_path):
    run(cufed, tmp_path)
    (row,) = rows(tmp_path / "table.csv")
    assert row == by_method(evaluated)[BICUBIC, "none"]
    assert "Bicubic alone" in (tmp_path / "table.md").read_text()


def test_a_folder_without_references_is_measured_without_levels(checkpoint, photograph, tmp_path):
    dataset = plain_folder(tmp_path / "urban100", photograph)
    table = by_method(run(dataset, tmp_path / "out", checkpoint))
    assert list(table) == [
        (BICUBIC, "none"), (SISR, "none"), (SRNTT, "HR (warp)"), (SRNTT, "LR"),
    ]  # fmt: skip
    assert {(row["dataset"], row["images"]) for row in table.values()} == {("Urban100", "2")}
    # Table 1's number on sets without references is of LR as its own.
    assert table[SRNTT, "LR"]["paper_psnr_db"] == table[SISR, "none"]["paper_psnr_db"] == "25.5"
    assert table[SRNTT, "HR (warp)"]["paper_psnr_db"] == ""


def test_grey_images_of_a_benchmark_are_measured(photograph, tmp_path):
    dataset = plain_folder(tmp_path / "grey", photograph[..., 0])
    assert by_method(run(dataset, tmp_path / "out"))[BICUBIC, "none"]["images"] == "2"


def test_only_the_references_asked_for_are_evaluated_in_the_tables_order(
    cufed, evaluated, checkpoint, tmp_path
):
    table = by_method(run(cufed, tmp_path, checkpoint, references=("all", "LR", "HR (warp)")))
    assert [reference for method, reference in table if method == SRNTT] == [
        "HR (warp)", "LR", "all",
    ]  # fmt: skip
    expected = by_method(evaluated)
    assert all(row == expected[key] for key, row in table.items())


def test_only_the_first_images_are_evaluated_when_asked(cufed, tmp_path):
    run(cufed, tmp_path, max_images=1)
    assert [row["image"] for row in rows(tmp_path / "per_image.csv")] == ["001"]


def test_another_protocol_measures_the_same_images_anew(cufed, checkpoint, tmp_path, contents):
    chosen = {"references": ("L1",), "max_images": 1}
    run(cufed, tmp_path / "both", checkpoint, protocol="rgb", **chosen)
    run(cufed, tmp_path / "both", checkpoint, protocol="luma-full", **chosen)
    run(cufed, tmp_path / "one", checkpoint, protocol="luma-full", **chosen)
    assert contents(tmp_path / "both") == contents(tmp_path / "one")


def test_flat_images_give_infinite_psnr_and_valid_json(tmp_path):
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (48, 48), (90, 120, 40)).save(tmp_path / "flat" / "flat.png")
    out = run(tmp_path / "flat", tmp_path / "out")
    (row,) = rows(out / "table.csv")
    assert float(row["psnr_db"]) == math.inf
    assert float(row["ssim"]) == 1

    def refuse(constant):
        pytest.fail(f"{constant} is no JSON")

    json.loads((out / "metrics.json").read_text(), parse_constant=refuse)


def test_odd_names_are_shown_as_they_are(photograph, tmp_path):
    names = ["ü & 50% #1.png", "<u>.png", 'say "a".png', "x$y_1$.png", "two words.png"]
    dataset = plain_folder(tmp_path / "a <i> & b", photograph, names)
    out = run(dataset, tmp_path / "out")
    page = (out / "index.html").read_text(encoding="utf-8")
    for raw in ("<i>", "<u>", "ü & ", 'say "a"', "a <i> &"):
        assert raw not in page
    links = links_of(page)
    assert len(links) > 20
    assert all((out / urllib.parse.unquote(link)).is_file() for link in links)
    assert sorted(row["image"] + ".png" for row in rows(out / "per_image.csv")) == sorted(names)


# Bad input


@pytest.mark.parametrize("references", [("L6",), ("L1", "hr (warp)"), ("none",)])
def test_a_reference_that_the_set_lacks_is_refused_with_those_it_has(cufed, tmp_path, references):
    with pytest.raises(InputError, match=r"CUFED5 has HR \(warp\), L1, .*L5, LR, all") as refusal:
        run(cufed, tmp_path, references=references)
    assert references[-1] in str(refusal.value)


def test_an_unknown_protocol_is_refused_before_anything_is_written(cufed, tmp_path):
    with pytest.raises(InputError, match="paper-urban100"):
        run(cufed, tmp_path / "out", protocol="psnr")
    assert not (tmp_path / "out").exists()


def test_an_image_too_small_to_measure_is_refused(photograph, tmp_path):
    dataset = plain_folder(tmp_path / "small", photograph)
    Image.fromarray(photograph[:18, :40]).save(dataset / "tiny.png")
    with pytest.raises(InputError, match="40×16 px"):
        run(dataset, tmp_path / "out")


@pytest.mark.parametrize("k", [0, 1])
def test_a_corrupt_image_is_refused_by_name(photograph, checkpoint, tmp_path, k):
    dataset = plain_folder(tmp_path / "cut", photograph, ("1_0.png", "1_1.png"))
    path = dataset / f"1_{k}.png"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=rf"1_{k}\.png: ") as refusal:
        run(dataset, tmp_path / "out", checkpoint)
    assert "\n" not in str(refusal.value)


def test_two_images_of_one_name_are_refused(photograph, tmp_path):
    """Their outputs would be one file, and the numbers those of the other image."""
    dataset = plain_folder(tmp_path / "twice", photograph, ("a.png", "b.png", "a.bmp"))
    with pytest.raises(InputError, match=r"a\.(bmp|png)"):
        run(dataset, tmp_path / "out")


def test_a_name_that_no_table_can_hold_is_refused(photograph, tmp_path):
    dataset = plain_folder(tmp_path / "latin-1", photograph)
    try:
        os.link(dataset / "a.png", os.fsencode(dataset) + b"/caf\xe9.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    with pytest.raises(InputError, match="UTF-8"):
        run(dataset, tmp_path / "out")


def test_an_output_that_is_a_file_is_refused(cufed, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="is a file"):
        run(cufed, tmp_path / "out")


# Again, elsewhere, otherwise


def test_one_worker_and_two_write_the_same_bytes(cufed, evaluated, checkpoint, tmp_path, contents):
    run(cufed, tmp_path, checkpoint, workers=2)
    assert contents(tmp_path) == contents(evaluated)


KILLED_RUN = """
import os, signal, sys
from pathlib import Path
from PIL import Image
from srntt_pipeline.config import EvaluateParams
from srntt_pipeline.evaluation.evaluate import evaluate

save, saved = Image.Image.save, 0

def save_or_die(self, path, *args, **options):
    global saved
    saved += 1
    if saved == 8:  # within the first group
        Path(path).write_bytes(b"half a picture")
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, path, *args, **options)

Image.Image.save = save_or_die
dataset, checkpoint, out = map(Path, sys.argv[1:])
evaluate(dataset, out, EvaluateParams(), checkpoint=checkpoint, workers=1, device="cpu")
"""


def test_a_run_killed_in_the_middle_goes_on_to_the_same_bytes(
    cufed, evaluated, checkpoint, tmp_path, contents
):
    command = [sys.executable, "-c", KILLED_RUN, cufed, checkpoint, tmp_path]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    left = {path: path.stat().st_mtime_ns for path in tmp_path.glob("images/*/*/*.png")}
    assert left
    assert not (tmp_path / "table.csv").exists()

    run(cufed, tmp_path, checkpoint)
    assert contents(tmp_path) == contents(evaluated)
    kept = {
        path for path, time in left.items() if path.exists() and path.stat().st_mtime_ns == time
    }
    assert {path for path in left if not path.name.startswith(".")} == kept


def test_images_of_another_checkpoint_are_not_used(cufed, checkpoint, tmp_path, contents):
    other = save_tiny(tmp_path / "other.safetensors", seed=1)
    chosen = {"references": ("L1",), "max_images": 1}
    run(cufed, tmp_path / "both", checkpoint, **chosen)
    before = contents(tmp_path / "both")
    run(cufed, tmp_path / "both", other, **chosen)
    run(cufed, tmp_path / "one", other, **chosen)
    assert contents(tmp_path / "both") == contents(tmp_path / "one")
    assert contents(tmp_path / "both")["table.csv"] != before["table.csv"]


def test_images_of_another_seed_are_not_used(cufed, checkpoint, tmp_path, contents):
    chosen = {"references": ("HR (warp)",), "max_images": 1}
    run(cufed, tmp_path / "both", checkpoint, **chosen)
    before = contents(tmp_path / "both")
    run(cufed, tmp_path / "both", checkpoint, seed=1, **chosen)
    run(cufed, tmp_path / "one", checkpoint, seed=1, **chosen)
    assert contents(tmp_path / "both") == contents(tmp_path / "one")
    assert contents(tmp_path / "both")["table.csv"] != before["table.csv"]


def test_images_of_another_test_set_are_not_used(checkpoint, photograph, tmp_path, contents):
    dataset = plain_folder(tmp_path / "set", photograph, ["a.png"])
    chosen = {"references": ("LR",)}
    run(dataset, tmp_path / "both", checkpoint, **chosen)
    Image.fromarray(255 - pixels(dataset / "a.png")).save(dataset / "a.png")
    run(dataset, tmp_path / "both", checkpoint, **chosen)
    run(dataset, tmp_path / "one", checkpoint, **chosen)
    assert contents(tmp_path / "both") == contents(tmp_path / "one")


def test_references_that_changed_their_level_are_used_anew(
    checkpoint, photograph, tmp_path, contents
):
    dataset = plain_folder(tmp_path / "set", photograph, ("1_0.png", "1_1.png", "1_2.png"))
    chosen = {"references": ("L2",)}
    run(dataset, tmp_path / "both", checkpoint, **chosen)
    (dataset / "1_2.png").rename(dataset / "1_3.png")
    (dataset / "1_1.png").rename(dataset / "1_2.png")
    run(dataset, tmp_path / "both", checkpoint, **chosen)
    run(dataset, tmp_path / "one", checkpoint, **chosen)
    both, one = (contents(tmp_path / name) for name in ("both", "one"))
    assert both["table.csv"] == one["table.csv"]
    assert both["images/srntt-l2/l2/1.png"] == one["images/srntt-l2/l2/1.png"]
