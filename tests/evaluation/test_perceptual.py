"""The ImageNet weights are not to be had here: networks with random weights go the same ways."""

import csv
import re
import socket

import numpy as np
import pytest
import torch
import torchmetrics
from PIL import Image
from torch.nn import functional as F
from torchvision.models import alexnet, vgg16

from srntt_pipeline.config import EvaluateParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation import perceptual
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.evaluation.perceptual import distance, read_metrics

MODELS = {"lpips": alexnet, "dists": vgg16}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of random weights for both networks; the classifiers, which are not used, are zero."""
    folder = tmp_path_factory.mktemp("weights")
    for name, model in MODELS.items():
        with torch.device("meta"):
            shapes = {key: value.shape for key, value in model().state_dict().items()}
        generator = torch.Generator().manual_seed(3)
        state = {
            key: torch.randn(shape, generator=generator) / max(1, shape[1:].numel()) ** 0.5
            if key.startswith("features")
            else torch.zeros(()).expand(shape)
            for key, shape in shapes.items()
        }
        torch.save(state, folder / f"{name}.pth")
    return folder


@pytest.fixture
def metric(weights):
    def read(name):
        file = str(weights / f"{name}.pth")
        (found,) = read_metrics(EvaluateParams(metric=(name,), **{f"{name}_weights": file}))
        return found

    return read


@pytest.fixture
def pair(photograph):
    hr = np.ascontiguousarray(photograph[:64, 100:180])
    noise = np.random.default_rng(0).normal(0, 12, hr.shape)
    return hr, np.clip(hr + noise, 0, 255).astype(np.uint8)


def lpips_by_formula(hr, sr, weights_file):
    """Zhang et al. 2018, Eq. 1, with AlexNet's five ReLU layers and the published w_l."""
    state = torch.load(weights_file, weights_only=True)
    folder = torchmetrics.__path__[0]
    linear = torch.load(
        f"{folder}/functional/image/lpips_models/alex.pth", map_location="cpu", weights_only=True
    )
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)

    def features(image):
        x = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 127.5 - 1
        x = (x - shift) / scale
        layers = []
        for number, (index, stride, padding) in enumerate(
            [(0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)]
        ):
            if number in (1, 2):
                x = F.max_pool2d(x[None], 3, 2)[0]
            kernel, bias = (state[f"features.{index}.{part}"] for part in ("weight", "bias"))
            x = F.conv2d(x[None], kernel, bias, stride, padding)[0].relu()
            layers.append(x / (x.square().sum(0) + 1e-8).sqrt())
        return layers

    total = 0.0
    for number, (x, y) in enumerate(zip(features(hr), features(sr), strict=True)):
        w = linear[f"lin{number}.model.1.weight"].view(-1, 1, 1)
        total += float((w * (x - y).square()).sum(0).mean())
    return total


def test_lpips_is_that_of_its_formula(metric, weights, pair):
    expected = lpips_by_formula(*pair, weights / "lpips.pth")
    assert expected > 0.001
    assert distance(metric("lpips"), *pair, "cpu") == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_equal_images_have_no_distance_and_worse_ones_a_larger(metric, pair, name):
    hr, sr = pair
    worse = np.clip(sr.astype(int) + 3 * (sr.astype(int) - hr), 0, 255).astype(np.uint8)
    same, near, far = (distance(metric(name), hr, image, "cpu") for image in (hr, sr, worse))
    assert same == pytest.approx(0, abs=1e-5)
    assert same < near < far


def test_the_file_given_decides_not_the_one_downloaded_before(metric, weights, pair, tmp_path):
    state = torch.load(weights / "lpips.pth", weights_only=True)
    key = "features.0.weight"
    torch.save({**state, key: state[key].flip(0, 1)}, tmp_path / "other.pth")
    (other,) = read_metrics(
        EvaluateParams(metric=("lpips",), lpips_weights=str(tmp_path / "other.pth"))
    )
    assert other.sha256 != metric("lpips").sha256
    assert distance(other, *pair, "cpu") != distance(metric("lpips"), *pair, "cpu")


def test_torchvisions_folder_is_as_before(metric):
    before = torch.hub.get_dir()
    perceptual._network.cache_clear()
    metric("lpips")
    assert torch.hub.get_dir() == before


@pytest.mark.parametrize("name", MODELS)
def test_files_that_hold_other_things_are_refused_by_name(tmp_path, weights, name):
    other = next(weights / f"{model}.pth" for model in MODELS if model != name)
    (tmp_path / "text.pth").write_text("weights, honestly")
    torch.save([1, 2], tmp_path / "list.pth")
    for file in (other, tmp_path / "text.pth", tmp_path / "list.pth", tmp_path / "missing.pth"):
        params = EvaluateParams(metric=(name,), **{f"{name}_weights": str(file)})
        with pytest.raises(InputError, match=rf"^--{name}-weights .*{file.name}") as refusal:
            read_metrics(params)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", MODELS)
def test_without_file_and_network_one_line_says_what_to_give(name, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(InputError, match=f"--{name}-weights FILE") as refusal:
        read_metrics(EvaluateParams(metric=(name,)))
    assert "\n" not in str(refusal.value)
    assert "no network" in str(refusal.value)


def test_without_the_library_one_line_says_what_to_install(weights, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchmetrics", None)
    file = str(weights / "lpips.pth")
    with pytest.raises(InputError, match=r"srntt-pipeline\[perceptual\]"):
        read_metrics(EvaluateParams(metric=("lpips",), lpips_weights=file))


def test_images_too_small_for_the_network_are_refused(metric, photograph):
    small = photograph[:31, :80]
    with pytest.raises(InputError, match="80×31 px"):
        distance(metric("lpips"), small, small, "cpu")
    enough = photograph[:32, :32]
    for name in MODELS:
        assert np.isfinite(distance(metric(name), enough, enough, "cpu"))


def test_evaluate_writes_distances_beside_psnr_and_ssim(weights, photograph, tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    for number in range(3):
        view = photograph[60 * number : 60 * number + 48, 100:180]
        Image.fromarray(view).save(tmp_path / "set" / f"{number}.png")
    params = EvaluateParams(
        metric=("lpips",), lpips_weights=str(weights / "lpips.pth"), protocol=("luma", "rgb")
    )
    out = tmp_path / "out"
    evaluate(tmp_path / "set", out, params, workers=1, device="cpu")
    (metric,) = read_metrics(params)
    expected = []
    for number in range(3):
        hr, sr = (
            np.asarray(Image.open(path).convert("RGB"))
            for path in (
                tmp_path / "set" / f"{number}.png",
                out / "images" / "bicubic" / "none" / f"{number}.png",
            )
        )
        expected.append(distance(metric, hr, sr, "cpu"))
    with (out / "table.csv").open(newline="") as file:
        luma, rgb = csv.DictReader(file)
    assert float(luma["lpips"]) == float(rgb["lpips"]) == pytest.approx(np.mean(expected), abs=1e-5)
    assert luma["lpips_low"] == luma["lpips_high"] == ""  # three images: too few
    text = (out / "table.md").read_text()
    assert metric.sha256[:12] in text
    assert "| LPIPS |" in re.sub(" +", " ", text)

    monkeypatch.setattr(perceptual, "_network", lambda metric: None)  # nothing is measured again
    evaluate(tmp_path / "set", out, params, workers=1, device="cpu")
