"""A trained upscaler of LR and Ref↓, from its checkpoint to the shards and back to evaluation."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from srntt_pipeline.checkpoints import CheckpointInfo, load_checkpoint, save_checkpoint
from srntt_pipeline.cli import cli
from srntt_pipeline.config import MatchParams, Refine, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.matching.correspondence import match_maps
from srntt_pipeline.methods.restorer import Restorer
from srntt_pipeline.models import build_model
from srntt_pipeline.network_files import NetworkFiles
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps import upscaler as module
from srntt_pipeline.swaps.convert import convert_shards
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.info import shards_info
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.references import Augmentation, augment
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.show import show_match
from srntt_pipeline.swaps.upscaler import load_upscaler

CPU = torch.device("cpu")
Contents = Callable[[Path], dict[str, bytes]]
SIZES = {"channels": 4, "blocks": 2, "bicubic_skip": True}


def save_model(
    path: Path, name: str, sizes: dict[str, object], seed: int = 0, **known: object
) -> str:
    """Save a network of seeded random weights; return its path."""
    torch.manual_seed(seed)
    network = build_model(name, sizes)
    given = {"encoder": None, "swaps": None, **known}
    info = CheckpointInfo(
        model=name, sizes=sizes, step=0, train=SrnttRecipe(), dataset="", metrics={}, **given
    )
    save_checkpoint(path, network, info)
    return str(path)


def save_sisr(path: Path, seed: int = 0, **changes: object) -> str:
    return save_model(path, "sisr", {**SIZES, **changes}, seed)


@pytest.fixture
def sisr(tmp_path: Path) -> str:
    return save_sisr(tmp_path / "models" / "sisr.safetensors")


def weights_sha256(name: str) -> str:
    return json.loads(Path(name).with_suffix(".json").read_text())["weights_sha256"]


def naive(name: str, lr: np.ndarray) -> np.ndarray:
    """The whole image through the network at once."""
    tensor = torch.from_numpy(lr.astype(np.float32) / 255).permute(2, 0, 1)[None]
    sr = load_checkpoint(Path(name)).model(tensor)[0].permute(1, 2, 0).numpy()
    return np.rint(np.clip(sr, 0, 1) * 255).astype(np.uint8)


def test_bicubic_is_pillows(photograph: np.ndarray) -> None:
    lr = photograph[:9, :13]
    expected = Image.fromarray(lr).resize((52, 36), Image.Resampling.BICUBIC)
    bicubic = load_upscaler("bicubic", CPU)
    assert bicubic.identity == "bicubic"
    assert np.array_equal(bicubic(lr), np.asarray(expected))


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (12, 9)])
@pytest.mark.parametrize("skip", [True, False])
def test_a_checkpoint_upscales_as_its_network(
    tmp_path: Path, photograph: np.ndarray, size: tuple[int, int], skip: bool
) -> None:
    name = save_sisr(tmp_path / "sisr.safetensors", bicubic_skip=skip)
    lr = photograph[100 : 100 + size[0], 150 : 150 + size[1]]
    trained = load_upscaler(name, CPU)
    assert trained.identity == weights_sha256(name)
    assert np.array_equal(trained(lr), naive(name, lr))
    assert not np.array_equal(trained(lr), load_upscaler("bicubic", CPU)(lr))


@pytest.mark.parametrize("blocks", [0, 3])
@pytest.mark.parametrize("skip", [True, False])
def test_tiles_leave_no_seam(
    tmp_path: Path, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch, blocks: int, skip: bool
) -> None:
    name = save_sisr(tmp_path / "sisr.safetensors", blocks=blocks, bicubic_skip=skip)
    lr = photograph[100:149, 150:203]
    whole = naive(name, lr)
    monkeypatch.setattr(module, "TILE_PX", 16)
    tiled = load_upscaler(name, CPU)(lr)
    # Convolutions of other sizes may round otherwise in the last place.
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    assert (tiled != whole).mean() < 1e-3


def test_memory_is_bounded_by_tiles(
    sisr: str, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, seen = load_upscaler(sisr, CPU), []
    trained._model.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2:]))
    monkeypatch.setattr(module, "TILE_PX", 32)
    trained(photograph[:150, :90])
    assert len(seen[-15:]) == 5 * 3  # the first ones probe how far it sees
    assert max(max(shape) for shape in seen[-15:]) <= 32 + 2 * trained._sees.halo


def test_a_checkpoint_that_was_trained_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "sisr.safetensors"
    first = load_upscaler(save_sisr(path), CPU)
    assert load_upscaler(str(path), CPU) is first
    assert load_upscaler(save_sisr(path, seed=1), CPU).identity != first.identity
    assert load_upscaler(str(tmp_path), CPU).identity == weights_sha256(str(path))


def missing(path: Path) -> str:
    return str(path)


def damaged(path: Path) -> str:
    save_sisr(path)
    path.write_bytes(path.read_bytes()[:-8])
    return str(path)


def without_json(path: Path) -> str:
    save_sisr(path)
    path.with_suffix(".json").unlink()
    return str(path)


def other_model(path: Path) -> str:
    sizes = {"channels": 2, "blocks": (1, 1, 1, 1)}
    encoder = load_encoder("random", 0, CPU).identity
    return save_model(path, "srntt-l2", sizes, encoder=encoder, swaps=SwapParams())


def folder(path: Path) -> str:
    return str(path.parent)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "no such file"),
        (damaged, "damaged"),
        (without_json, r"model\.json is missing"),
        (other_model, "a checkpoint of srntt-l2; name one of sisr"),
        (folder, "no checkpoint in this folder"),
    ],
)
def test_what_is_no_upscaler_is_refused(
    tmp_path: Path, tiny_dataset: Path, make: Callable[[Path], str], words: str
) -> None:
    name = make(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=rf"^--upscaler.*{words}") as caught:
        swaps(tiny_dataset, tmp_path / "out", name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


# In shards


def params(upscaler: str, **changes: object) -> SwapParams:
    given = {"encoder_weights": "random", "scales": (1.0, 0.7), "rotations_deg": (0.0,)}
    return SwapParams(**{**given, "pairs_per_shard": 2, "upscaler": upscaler, **changes})


def swaps(dataset: Path, out: Path, upscaler: str, workers: int = 1, **changes: object) -> Path:
    precompute_swaps(dataset, out, params(upscaler, **changes), workers=workers, device="cpu")
    return out


@pytest.mark.parametrize("refine", ["none", "relu3_1"])
def test_shards_are_those_of_lr_and_ref_upscaled_directly(
    tiny_dataset: Path, tmp_path: Path, sisr: str, refine: Refine
) -> None:
    shards = Shards(swaps(tiny_dataset, tmp_path / "out", sisr, refine=refine))
    encoder = load_encoder("random", 0, CPU)

    def up(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        small = Image.fromarray(image).resize((width // 4, height // 4), Image.Resampling.BICUBIC)
        return naive(sisr, np.asarray(small))

    def maps(image: np.ndarray) -> torch.Tensor:
        return encoder.encode(up(image))["relu3_1"]

    for name in shards.names:
        hr, ref = (
            np.asarray(Image.open(tiny_dataset / "train" / side / f"{name}.png"))
            for side in ("input", "ref")
        )
        versions = [Augmentation(scale, 0) for scale in (1.0, 0.7)]
        if refine == "none":
            expected = match_maps(maps(hr), [maps(augment(ref, version)) for version in versions])
        else:
            upscaler = functools.partial(naive, sisr)
            expected = match_images(
                up(hr), [ref], versions, encoder, upscaler=upscaler, refine=refine
            )
        found = shards[name].correspondence
        assert torch.equal(found.index, expected.index)
        assert torch.equal(found.phases, expected.phases)
        torch.testing.assert_close(found.cosine, expected.cosine)


def test_workers_do_not_change_a_byte(
    tiny_dataset: Path, tmp_path: Path, sisr: str, contents: Contents
) -> None:
    one, two = (swaps(tiny_dataset, tmp_path / str(n), sisr, workers=n) for n in (1, 2))
    assert contents(one) == contents(two)


def test_identity_is_in_shards_and_index_and_info(
    tiny_dataset: Path, tiny_swaps: Path, tmp_path: Path, sisr: str
) -> None:
    out, made_with = swaps(tiny_dataset, tmp_path / "out", sisr), weights_sha256(sisr)
    assert Shards(out).networks == {"upscaler": made_with}
    with h5py.File(out / "shard-00000.h5") as file:
        assert json.loads(file.attrs["networks"]) == {"upscaler": made_with}
        assert str(tmp_path) not in "".join(map(str, file.attrs.values()))
    assert f"upscaler    sisr.safetensors (sha256 {made_with[:12]})" in shards_info(out)
    assert Shards(tiny_swaps).networks == {}
    assert "upscaler    bicubic\n" in shards_info(tiny_swaps)


def test_another_upscaler_remakes_shards_and_the_same_elsewhere_does_not(
    tiny_dataset: Path, tmp_path: Path, contents: Contents
) -> None:
    first, other = (save_sisr(tmp_path / f"{n}.safetensors", seed=n) for n in (1, 2))
    out = swaps(tiny_dataset, tmp_path / "out", "bicubic")
    bicubic = contents(out)
    for name in (first, other, "bicubic"):
        swaps(tiny_dataset, out, name)
        assert contents(out) == contents(swaps(tiny_dataset, tmp_path / "fresh", name))
    assert contents(out) == bicubic
    swaps(tiny_dataset, out, first)
    made = [path.stat().st_mtime_ns for path in sorted(out.glob("*.h5"))]
    Path(first).rename(tmp_path / "moved.safetensors")
    Path(first).with_suffix(".json").rename(tmp_path / "moved.json")
    swaps(tiny_dataset, out, str(tmp_path / "moved.safetensors"))
    assert [path.stat().st_mtime_ns for path in sorted(out.glob("*.h5"))] == made


def test_maps_can_be_stored_and_converted_without_the_upscaler(
    tiny_dataset: Path, tmp_path: Path, sisr: str, contents: Contents
) -> None:
    plain = swaps(tiny_dataset, tmp_path / "plain", sisr)
    maps = swaps(tiny_dataset, tmp_path / "maps", sisr, store="maps")
    Path(sisr).unlink()
    convert_shards(plain, tmp_path / "out", tiny_dataset, store="maps", workers=1, device="cpu")
    assert contents(tmp_path / "out") == contents(maps)


# From a checkpoint that was trained with them


def trained_with(path: Path, swaps_params: SwapParams, networks: dict[str, str]) -> Path:
    sizes = {"channels": 2, "blocks": (1, 1, 1, 1)}
    known = {"encoder": load_encoder("random", 0, CPU).identity, "swaps": swaps_params}
    return Path(save_model(path, "srntt-l2", sizes, networks=networks, **known))


def restorer(path: Path, upscaler: str | None = None) -> Restorer:
    return Restorer(load_checkpoint(path), CPU, NetworkFiles(upscaler=upscaler))


def test_restorer_matches_as_the_precompute_did(
    tiny_dataset: Path, tmp_path: Path, sisr: str
) -> None:
    shards = Shards(swaps(tiny_dataset, tmp_path / "out", sisr))
    path = trained_with(tmp_path / "model" / "srntt.safetensors", shards.params, shards.networks)
    name = shards.names[0]
    hr, ref = (Image.open(tiny_dataset / "train" / s / f"{name}.png") for s in ("input", "ref"))
    lr = np.asarray(hr.resize((12, 10), Image.Resampling.BICUBIC))
    found = restorer(path).match(lr, [np.asarray(ref)])
    assert torch.equal(found.index, shards[name].correspondence.index)
    assert torch.equal(found.phase, shards[name].correspondence.phase)
    torch.testing.assert_close(found.cosine, shards[name].correspondence.cosine)


def test_restorer_finds_an_upscaler_that_moved_and_refuses_another(
    tmp_path: Path, sisr: str
) -> None:
    networks = {"upscaler": weights_sha256(sisr)}
    path = trained_with(tmp_path / "model" / "srntt.safetensors", params(sisr), networks)
    here = str(Path(sisr).parent.rename(tmp_path / "here") / "sisr.safetensors")
    with pytest.raises(InputError, match=r"^--upscaler .*sisr\.safetensors: no such file"):
        restorer(path)
    assert restorer(path, here).matcher.networks == networks
    other = save_sisr(tmp_path / "other.safetensors", seed=1)
    for name, called in ((other, f"sha256 {weights_sha256(other)[:12]}"), ("bicubic", "bicubic")):
        with pytest.raises(InputError, match="name that file with --upscaler") as caught:
            restorer(path, name)
        made_with = f"made with upscaler sha256 {networks['upscaler'][:12]}, not with {called};"
        assert made_with in str(caught.value)
        assert "\n" not in str(caught.value)


def test_commands_are_told_where_the_upscaler_lies_now(
    tmp_path: Path, sisr: str, photograph: np.ndarray
) -> None:
    networks = {"upscaler": weights_sha256(sisr)}
    path = trained_with(tmp_path / "model" / "srntt.safetensors", params(sisr), networks)
    here = str(Path(sisr).parent.rename(tmp_path / "here") / "sisr.safetensors")
    (tmp_path / "test").mkdir()
    Image.fromarray(photograph[100:132, 150:182]).save(tmp_path / "test" / "a.png")
    calls = (
        ["super-resolve", tmp_path / "test" / "a.png", "-o", tmp_path / "sr.png"],
        ["evaluate", tmp_path / "test", tmp_path / "results", "--workers", 1],
    )
    for call in calls:
        command = [*map(str, call), "--checkpoint", str(path), "--device", "cpu"]
        lost = CliRunner().invoke(cli, command)
        assert str(lost.exception).startswith("--upscaler")
        found = CliRunner().invoke(cli, [*command, "--upscaler", here], catch_exceptions=False)
        assert found.exit_code == 0
    assert Image.open(tmp_path / "sr.png").size == (128, 128)


def test_a_checkpoint_of_bicubic_swaps_refuses_a_trained_upscaler(
    tmp_path: Path, sisr: str
) -> None:
    path = trained_with(tmp_path / "srntt.safetensors", params("bicubic"), {})
    restorer(path)
    with pytest.raises(InputError, match="made with upscaler bicubic, not with sha256"):
        restorer(path, sisr)


@pytest.mark.parametrize("networks", [{}, {"upscaler": "0" * 64}])
def test_a_checkpoint_tells_its_upscaler_by_hash(tmp_path: Path, networks: dict[str, str]) -> None:
    """So that training cannot forget the one, nor a person edit the other."""
    name = "bicubic" if networks else "sisr.safetensors"
    with pytest.raises(ValueError, match="networks"):
        trained_with(tmp_path / "srntt.safetensors", params(name), networks)


# show-match


def test_show_match_draws_what_the_upscaler_made(
    tiny_dataset: Path, tmp_path: Path, sisr: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    monkeypatch.setattr("srntt_pipeline.swaps.show.save_figure", lambda *given: None)
    monkeypatch.setattr("srntt_pipeline.swaps.show.draw", lambda match, _: shown.append(match))
    hr, ref = (tiny_dataset / "train" / side / "1.png" for side in ("input", "ref"))
    given = MatchParams(
        encoder_weights="random", scales=(1.0, 0.7), rotations_deg=(0.0,), upscaler=sisr
    )
    show_match(str(hr), tmp_path / "a.png", given, refs=[ref], device="cpu")
    out = swaps(tiny_dataset, tmp_path / "out", sisr)
    stored = {"swaps": out, "dataset": tiny_dataset, "device": "cpu"}
    show_match("1", tmp_path / "b.png", MatchParams(), **stored)
    lr = Image.open(hr).resize((12, 10), Image.Resampling.BICUBIC)
    for match_ in shown:
        assert np.array_equal(match_.lr_up, naive(sisr, np.asarray(lr)))
    assert torch.equal(shown[0].found.index, shown[1].found.index)
    moved = str(Path(sisr).parent.rename(tmp_path / "here") / "sisr.safetensors")
    with pytest.raises(InputError, match=r"^--upscaler"):
        show_match("1", tmp_path / "b.png", MatchParams(), **stored)
    show_match("1", tmp_path / "b.png", MatchParams(upscaler=moved), **stored)
    other = save_sisr(tmp_path / "other.safetensors", seed=1)
    with pytest.raises(InputError, match="was made with upscaler"):
        show_match("1", tmp_path / "b.png", MatchParams(upscaler=other), **stored)
