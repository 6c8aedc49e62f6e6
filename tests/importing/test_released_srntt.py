"""Released weights in our networks against the layers that they were saved from, in float64."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorlayer
import torch
from PIL import Image
from tensorlayer import Layers, save

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.errors import InputError
from srntt_pipeline.import_weights import import_weights
from srntt_pipeline.importing import IMPORTERS
from srntt_pipeline.methods import Scene
from srntt_pipeline.methods.checkpoint import of_checkpoint
from srntt_pipeline.swaps.encoder import vgg19

SIZE = height, width = 4, 5


class Released:
    """The two files, and what their networks make of one LR image."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.lr = rng.random((*SIZE, 3))
        sides = ((256, 1), (128, 2), (64, 4))
        self.maps = [rng.random((r * height, r * width, depth)) for depth, r in sides]
        content, transfer = Layers(1), Layers(2)
        features = tensorlayer.content(content, 2 * self.lr - 1)
        self.sisr = (tensorlayer.upscale(content, features) + 1) / 2
        self.srntt = (tensorlayer.transfer(transfer, features, self.maps) + 1) / 2
        self.params = content.params, transfer.params
        self.upscale = save(folder / "upscale.npz", content.params)
        self.transfer = save(folder / "srntt.npz", transfer.params)
        state = vgg19("random", 0, 12).state_dict()
        self.vgg = folder / "vgg.pth"
        torch.save({f"features.{key}": value for key, value in state.items()}, self.vgg)

    def imported(self, out: Path, **options: Any) -> Path:
        given = {"encoder_weights": f"caffe:{self.vgg}", **options}
        return import_weights("srntt", [self.upscale, self.transfer], out, **given)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    return Released(tmp_path_factory.mktemp("released"))


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).permute(2, 0, 1)[None]


def assert_equal(sr: torch.Tensor, wanted: np.ndarray) -> None:
    assert wanted.std() > 0.1  # not all the same, so that an order of channels shows
    np.testing.assert_allclose(sr[0].permute(1, 2, 0).numpy(), wanted, atol=1e-9)


def test_the_files_hold_as_many_arrays_as_the_released_code_saves(released: Released) -> None:
    assert [len(params) for params in released.params] == [173, 309]
    moving = 2 * 64 * (33 + 33 + 17 + 9)
    numbers = sum(values.size for params in released.params for values in params)
    assert numbers - moving == 4_383_494


def test_sisr_makes_the_released_codes_image(released: Released, tmp_path: Path) -> None:
    path = import_weights("sisr", [released.upscale], tmp_path / "out")
    loaded = load_checkpoint(tmp_path / "out")
    assert (loaded.path, path.name) == (path, "sisr.safetensors")
    assert_equal(loaded.model.double()(tensor(released.lr)), released.sisr)
    assert loaded.info.train.network() == ("sisr", loaded.info.sizes)
    assert (loaded.info.step, loaded.info.encoder, loaded.info.swaps) == (0, None, None)
    assert loaded.info.origin == "weights imported from upscale.npz"


def test_srntt_makes_the_released_codes_image(released: Released, tmp_path: Path) -> None:
    import_weights("sisr", [released.upscale], tmp_path / "up")
    released.imported(tmp_path / "out", upscaler=str(tmp_path / "up"))
    loaded = load_checkpoint(tmp_path / "out")
    maps = dict(zip(("relu3_1", "relu2_1", "relu1_1"), map(tensor, released.maps), strict=True))
    lr, weight = tensor(released.lr), torch.zeros(1, 1, *SIZE)
    model = loaded.model.double()
    assert_equal(model(lr, maps, weight), released.srntt)
    assert_equal(model.sisr(lr), released.sisr)

    info = loaded.info
    assert info.encoder.source == "Caffe's, file vgg.pth"
    assert (info.swaps.scales, info.swaps.rotations_deg, info.swaps.refine) == ((1,), (0,), "none")
    assert info.networks == {"upscaler": load_checkpoint(tmp_path / "up").info.weights_sha256}
    assert [name for name, _ in info.imported] == ["upscale.npz", "srntt.npz"]
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert (card["method"], card["importer"]) == ("SRNTT", "srntt")
    assert card["imported"]["SRNTT.npz"] == f"srntt.npz (sha256 {info.imported[1][1]})"
    assert "srntt.npz" in (tmp_path / "out" / "card.md").read_text()


def test_an_imported_network_is_a_method(released: Released, tmp_path: Path) -> None:
    released.imported(tmp_path)
    method = of_checkpoint(tmp_path)
    ref = np.random.default_rng(3).integers(0, 256, (24, 28, 3), np.uint8)
    lr = np.asarray(Image.fromarray(ref).resize((7, 6)))
    scene = Scene(lr, {"L1": ref}, device="cpu")
    assert method.super_resolve(scene, "L1").shape == (24, 28, 3)
    assert method.parameters() == 4_383_494
    assert "weights imported from upscale.npz, srntt.npz, checkpoint" in method.notes("cpu")[-1]


def test_equal_files_make_equal_bytes(released: Released, tmp_path: Path) -> None:
    files = [released.imported(tmp_path / name).with_suffix("") for name in "ab"]
    for suffix in (".safetensors", ".json"):
        one, two = (file.with_suffix(suffix).read_bytes() for file in files)
        assert one == two


def one_line(*arguments: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        import_weights(*arguments, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_files_that_do_not_fit_are_named(released: Released, tmp_path: Path) -> None:
    def spoilt(number: int, values: np.ndarray | None) -> Path:
        params = list(released.params[0])
        params[number : number + 1] = [] if values is None else [values]
        return save(tmp_path / "spoilt.npz", params)

    out = tmp_path / "out"
    path = spoilt(7, None)
    assert one_line("sisr", [path], out) == f"{path}: holds 172 arrays, expected 173"
    spoilt(2, np.zeros((3, 3, 64, 63), np.float32))
    assert one_line("sisr", [path], out) == (
        f"{path}: array 2 is of shape (3, 3, 64, 63), expected (3, 3, 64, 64), for "
        "content.body.0.body.0.weight"
    )
    spoilt(4, np.full(64, np.nan, np.float32))
    assert one_line("sisr", [path], out).startswith(f"{path}: array 4 is not finite")
    told = one_line("sisr", [released.transfer], out)
    assert told == f"{released.transfer}: holds 309 arrays, expected 173"

    encoder = {"encoder_weights": f"caffe:{released.vgg}"}
    told = one_line("srntt", [released.transfer, released.upscale], out, **encoder)
    assert told == f"{released.transfer}: the texture transfer; name {released.upscale} before it"
    told = one_line("srntt", [released.transfer], out, **encoder)
    assert told == "srntt is imported from UPSCALE.npz SRNTT.npz, in that order"
    assert "name it with --encoder-weights" in one_line("srntt", [released.upscale] * 2, out)
    assert f"known: {', '.join(IMPORTERS)}" in one_line("esdr", [path], out)
    assert "takes no swapped maps" in one_line("sisr", [path], out, **encoder)
    assert not out.exists()


def test_only_what_is_ours_is_replaced(released: Released, tmp_path: Path) -> None:
    out = tmp_path / "out"
    released.imported(out)
    import_weights("sisr", [released.upscale], out)  # leaves one checkpoint there, not two
    assert load_checkpoint(out).info.model == "sisr"
    told = one_line("srntt", [released.upscale, released.transfer], out,
                    encoder_weights="random", upscaler=str(out))  # fmt: skip
    assert "is read by this command and lies inside" in told
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "sisr.safetensors").write_bytes(b"theirs")
    assert "did not write what is in it" in one_line(
        "sisr", [released.upscale], tmp_path / "theirs"
    )
    assert (tmp_path / "theirs" / "sisr.safetensors").read_bytes() == b"theirs"
