"""Caffe's VGG19 through our encoder against convolutions of its own input, in float64."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.errors import InputError
from srntt_pipeline.swaps.encoder import Encoder, load_encoder, vgg19

CPU = torch.device("cpu")
MEAN_BGR = (103.939, 116.779, 123.68)


@pytest.fixture(scope="module")
def caffe() -> dict[str, Tensor]:
    """Weights as Caffe has them, up to conv3_1: its first layer takes BGR of 0…255."""
    state = vgg19("random", 3, 12).state_dict()
    generator = torch.Generator().manual_seed(4)
    for key, value in state.items():
        if key.endswith("bias"):
            value.copy_(torch.randn(value.shape, generator=generator))
    state["0.weight"] /= 60
    return {f"features.{key}": value for key, value in state.items()}


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def expected(state: dict[str, Tensor], image: np.ndarray) -> dict[str, Tensor]:
    """Caffe's forward in float64, without padding: each map is as large as it sees the image."""
    bgr = image[..., ::-1].astype(np.float64) - MEAN_BGR
    x = torch.from_numpy(bgr.transpose(2, 0, 1).copy())[None]

    def layer(x: Tensor, index: int) -> Tensor:
        weight, bias = (state[f"features.{index}.{name}"].double() for name in ("weight", "bias"))
        return F.conv2d(x, weight, bias).clamp_min(0)

    maps = {"relu1_1": layer(x, 0)}
    maps["relu2_1"] = layer(F.max_pool2d(layer(maps["relu1_1"], 2), 2), 5)
    # relu2_2 begins at cell 3 of the padded one's, whose pairs begin at even cells.
    maps["relu3_1"] = layer(F.max_pool2d(layer(maps["relu2_1"], 7)[..., 1:, 1:], 2), 10)
    return {name: value[0] for name, value in maps.items()}


def assert_like_caffes(encoder: Encoder, state: dict[str, Tensor], image: np.ndarray) -> None:
    found, wanted = encoder.encode(image), expected(state, image)
    for name, cut in (("relu1_1", 1), ("relu2_1", 2), ("relu3_1", 3)):
        inner = found[name][:, cut:-cut, cut:-cut].double()
        # Without padding a map begins `cut` cells later.
        assert inner.shape == wanted[name].shape, name
        torch.testing.assert_close(inner, wanted[name], rtol=1e-4, atol=1e-4 * wanted[name].max())


def test_caffes_weights_give_caffes_maps(
    caffe: dict[str, Tensor], image: np.ndarray, tmp_path: Path
) -> None:
    torch.save(caffe, tmp_path / "vgg.pth")
    encoder = load_encoder(f"caffe:{tmp_path / 'vgg.pth'}", 0, CPU)
    assert_like_caffes(encoder, caffe, image)
    assert encoder.identity.source == "Caffe's, file vgg.pth"
    assert (
        encoder.identity.sha256 != load_encoder(str(tmp_path / "vgg.pth"), 0, CPU).identity.sha256
    )


def test_a_first_layer_for_rgb_is_left_as_it_is(
    caffe: dict[str, Tensor], image: np.ndarray, tmp_path: Path
) -> None:
    first = "features.0.weight"
    torch.save({**caffe, first: caffe[first].flip(1)}, tmp_path / "vgg.pth")
    assert_like_caffes(load_encoder(f"caffe-rgb:{tmp_path / 'vgg.pth'}", 0, CPU), caffe, image)


def matconvnet(state: dict[str, Tensor]) -> dict[str, Any]:
    """The same as MatConvNet's file: kernels [width, height, in, out], the first one for RGB."""
    layers = np.empty((1, 14), object)
    for index in range(layers.size):
        layers[0, index] = {"type": "relu", "name": f"layer {index}"}
        if f"features.{index}.weight" in state:
            kernel = state[f"features.{index}.weight"].numpy().transpose(3, 2, 1, 0)
            weights = np.empty((1, 2), object)
            weights[0, 0] = kernel[:, :, ::-1] if index == 0 else kernel
            weights[0, 1] = state[f"features.{index}.bias"].numpy()[:, None]
            layers[0, index] = {"type": "conv", "name": f"layer {index}", "weights": weights}
    last = np.empty((1, 2), object)
    last[0, 0], last[0, 1] = np.zeros((7, 7, 5, 9), np.float32), np.zeros((9, 1), np.float32)
    layers[0, 13] = {"type": "conv", "name": "fc6", "weights": last}
    return {"layers": layers, "normalization": {"averageImage": np.zeros((2, 2, 3))}}


def test_matconvnets_file_is_read(
    caffe: dict[str, Tensor], image: np.ndarray, tmp_path: Path
) -> None:
    for packed in (False, True):
        path = tmp_path / f"vgg{packed}.mat"
        scipy.io.savemat(path, matconvnet(caffe), do_compression=packed)
        assert_like_caffes(load_encoder(f"caffe:{path}", 0, CPU), caffe, image)


def test_at_the_border_little_differs(
    caffe: dict[str, Tensor], image: np.ndarray, tmp_path: Path
) -> None:
    """Zeros stand for Caffe's mean there, and for torchvision's in ours: half a level apart."""
    torch.save(caffe, tmp_path / "vgg.pth")
    found = load_encoder(f"caffe:{tmp_path / 'vgg.pth'}", 0, CPU).encode(image, ["relu1_1"])
    bgr = torch.from_numpy(np.float64(image[..., ::-1]) - MEAN_BGR).permute(2, 0, 1)[None]
    weight, bias = (caffe[f"features.0.{name}"].double() for name in ("weight", "bias"))
    padded = F.conv2d(bgr, weight, bias, padding=1)[0].clamp_min(0)
    most = (0.5 * weight.abs().sum((1, 2, 3))).max()
    difference = (found["relu1_1"].double() - padded).abs()
    assert 1e-3 < difference.max() < most
    assert difference[:, 1:-1, 1:-1].max() < 1e-4


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"weights\n", "not a .mat file of level 5"),
        (
            b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(600),
            "level 7.3 (HDF5); save it with -v7",
        ),
        ({"net": 3.0}, "holds no `layers`"),
        ({"layers": np.zeros((1, 3), object)}, "features.0.bias is missing"),
    ],
    ids=["text", "7.3", "no layers", "no convolutions"],
)
def test_another_mat_file_is_named(tmp_path: Path, content: Any, told: str) -> None:
    path = tmp_path / "vgg.mat"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        scipy.io.savemat(path, content)
    with pytest.raises(InputError) as caught:
        load_encoder(f"caffe:{path}", 0, CPU)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"gone\.pth: no such file"):
        load_encoder(f"caffe:{tmp_path / 'gone.pth'}", 0, CPU)
