from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import VGG19_Weights
from torchvision.models.vgg import cfgs, make_layers
from torchvision.transforms.v2 import functional as T  # noqa: N812

from srntt_pipeline.errors import InputError
from srntt_pipeline.maps import CHANNELS
from srntt_pipeline.matching import windows
from srntt_pipeline.swaps import layers
from srntt_pipeline.swaps.encoder import _BATCH_PIXELS, Encoder, bare_vgg19, load_encoder
from srntt_pipeline.swaps.layers import EncoderPrecision

CPU = torch.device("cpu")
TORCHVISION = VGG19_Weights.IMAGENET1K_V1.transforms()  # knows ImageNet's mean and deviation


def load(weights: object, seed: int = 0) -> Encoder:
    return load_encoder(str(weights), seed, CPU)


def assert_near(found: Tensor, expected: Tensor) -> None:
    """Compare maps: Winograd's convolutions round by the norm, and not value by value."""
    assert found.shape == expected.shape
    assert (found - expected).norm() < 1e-5 * expected.norm()
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-5 * float(expected.max()))


def random_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    return shared / "weights" / "vgg19_relu3_1.pth"


def test_maps_are_those_of_torchvisions_vgg19(shared: Path, weights: Path) -> None:
    vgg = nn.Module()
    vgg.features = make_layers(cfgs["E"])
    unused = vgg.load_state_dict(torch.load(weights), strict=False).unexpected_keys
    assert not unused
    expected: list[Tensor] = []
    relus = [layer for layer in vgg.features if isinstance(layer, nn.ReLU)]
    for number in (0, 2, 4):  # ReLU 1_1, 2_1, 3_1
        relus[number].register_forward_hook(lambda *call: expected.append(call[2].clone()))
    path = next((shared / "data" / "cufed" / "train" / "input").glob("*.png"))
    image = np.array(Image.open(path))[:52, :68]
    pixels = T.to_dtype(T.to_image(image), torch.float32, scale=True)
    with torch.no_grad():
        vgg.features(T.normalize(pixels, TORCHVISION.mean, TORCHVISION.std)[None])

    maps = load(weights).encode(image)

    for layer, reference in zip(("relu1_1", "relu2_1", "relu3_1"), expected, strict=True):
        assert_near(maps[layer], reference[0])


def test_all_layers_are_those_of_torchvisions_vgg19() -> None:
    expected, found = make_layers(cfgs["E"]), bare_vgg19(len(make_layers(cfgs["E"])))
    assert len(found) == len(expected) == 37
    for ours, theirs in zip(found, expected, strict=True):
        assert repr(ours) == repr(theirs).replace("inplace=True", "")


@pytest.mark.parametrize(("height", "width"), [(4, 4), (12, 20), (13, 31)])
def test_map_sizes(height: int, width: int) -> None:
    maps = load("random").encode(random_image(height, width))
    for layer, cell in (("relu1_1", 1), ("relu2_1", 2), ("relu3_1", 4)):
        assert maps[layer].shape == (CHANNELS[layer], height // cell, width // cell)
        assert maps[layer].dtype == torch.float32
        assert maps[layer].min() >= 0


@pytest.mark.parametrize(("height", "width"), [(128, 100), (68, 132), (36, 200)])
def test_a_large_image_has_the_maps_of_one_pass(
    weights: Path, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch, height: int, width: int
) -> None:
    image = photograph[20 : 20 + height, 30 : 30 + width]
    encoder = load(weights)
    expected = encoder.encode(image)
    monkeypatch.setattr(windows, "SIDE", 8)
    found = encoder.encode(image)
    for layer, maps in expected.items():
        assert_near(found[layer], maps)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("height", "width"), [(48, 60), (53, 67), (9, 130)])
def test_maps_made_in_strips_are_those_made_at_once(
    photograph: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    precision: EncoderPrecision,
    height: int,
    width: int,
) -> None:
    image = photograph[20 : 20 + height, 30 : 30 + width]
    encoder = load_encoder("random", 0, CPU, precision=precision)
    expected = encoder.encode(image)
    monkeypatch.setattr(layers, "_STRIP", 1)
    found = encoder.encode(image)
    for layer, maps in expected.items():
        if precision == "float32":
            assert_near(found[layer], maps)
        else:
            assert (found[layer] - maps).norm() < 0.01 * maps.norm()


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_images_in_batches_have_the_maps_of_each(
    photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setitem(_BATCH_PIXELS, "cpu", batch * 20 * 24)
    images = [photograph[i : i + 20, :24] for i in range(5)]
    images += [photograph[:24, :20], photograph[:16, :16], photograph[9:29, :24]]
    encoder = load("random")
    found = list(encoder.encode_each(iter(images), ["relu3_1", "relu1_1"]))
    assert len(found) == len(images)
    for maps, image in zip(found, images, strict=True):
        assert list(maps) == ["relu3_1", "relu1_1"]
        expected = encoder.encode(image)
        for layer, values in maps.items():
            assert_near(values, expected[layer])


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(("height", "width"), [(12, 12), (52, 68), (65, 131), (160, 160)])
def test_threads_change_no_bit_of_a_map(
    weights: Path,
    photograph: np.ndarray,
    threads: Callable[[int], None],
    height: int,
    width: int,
) -> None:
    encoder, image = load(weights), photograph[20 : 20 + height, 30 : 30 + width]
    made, dense = [], []
    for number in (1, 2):
        threads(number)
        made.append(encoder.encode(image))
        halves = encoder.dense(image, texture=True).relu3_1()
        dense.append({half: maps.clone() for half, maps in halves})
    for layer, maps in made[0].items():
        assert torch.equal(made[1][layer], maps), layer
    assert len(dense[0]) == 4
    for half, maps in dense[0].items():
        assert torch.equal(dense[1][half], maps), half


def test_whole_vgg_has_the_identity_of_its_truncated_part(weights: Path, tmp_path: Path) -> None:
    part = torch.load(weights)
    rest = {"features.12.weight": torch.rand(2, 2), "classifier.6.bias": torch.rand(1000)}
    torch.save({**rest, **part}, tmp_path / "whole.pth")
    save_file({**part, **rest}, tmp_path / "whole.safetensors")
    expected = load(weights).identity.sha256
    assert load(tmp_path / "whole.pth").identity.sha256 == expected
    assert load(tmp_path / "whole.safetensors").identity.sha256 == expected
    part["features.10.bias"][0] += 1
    torch.save(part, tmp_path / "other.pth")
    assert load(tmp_path / "other.pth").identity.sha256 != expected


def test_random_depends_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = load("random", 5)
    load_encoder.cache_clear()
    torch.manual_seed(2)
    second, other = load("random", 5), load("random", 6)
    assert first is not second
    assert first.identity == second.identity
    assert first.identity.is_random
    assert first.identity.sha256 != other.identity.sha256
    image = random_image(12, 12)
    assert torch.equal(first.encode(image)["relu3_1"], second.encode(image)["relu3_1"])


def spoil(weights: Path, path: Path, how: str) -> None:
    state = torch.load(weights)
    if how == "missing key":
        del state["features.5.bias"]
    elif how == "wrong shape":
        state["features.7.weight"] = state["features.7.weight"][:64]
    elif how == "not a tensor":
        state["features.0.bias"] = "zeros"
    elif how == "list":
        state = [1, 2]
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("weights\n")
    elif how == "image":
        Image.fromarray(random_image(8, 8)).save(path, format="PNG")


@pytest.mark.parametrize(
    ("name", "how"),
    [("w.pth", how) for how in ("missing key", "wrong shape", "not a tensor", "list")]
    + [("w.safetensors", how) for how in ("missing key", "wrong shape")]
    + [(f"w.{s}", h) for s in ("pth", "safetensors") for h in ("truncated", "empty", "text")]
    + [("w.pth", "image")],
)
def test_unusable_weights_are_named(weights: Path, tmp_path: Path, name: str, how: str) -> None:
    spoil(weights, tmp_path / name, how)
    assert_one_line(tmp_path / name)


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors", "folder"])
def test_missing_weights_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    assert_one_line(tmp_path / name)


def assert_one_line(path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "--encoder-weights" in message
    assert "\n" not in message


@pytest.mark.parametrize("error", [URLError("offline"), RuntimeError("invalid hash value")])
def test_imagenet_without_a_network(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(VGG19_Weights, "get_state_dict", fail)
    with pytest.raises(InputError, match="--encoder-weights FILE"):
        load("imagenet")
