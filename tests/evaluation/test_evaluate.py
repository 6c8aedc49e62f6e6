import csv
import html
import json
import math
import os
import re
import urllib.parse
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srntt_pipeline.checkpoints import CheckpointInfo, load_checkpoint, save_checkpoint
from srntt_pipeline.config import EvaluateParams, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation import report, tables
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.evaluation.protocols import PROTOCOLS, Protocol
from srntt_pipeline.layout import read_test_set
from srntt_pipeline.methods import stitching
from srntt_pipeline.methods.restorer import Restorer
from srntt_pipeline.models import build_model, registry
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.windowed import WindowedSwap

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
    "psnr_db_low",
    "psnr_db_high",
    "ssim_low",
    "ssim_high",
    "parameters",
    "multiply_adds_per_pixel",
    "seconds_per_image",
    "peak_memory_mib",
    "cost_device",
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
        train=SrnttRecipe(),
        dataset="",
        metrics={},
    )
    save_checkpoint(path, build_model("srntt-l2", sizes), info)
    return path


def save_as(method, path, seed=2):
    """Save a tiny SRNTT as a checkpoint of another method, which must be registered."""
    described = json.loads(save_tiny(path, seed).with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(described | {"model": method}))
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
    """A whole evaluation: every reference of both groups, stated to be the released ones."""
    out = tmp_path_factory.mktemp("evaluation")
    return run(cufed, out, checkpoint, released="CUFED5")


def run(dataset, out, *checkpoints, workers=1, **params):
    chosen = EvaluateParams(**{"protocol": "luma", **params})
    evaluate(dataset, out, chosen, methods=checkpoints, workers=workers, device="cpu")
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
    named += [
        data["patterns"][place].replace("*", image["file"])
        for image in data["images"]
        for picture in (*image["pictures"], *image["figures"])
        for place in picture[2:5]
        if place >= 0
    ]
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
        (SRNTT, "paper-all"): 2,
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
    chosen = {"references": ("L1", "L5"), "released": "CUFED5"}
    run(cufed / "test" / "CUFED5", tmp_path, checkpoint, **chosen)
    expected = by_method(evaluated)
    found = by_method(tmp_path)
    assert list(found) == [(BICUBIC, "none"), (SISR, "none"), (SRNTT, "L1"), (SRNTT, "L5")]
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
        assert row["kernel"] == "Pillow bicubic ×4"
        assert (row["crop_multiple"], row["rounding"]) == ("4", "8-bit RGB")
        assert row["references"] == "each"
    assert {row["protocol"] for row in rows(evaluated / "table.csv")} == {"luma"}


def test_sisr_is_lr_as_its_own_reference(evaluated):
    table = by_method(evaluated)
    for column in ("images", "psnr_db", "ssim"):
        assert table[SISR, "none"][column] == table[SRNTT, "LR"][column]


@pytest.mark.parametrize("reference", ["all", "paper-all"])
def test_all_is_a_search_over_the_references_together(cufed, evaluated, checkpoint, reference):
    """And `paper-all` over the first four, where CUFED5 was released with five."""
    restorer = Restorer(load_checkpoint(checkpoint), CPU)
    most = 5 if reference == "all" else 4
    for name, levels in (("001", range(1, most + 1)), ("002", (1, 4))):
        hr, *refs = (pixels(cufed / "test/CUFED5" / f"{name}_{k}.png") for k in (0, *levels))
        lr = np.asarray(Image.fromarray(hr).resize((24, 16), Image.Resampling.BICUBIC))
        expected = restorer.super_resolve(lr, refs).astype(int)
        found = pixels(evaluated / "images" / "srntt-l2" / reference / f"{name}.png")
        assert np.abs(found - expected).max() <= 1


def test_all_of_five_references_is_not_the_papers(evaluated):
    table = by_method(evaluated)
    assert table[SRNTT, "all"]["paper_psnr_db"] == ""
    assert table[SRNTT, "paper-all"]["paper_psnr_db"] == "26.24"
    told = "CUFED5 has 5 references here, 4 in the paper: all is not the paper's"
    for name in ("table.md", "index.html"):
        assert html.unescape((evaluated / name).read_text()).count(told) == 1


def test_four_references_are_all_of_the_papers(photograph, tmp_path):
    names = [f"a_{k}.png" for k in range(5)]
    dataset = plain_folder(tmp_path / "set", photograph, names)
    with pytest.raises(InputError, match=r"'paper-all': .* L4, LR, all, stitched, stitched-masa, "):
        run(dataset, tmp_path / "out", references=("paper-all",))


def naive_imresize(image, height, width, replicate=False):
    """MATLAB's, by its definition: dense weights of Keys' kernel, rows, 8 bits, columns, 8 bits."""

    def weights(size, new):
        scale = new / size
        shrink = min(1, scale)
        matrix = np.zeros((new, size))
        for o in range(new):
            centre = (o + 0.5) / scale - 0.5
            for i in range(math.floor(centre - 2 / shrink), math.ceil(centre + 2 / shrink) + 1):
                x = abs(centre - i) * shrink
                near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
                j = i if i >= 0 else -1 - i
                j = j if j < size else 2 * size - 1 - j
                j = min(max(i, 0), size - 1) if replicate else j
                matrix[o, j] += near if x <= 1 else far if x < 2 else 0
        return matrix / matrix.sum(axis=1, keepdims=True)

    def to_8_bits(values):
        return np.clip(np.floor(values + 0.5), 0, 255)

    rows = to_8_bits(np.einsum("oi,ijc->ojc", weights(image.shape[0], height), image))
    return to_8_bits(np.einsum("oj,ijc->ioc", weights(image.shape[1], width), rows))


def bicubic_by_hand(path, matlab, replicate):
    """Return HR and ↓4 ↑4 of it, as floats."""
    photo = Image.open(path).convert("RGB")
    hr = photo.crop((0, 0, photo.width // 4 * 4, photo.height // 4 * 4))
    small = hr.width // 4, hr.height // 4
    if matlab:
        lr = naive_imresize(np.asarray(hr, float), small[1], small[0], replicate)
        return np.asarray(hr, float), naive_imresize(lr, hr.height, hr.width, replicate)
    lr = hr.resize(small, Image.Resampling.BICUBIC)
    return np.asarray(hr, float), np.asarray(lr.resize(hr.size, Image.Resampling.BICUBIC), float)


def values_by_hand(image, channel, border, round_luma):
    if channel == "luma":
        image = 16 + (65.481 * image[..., 0] + 128.553 * image[..., 1] + 24.966 * image[..., 2]) / (
            255
        )
        image = np.floor(image + 0.5) if round_luma else image
    return image[border : len(image) - border, border : image.shape[1] - border]


# What each protocol means for bicubic: channel, border, SSIM window, MATLAB's kernel and luma.
PROTOCOLS_BY_HAND = {
    "luma": ("luma", 4, "gaussian", False),
    "paper-urban100": ("luma", 4, "uniform", False),
    "rgb": ("rgb", 4, "gaussian", False),
    "luma-full": ("luma", 0, "gaussian", False),
    "rgb-full": ("rgb", 0, "gaussian", False),
    "matlab": ("luma", 4, "gaussian", True),
    "matlab-replicate": ("luma", 4, "gaussian", True),
    "luma-all": ("luma", 4, "gaussian", False),
    "luma-stitched": ("luma", 4, "gaussian", False),
    "luma-best": ("luma", 4, "gaussian", False),
    "luma-best-psnr": ("luma", 4, "gaussian", False),
    "luma-full-all": ("luma", 0, "gaussian", False),
    "luma-full-stitched": ("luma", 0, "gaussian", False),
    "luma-full-stitched-masa": ("luma", 0, "gaussian", False),
    "luma-random": ("luma", 4, "gaussian", False),
    "luma-full-random": ("luma", 0, "gaussian", False),
}


def test_bicubic_on_urban100_agrees_with_pillow_and_scikit_image_under_every_protocol(
    shared, tmp_path
):
    assert set(PROTOCOLS_BY_HAND) == set(PROTOCOLS)
    folder = shared / "data" / "urban100"
    run(folder, tmp_path, protocol=tuple(PROTOCOLS_BY_HAND), max_images=1)
    images = rows(tmp_path / "per_image.csv")
    assert len(images) == len(PROTOCOLS_BY_HAND)
    made = {}
    for row in images:
        channel, border, window, matlab = PROTOCOLS_BY_HAND[row["protocol"]]
        replicate = row["protocol"] == "matlab-replicate"
        key = row["image"], matlab, replicate
        if key not in made:
            made[key] = bicubic_by_hand(folder / f"{row['image']}.png", matlab, replicate)
        true, test = (values_by_hand(i, channel, border, matlab) for i in made[key])
        options = {"win_size": 7} if window == "uniform" else {
            "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False
        }  # fmt: skip
        axis = 2 if channel == "rgb" else None
        psnr = peak_signal_noise_ratio(true, test, data_range=255)
        ssim = structural_similarity(true, test, data_range=255, channel_axis=axis, **options)
        assert float(row["psnr_db"]) == pytest.approx(psnr, abs=1e-6)
        assert float(row["ssim"]) == pytest.approx(ssim, abs=1e-6)
    table = {row["protocol"]: row for row in rows(tmp_path / "table.csv")}
    assert list(table) == list(PROTOCOLS_BY_HAND)
    for protocol, row in table.items():
        assert (row["dataset"], row["method"], row["reference"]) == ("Urban100", BICUBIC, "none")
        assert (row["images"], row["paper_psnr_db"], row["paper_ssim"]) == ("1", "23.14", "0.674")
        own = [float(image["psnr_db"]) for image in images if image["protocol"] == protocol]
        assert float(row["psnr_db"]) == pytest.approx(np.mean(own), abs=1e-4)


# The paper's numbers and the notes


def test_the_papers_numbers_stand_beside_ours(shared, evaluated):
    printed = {
        (row["method"], row["reference"]): row
        for row in rows(shared / "paper" / "paper_tables.csv")
        if row["dataset"] == "CUFED5"
    }
    for (method, reference), row in by_method(evaluated).items():
        # CUFED5's five references are more than the paper has.
        of_table_1 = {"none": "all", "paper-all": "all", "all": "five"}
        paper = printed.get((method, of_table_1.get(reference, reference)))
        assert (paper is None) == (reference in ("L5", "all"))
        if paper:
            assert float(row["paper_psnr_db"]) == float(paper["psnr_db"])
            assert float(row["paper_ssim"]) == float(paper["ssim"])
        else:
            assert row["paper_psnr_db"] == row["paper_ssim"] == ""


def test_differences_from_the_paper_are_shown(evaluated):
    markdown, page = ((evaluated / name).read_text() for name in ("table.md", "index.html"))
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    names, _, *cells = [[cell.strip(" *") for cell in line[1:-1].split("|")] for line in lines]
    of_psnr, of_ssim = (i for i, name in enumerate(names) if name == "difference")
    for line, row in zip(cells, rows(evaluated / "table.csv"), strict=True):
        assert line[:3] == [row["method"], row["reference"], row["images"]]
        assert float(line[3]) == pytest.approx(float(row["psnr_db"]), abs=0.0051)
        if row["paper_psnr_db"]:
            difference = float(row["psnr_db"]) - float(row["paper_psnr_db"])
            assert float(line[of_psnr]) == pytest.approx(difference, abs=0.0051)
            assert line[of_psnr][0] in "+-"
            assert f"<td>{line[of_psnr]}</td>" in page
            assert float(line[of_ssim]) == pytest.approx(
                float(row["ssim"]) - float(row["paper_ssim"]), abs=0.00051
            )
        else:
            assert line[of_psnr] == line[of_ssim] == ""


def test_the_best_with_each_reference_is_bold(evaluated):
    lines = [line for line in (evaluated / "table.md").read_text().splitlines() if "|" in line]
    best: dict[str, float] = {}
    table = rows(evaluated / "table.csv")
    count = Counter(row["reference"] for row in table)
    for row in table:
        psnr = float(row["psnr_db"])
        best[row["reference"]] = max(psnr, best.get(row["reference"], psnr))
    for line, row in zip(lines[2:], table, strict=True):
        several = count[row["reference"]] > 1
        is_best = f"{float(row['psnr_db']):.2f}" == f"{best[row['reference']]:.2f}"
        assert (line.split("|")[4].strip().startswith("**")) == (several and is_best)
    note = "Bold: the best PSNR and SSIM with each reference."
    assert note in (evaluated / "table.md").read_text()


def test_costs_stand_in_table_and_page_with_their_device(evaluated):
    costs = {row["method"]: row for row in rows(evaluated / "costs.csv")}
    for row in rows(evaluated / "table.csv"):
        for name in COLUMNS[-5:]:
            assert row[name] == costs[row["method"]][name]
    notes = json.loads((evaluated / "notes.json").read_text())["notes"]
    told = [note for note in notes if note.startswith("Costs are of one image")]
    for name in ("table.md", "index.html"):
        text = (evaluated / name).read_text()
        assert "Multiply-adds per px" in text
        assert told[0] in text
    assert told[0].endswith("measured on a machine.")


def test_readers_are_told_that_the_encoder_is_random(evaluated):
    for name in ("table.md", "index.html"):
        text = (evaluated / name).read_text()
        assert text.count("SOME ENCODERS ARE A RANDOM VGG19") == 1
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
    run(cufed, tmp_path, released="CUFED5")
    (row,) = rows(tmp_path / "table.csv")
    assert row == by_method(evaluated)[BICUBIC, "none"]
    assert "Bicubic alone" in (tmp_path / "table.md").read_text()


def test_a_folder_without_references_is_measured_without_levels(checkpoint, photograph, tmp_path):
    dataset = plain_folder(tmp_path / "urban100", photograph)
    stated = {"released": "Urban100"}
    table = by_method(run(dataset, tmp_path / "out", checkpoint, **stated))
    assert list(table) == [(BICUBIC, "none"), (SISR, "none"), (SRNTT, "LR")]
    assert {(row["dataset"], row["images"]) for row in table.values()} == {("Urban100", "2")}
    # Table 1's number on sets without references is of LR as its own.
    assert table[SRNTT, "LR"]["paper_psnr_db"] == table[SISR, "none"]["paper_psnr_db"] == "25.5"
    asked = by_method(
        run(dataset, tmp_path / "asked", checkpoint, references=("HR (warp)",), **stated)
    )
    assert list(asked) == [(BICUBIC, "none"), (SISR, "none"), (SRNTT, "HR (warp)")]
    assert asked[SRNTT, "HR (warp)"]["paper_psnr_db"] == ""


def test_a_set_that_is_only_called_like_a_papers_has_none_of_its_numbers(photograph, tmp_path):
    """26.14 dB of a data set of one's own named CUFED5 stood beside the paper's 24.18."""
    dataset = plain_folder(tmp_path / "cufed5", photograph, ("a_0.png", "a_1.png", "a_2.png"))
    out = run(dataset, tmp_path / "out")
    (row,) = rows(out / "table.csv")
    assert (row["dataset"], row["paper_psnr_db"]) == ("CUFED5 (own)", "")
    notes = json.loads((out / "notes.json").read_text())["notes"]
    assert any("not known by its pixels" in note for note in notes)
    assert any(note.startswith("Names are taken as those of groups: a_0.png") for note in notes)
    assert len(rows(run(dataset, tmp_path / "b", layout="images") / "per_image.csv")) == 3


def test_released_images_are_known_whatever_the_folder_and_of_a_part(shared, tmp_path):
    """The known image need not be among those that are measured."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for k in range(2):
        name = f"001_{k}.png"
        (folder / name).symlink_to(shared / "data" / "cufed" / "test" / "CUFED5" / name)
        Image.new("RGB", (32, 32)).save(folder / f"000_{k}.png")
    (row,) = rows(run(folder, tmp_path / "out", max_images=1) / "table.csv")
    assert (row["dataset"], row["paper_psnr_db"]) == ("CUFED5", "24.18")


def test_grey_images_of_a_benchmark_are_measured(photograph, tmp_path):
    dataset = plain_folder(tmp_path / "grey", photograph[..., 0])
    assert by_method(run(dataset, tmp_path / "out"))[BICUBIC, "none"]["images"] == "2"


def test_only_the_references_asked_for_are_evaluated_in_the_tables_order(
    cufed, evaluated, checkpoint, tmp_path
):
    chosen = {"references": ("all", "LR", "HR (warp)"), "released": "CUFED5"}
    table = by_method(run(cufed, tmp_path, checkpoint, **chosen))
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
    both, one = (
        {name: content for name, content in contents(tmp_path / folder).items()
         if not name.startswith(("measured/", "plots/rgb."))}
        for folder in ("both", "one")
    )  # fmt: skip
    assert both == one


def test_flat_images_give_infinite_psnr_and_valid_json(tmp_path):
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (48, 48), (90, 120, 40)).save(tmp_path / "flat" / "flat.png")
    out = run(tmp_path / "flat", tmp_path / "out")
    (row,) = rows(out / "table.csv")
    assert float(row["psnr_db"]) == math.inf
    assert float(row["ssim"]) == 1

    def refuse(constant):
        pytest.fail(f"{constant} is no JSON")

    written = list(out.rglob("*.json"))
    assert len(written) >= 3
    for path in written:
        json.loads(path.read_text(), parse_constant=refuse)
    table = (out / "table.csv").read_bytes()
    run(tmp_path / "flat", out)  # from the numbers that are there
    assert (out / "table.csv").read_bytes() == table


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


# Choices of references


@pytest.fixture(scope="module")
def one_choice(cufed, checkpoint, tmp_path_factory):
    """The same groups with the references stitched, in small tiles, and with the best one."""
    out = tmp_path_factory.mktemp("choices")
    chosen = ("luma-stitched", "luma-best", "luma-all", "luma-full-stitched-masa")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stitching, "_TTSR_PX", 100)
        patch.setattr(stitching, "_MASA_PX", 104)
        return run(cufed, out, checkpoint, protocol=chosen, released="CUFED5")


def test_protocols_of_one_choice_have_that_reference_only(one_choice, evaluated):
    found = {
        (row["protocol"], row["method"], row["reference"]): row
        for row in rows(one_choice / "table.csv")
    }
    assert list(found) == [
        (protocol, *row)
        for protocol, choice in (
            ("luma-stitched", ["stitched"]), ("luma-best", ["best"]),
            ("luma-all", ["all", "paper-all"]), ("luma-full-stitched-masa", ["stitched-masa"]),
        )
        for row in ((BICUBIC, "none"), (SISR, "none"), *((SRNTT, one) for one in choice))
    ]  # fmt: skip
    for column in ("images", "psnr_db", "ssim", "psnr_db_low", "paper_psnr_db"):
        assert found["luma-all", SRNTT, "all"][column] == by_method(evaluated)[SRNTT, "all"][column]


def test_stitched_references_are_one_image_as_ttsr_and_as_masa_made_it(
    cufed, one_choice, checkpoint
):
    restorer = Restorer(load_checkpoint(checkpoint), CPU)
    hr, *refs = (pixels(cufed / "test/CUFED5" / f"002_{k}.png") for k in (0, 1, 4))
    canvas = np.zeros((100, 200, 3), np.uint8)
    canvas[:64, :96], canvas[:64, 100:196] = refs
    filled = np.concatenate([np.pad(ref, ((20, 20), (4, 4), (0, 0)), mode="edge") for ref in refs])
    lr = np.asarray(Image.fromarray(hr).resize((24, 16), Image.Resampling.BICUBIC))
    for reference, stitched in (("stitched", canvas), ("stitched-masa", filled)):
        shown = one_choice / "images" / "references" / reference / "002.png"
        assert np.array_equal(pixels(shown), stitched)
        expected = restorer.super_resolve(lr, [stitched]).astype(int)
        found = pixels(one_choice / "images" / "srntt-l2" / reference / "002.png")
        assert np.abs(found - expected).max() <= 1


def test_the_best_reference_is_that_of_the_highest_mean_weight(
    cufed, evaluated, one_choice, checkpoint
):
    restorer = Restorer(load_checkpoint(checkpoint), CPU)
    for name, levels in (("001", (1, 2, 3, 4, 5)), ("002", (1, 4))):
        hr = pixels(cufed / "test/CUFED5" / f"{name}_0.png")
        lr = np.asarray(Image.fromarray(hr).resize((24, 16), Image.Resampling.BICUBIC))
        means = {
            k: float(
                restorer.match(
                    lr, [pixels(cufed / "test/CUFED5" / f"{name}_{k}.png")]
                ).cosine.mean()
            )
            for k in levels
        }
        best = max(means, key=means.get)
        images = [
            pixels(folder / "images" / "srntt-l2" / reference / f"{name}.png")
            for folder, reference in ((one_choice, "best"), (evaluated, f"l{best}"))
        ]
        assert np.array_equal(*images)


def test_other_lr_has_other_pictures_beside_those_of_the_paper(cufed, checkpoint, tmp_path):
    out = run(
        cufed, tmp_path, checkpoint, protocol=("luma", "matlab"), references=("L1",), max_images=1
    )
    hr = pixels(cufed / "test" / "CUFED5" / "001_0.png")
    for folder in ("images", "images/matlab-4"):
        for path in ("lr/none", "bicubic/none", "srntt-l2/l1"):
            assert (out / folder / path / "001.png").is_file()
    lr = pixels(out / "images" / "matlab-4" / "lr" / "none" / "001.png")
    assert np.array_equal(lr, naive_imresize(hr, 16, 24))
    restorer = Restorer(load_checkpoint(checkpoint), CPU)
    ref = pixels(cufed / "test" / "CUFED5" / "001_1.png")
    sr = pixels(out / "images" / "matlab-4" / "srntt-l2" / "l1" / "001.png").astype(int)
    assert np.abs(sr - restorer.super_resolve(lr, [ref])).max() <= 1
    assert np.abs(sr - pixels(out / "images" / "srntt-l2" / "l1" / "001.png")).max() > 1


def test_a_reference_that_no_protocol_measures_is_refused(cufed, tmp_path):
    with pytest.raises(InputError, match="luma-best"):
        run(cufed, tmp_path / "out", references=("best",))
    with pytest.raises(InputError, match="add another, such as luma-full-stitched-masa"):
        run(cufed, tmp_path / "out", references=("stitched-masa",))
    with pytest.raises(InputError, match="'L1'"):
        run(cufed, tmp_path / "out", protocol="luma-all", references=("L1",))
    assert not (tmp_path / "out").exists()


# Several methods


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another checkpoint of the same method."""
    return save_tiny(tmp_path_factory.mktemp("other") / "srntt-l2.safetensors", seed=1)


def test_checkpoints_of_one_method_are_told_apart_by_their_hash(cufed, checkpoint, other, tmp_path):
    chosen = {"references": ("L1", "LR"), "max_images": 1}
    out = run(cufed, tmp_path / "both", checkpoint, other, **chosen)
    table = by_method(out)
    labels = [
        f"SRNTT-l2 #{load_checkpoint(path).info.weights_sha256[:6]}" for path in (checkpoint, other)
    ]
    assert [method for method, reference in table if reference == "L1"] == labels
    for label, path in zip(labels, (checkpoint, other), strict=True):
        alone = by_method(run(cufed, tmp_path / path.parent.name, path, **chosen))
        assert table[label, "L1"]["psnr_db"] == alone[SRNTT, "L1"]["psnr_db"]
        assert (
            table[label.replace(SRNTT, SISR), "none"]["psnr_db"] == alone[SISR, "none"]["psnr_db"]
        )
        assert label in (out / "table.md").read_text()


def test_the_same_weights_twice_are_refused(cufed, checkpoint, tmp_path):
    with pytest.raises(InputError, match="2 methods are called SRNTT-l2 #"):
        run(cufed, tmp_path / "out", checkpoint, checkpoint.parent)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_trained_for_sisr_stands_for_it_alone(
    cufed, checkpoint, tmp_path, monkeypatch
):
    trained = save_as("srntt-l2-sisr", tmp_path / "sisr.safetensors")
    chosen = {"references": ("L1", "LR"), "max_images": 1}
    alone = by_method(run(cufed, tmp_path / "alone", trained, **chosen))
    assert list(alone) == [(BICUBIC, "none"), (SISR, "none")]
    drawn = []
    draw_grid = report.draw_grid
    monkeypatch.setattr(
        report, "draw_grid", lambda *given: drawn.append(given[2]) or draw_grid(*given)
    )
    both = by_method(run(cufed, tmp_path / "both", checkpoint, trained, **chosen))
    assert [row["method"] for row in drawn[0]] == [BICUBIC, SISR, SRNTT, SRNTT]
    assert list(both) == [
        (BICUBIC, "none"), (SISR, "none"), (SRNTT, "L1"), (SRNTT, "LR"),
    ]  # fmt: skip
    assert both[SISR, "none"] == alone[SISR, "none"]
    assert both[SISR, "none"]["psnr_db"] != both[SRNTT, "LR"]["psnr_db"]
    restorer = Restorer(load_checkpoint(trained), CPU)
    lr = pixels(tmp_path / "both" / "images" / "lr" / "none" / "001.png")
    sr = pixels(tmp_path / "both" / "images" / "srntt-l2-sisr" / "none" / "001.png").astype(int)
    assert np.abs(sr - restorer.super_resolve(lr, [lr])).max() <= 1
    again = save_as("srntt-l2-sisr", tmp_path / "again.safetensors", seed=1)
    two = by_method(run(cufed, tmp_path / "two", trained, again, **chosen))
    assert [reference for _, reference in two] == ["none"] * 3


def test_a_method_without_a_name_in_the_paper_has_its_own_and_no_sisr(cufed, tmp_path, monkeypatch):
    another_entry = replace(registry.entry("srntt-l2"), row="another")
    monkeypatch.setitem(registry._MODELS, "another", another_entry)
    another = save_as("another", tmp_path / "another.safetensors")
    table = by_method(run(cufed, tmp_path / "out", another, references=("LR",), max_images=1))
    assert list(table) == [(BICUBIC, "none"), ("another", "LR")]


def test_methods_that_match_alike_share_matches_and_swapped_maps(
    cufed, checkpoint, other, tmp_path, monkeypatch
):
    calls, swaps = [], []
    swap = WindowedSwap._swap
    monkeypatch.setattr(WindowedSwap, "_swap", lambda *given: swaps.append(given) or swap(*given))
    match = Restorer.match
    monkeypatch.setattr(Restorer, "match", lambda *given: calls.append(given) or match(*given))
    chosen = {"references": ("L1", "LR", "all"), "max_images": 1}
    run(cufed, tmp_path, checkpoint, other, **chosen)
    assert len(calls) == 6  # five levels and LR, each once, also for the picture of what matched
    assert len(swaps) == 3  # the image is one tile


def test_comparisons_pair_the_images(evaluated):
    images = {
        (row["method"], row["reference"], row["image"]): float(row["psnr_db"])
        for row in rows(evaluated / "per_image.csv")
    }
    found = {
        (row["method"], row["reference"], row["other_method"], row["other_reference"]): row
        for row in rows(evaluated / "comparisons.csv")
        if row["measure"] == "psnr_db"
    }
    assert (SRNTT, "HR (warp)", SRNTT, "L1") in found
    assert (SRNTT, "L1", BICUBIC, "none") in found
    for (method, reference, other, second), row in found.items():
        both = [
            name for name in ("001", "002")
            if (method, reference, name) in images and (other, second, name) in images
        ]  # fmt: skip
        apart = [images[method, reference, n] - images[other, second, n] for n in both]
        assert int(row["images"]) == len(both)
        assert float(row["difference"]) == pytest.approx(np.mean(apart), abs=1e-4)
        assert row["differ"] == "too few images"  # two: nothing can be told
        assert row["low"] == row["high"] == row["wilcoxon_p"] == row["corrected_p"] == ""


def test_no_interval_is_made_of_two_images(evaluated):
    for row in rows(evaluated / "table.csv"):
        for measure in ("psnr_db", "ssim"):
            assert row[f"{measure}_low"] == row[f"{measure}_high"] == ""


def test_metrics_have_one_number_for_each_method(evaluated):
    """That of the first protocol with all references, with none where it takes none."""
    metrics = json.loads((evaluated / "metrics.json").read_text())
    table = rows(evaluated / "table.csv")
    expected = {}
    for row in table:
        if row["protocol"] == table[0]["protocol"] and row["reference"] in ("all", "none"):
            method = re.sub("[^a-z0-9]+", "-", row["method"].lower()).strip("-")
            expected[method] = float(row["psnr_db"])
    assert metrics == expected
    assert len(metrics) == len({row["method"] for row in table})


def test_metrics_take_the_first_level_where_not_all_references_were_measured():
    row = {"dataset": "x", "protocol": "luma", "method": "SRNTT"}
    numbers = {"HR (warp)": 30.0, "L2": 28.0, "L3": 27.0, "LR": 26.0, "paper-all": 29.0}
    table = [{**row, "reference": name, "psnr_db": value} for name, value in numbers.items()]
    assert tables._metrics(table) == {"srntt": 28.0}
    assert tables._metrics(table[-2:]) == {"srntt": 26.0}
    other = {**row, "protocol": "rgb", "reference": "all", "psnr_db": 1.0}
    assert tables._metrics([*table, other]) == {"srntt": 28.0}


def test_plots_have_a_bar_for_each_row(evaluated):
    plotted = {row["row"]: row["psnr_db"] for row in rows(evaluated / "plots" / "luma.csv")}
    assert plotted == {
        f"{row['method']}, {row['reference']}": row["psnr_db"]
        for row in rows(evaluated / "table.csv")
    }


# Nothing is computed twice


def forbid(monkeypatch):
    """Let making SR and measuring fail."""

    def fail(*arguments, **options):
        raise AssertionError("computed again")

    monkeypatch.setattr(Restorer, "super_resolve", fail)
    monkeypatch.setattr(Restorer, "match", fail)
    monkeypatch.setattr(Protocol, "measure", fail)


def test_a_second_run_computes_nothing(cufed, evaluated, checkpoint, monkeypatch, contents):
    before = contents(evaluated)
    forbid(monkeypatch)
    run(cufed, evaluated, checkpoint, released="CUFED5")
    assert contents(evaluated) == before


def test_what_another_method_protocol_or_image_adds_leaves_the_rest(
    cufed, checkpoint, tmp_path, monkeypatch
):
    another_entry = replace(registry.entry("srntt-l2"), row="another")
    monkeypatch.setitem(registry._MODELS, "another", another_entry)
    another = save_as("another", tmp_path / "another.safetensors")
    out, made, measured = tmp_path / "out", [], []
    super_resolve, measure = Restorer.super_resolve, Protocol.measure
    monkeypatch.setattr(
        Restorer,
        "super_resolve",
        lambda *given, **named: made.append(1) or super_resolve(*given, **named),
    )
    monkeypatch.setattr(Protocol, "measure", lambda *given: measured.append(1) or measure(*given))

    def counts(*checkpoints, **chosen):
        made.clear(), measured.clear()
        run(cufed, out, *checkpoints, **{"references": ("L1", "LR"), "max_images": 1, **chosen})
        return len(made), len(measured)

    assert counts(checkpoint) == (2, 4)  # SISR is made once, as that and as LR
    assert counts(checkpoint, another) == (2, 2)
    assert counts(another) == (0, 0)
    assert counts(checkpoint, protocol=("luma", "rgb")) == (0, 4)
    assert counts(checkpoint, max_images=0) == (2, 4)
    assert counts(checkpoint, max_images=0, references=("L1", "L4")) == (2, 2)
    assert counts(checkpoint, protocol="rgb") == (0, 0)


def test_numbers_of_an_image_that_was_exchanged_are_not_used(cufed, checkpoint, tmp_path):
    chosen = {"references": ("L1",), "max_images": 1}
    run(cufed, tmp_path, checkpoint, **chosen)
    first = by_method(tmp_path)[SRNTT, "L1"]["psnr_db"]
    path = tmp_path / "images" / "srntt-l2" / "l1" / "001.png"
    Image.new("RGB", (96, 64)).save(path)
    run(cufed, tmp_path, checkpoint, **chosen)
    assert by_method(tmp_path)[SRNTT, "L1"]["psnr_db"] == first
    assert pixels(path).any()


def test_a_damaged_record_is_written_anew(cufed, tmp_path, contents):
    run(cufed, tmp_path, max_images=1)
    before = contents(tmp_path)
    for text in ("[]", "{", '{"images/bicubic/none/001.png": {}}'):
        (tmp_path / "measured" / "001.json").write_text(text)
        run(cufed, tmp_path, max_images=1)
        assert contents(tmp_path) == before


# Bad input


@pytest.mark.parametrize("references", [("L6",), ("L1", "hr (warp)"), ("nothing",)])
def test_a_reference_that_the_set_lacks_is_refused_with_those_it_has(cufed, tmp_path, references):
    with pytest.raises(InputError, match=r"has none, HR \(warp\), L1, .*L5, LR, all") as refusal:
        run(cufed, tmp_path, references=references)
    assert references[-1] in str(refusal.value)


def test_an_unknown_protocol_is_refused_before_anything_is_written(cufed, tmp_path):
    with pytest.raises(InputError, match="paper-urban100"):
        run(cufed, tmp_path / "out", protocol="psnr")
    assert not (tmp_path / "out").exists()


def test_an_image_too_small_to_measure_is_refused(photograph, tmp_path):
    dataset = plain_folder(tmp_path / "small", photograph)
    Image.fromarray(photograph[:18, :40]).save(dataset / "tiny.png")
    (dataset / "a.png").unlink()
    (dataset / "b.png").unlink()
    with pytest.raises(InputError, match=r"no test image can be used; .*tiny\.png: .*40×16 px"):
        run(dataset, tmp_path / "out")
    assert not (tmp_path / "out" / "table.csv").exists()


@pytest.mark.parametrize("k", [0, 1])
def test_a_corrupt_image_is_refused_by_name(photograph, checkpoint, tmp_path, k):
    dataset = plain_folder(tmp_path / "cut", photograph, ("1_0.png", "1_1.png"))
    path = dataset / f"1_{k}.png"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=rf"1_{k}\.png: ") as refusal:
        run(dataset, tmp_path / "out", checkpoint)
    assert "\n" not in str(refusal.value)


def test_images_that_cannot_be_used_are_named_and_the_others_measured(
    photograph, tmp_path, caplog, contents
):
    """One of six files is an image: it is measured, and the five are told with their reasons."""
    alone = plain_folder(tmp_path / "alone", photograph, ("a.png",))
    dataset = plain_folder(tmp_path / "six", photograph, ("a.png",))
    (dataset / "b.CR3").write_bytes(b"raw")
    (dataset / "c.png").write_bytes((dataset / "a.png").read_bytes()[:900])
    Image.fromarray(photograph[:15, :40]).save(dataset / "d.png")
    Image.fromarray(photograph[:18, :40]).save(dataset / "e.png")
    (dataset / "f").write_bytes((dataset / "a.png").read_bytes())
    (dataset / "readme.txt").write_text("no image")
    run(dataset, tmp_path / "out")
    run(alone, tmp_path / "out alone")
    assert [row["images"] for row in rows(tmp_path / "out" / "table.csv")] == ["1"]
    measured, expected = (
        [{**row, "dataset": ""} for row in rows(tmp_path / out / "per_image.csv")]
        for out in ("out", "out alone")
    )
    assert measured == expected
    notes = json.loads((tmp_path / "out" / "notes.json").read_text())
    told = {row["file"]: row["reason"] for row in notes["not_used"]}
    assert list(told) == ["b.CR3", "f", "c.png", "d.png", "e.png"]
    assert told["b.CR3"].startswith("a camera's raw file")
    assert told["f"].endswith("it seems to be PNG")
    assert told["c.png"].startswith("corrupt or truncated")
    assert told["d.png"] == "too small: 40×15 px, 16 px needed on the short side"
    assert "cannot measure 40×16 px" in told["e.png"]
    for name, reason in told.items():
        assert f"Not measured: {dataset / name}: {reason}" in caplog.messages
        assert f"{name}: {reason}" in " ".join(notes["notes"])
        assert name in (tmp_path / "out" / "table.md").read_text()


def test_a_group_with_a_damaged_image_is_left_out_whole(photograph, checkpoint, tmp_path):
    names = [f"{group}_{k}.png" for group in (1, 2, 3) for k in (0, 1)]
    dataset = plain_folder(tmp_path / "groups", photograph, names)
    path = dataset / "1_1.png"
    path.write_bytes(path.read_bytes()[:900])
    (dataset / "3_0.png").rename(dataset / "3_0.cr2")
    run(dataset, tmp_path / "out")
    assert {row["image"] for row in rows(tmp_path / "out" / "per_image.csv")} == {"2"}
    notes = json.loads((tmp_path / "out" / "notes.json").read_text())
    assert [row["file"] for row in notes["not_used"]] == ["3_0.cr2", "1_1.png"]


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
    run(cufed, tmp_path, checkpoint, workers=2, released="CUFED5")
    assert contents(tmp_path) == contents(evaluated)


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
