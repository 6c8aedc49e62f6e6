"""Matches by a network's own encoder, from its checkpoint to the shards and back to evaluation."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from pydantic import ValidationError
from torch import nn

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.cli import cli
from srntt_pipeline.config import MatchParams, Refine, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import upscale
from srntt_pipeline.matching.correspondence import match_maps
from srntt_pipeline.methods.restorer import Restorer
from srntt_pipeline.models import build_model
from srntt_pipeline.models.ttsr import TTSR
from srntt_pipeline.network_files import NetworkFiles
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps import learnt as module
from srntt_pipeline.swaps.convert import convert_shards
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.info import shards_info
from srntt_pipeline.swaps.learnt import load_learnt
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.references import down_up_mean
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.show import show_match
from srntt_pipeline.swaps.verify import verify_shards
from srntt_pipeline.training.loop import train
from tests import hostile
from tests.swaps import naive_refine
from tests.tiny_networks import save_as

CPU = torch.device("cpu")
Contents = Callable[[Path], dict[str, bytes]]
SIZES = {"channels": 2, "blocks": (0, 0, 0, 0), "texture": (3, 4, 5)}
REFINES = ["none", "relu3_1", "relu1_1"]


def save_ttsr(path: Path, seed: int = 0, name: str = "ttsr-rec") -> str:
    return str(save_as(path, name, SIZES, seed))


@pytest.fixture
def ttsr(tmp_path: Path) -> str:
    return save_ttsr(tmp_path / "models" / "ttsr-rec.safetensors")


def weights_sha256(name: str) -> str:
    return json.loads(Path(name).with_suffix(".json").read_text())["weights_sha256"]


def params(checkpoint: str, **changes: object) -> SwapParams:
    given = {"encoder_weights": "random", "scales": (1.0, 0.7), "rotations_deg": (0.0,)}
    if checkpoint:
        given |= {"matching": "learnt", "matching_checkpoint": checkpoint}
    return SwapParams(**{**given, "pairs_per_shard": 2, **changes})


def swaps(dataset: Path, out: Path, checkpoint: str, workers: int = 1, **changes: object) -> Path:
    precompute_swaps(dataset, out, params(checkpoint, **changes), workers=workers, device="cpu")
    return out


def images(dataset: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """LR and Ref."""
    hr, ref = (Image.open(dataset / "train" / side / f"{name}.png") for side in ("input", "ref"))
    size = hr.width // 4, hr.height // 4
    return np.asarray(hr.resize(size, Image.Resampling.BICUBIC)), np.asarray(ref)


@pytest.mark.parametrize("refine", REFINES)
def test_with_the_weights_of_vgg19_matches_are_those_by_vgg19(
    tiny_dataset: Path, tmp_path: Path, refine: Refine, monkeypatch: pytest.MonkeyPatch
) -> None:
    vgg19 = load_encoder("random", 0, CPU)
    sizes = {**SIZES, "texture": (64, 128, 256)}

    def carrying(name: str, sizes: dict[str, object]) -> nn.Module:
        model = build_model(name, sizes)
        model.extractor.features.load_state_dict(vgg19.features.state_dict())
        return model

    monkeypatch.setattr("tests.tiny_networks.build_model", carrying)
    path = str(save_as(tmp_path / "ttsr.safetensors", "ttsr", sizes))
    how = {"refine": refine, "refine_best": 2, "store": "maps"}
    plain, learnt = (
        Shards(swaps(tiny_dataset, tmp_path / f"swaps{bool(name)}", name, **how))
        for name in ("", path)
    )
    for name in plain.names:
        expected, found = plain[name].correspondence, learnt[name].correspondence
        assert torch.equal(found.index, expected.index)
        assert torch.equal(found.phases, expected.phases)
        assert torch.equal(found.cosine, expected.cosine)
        for layer, values in plain.maps(name).items():
            assert torch.equal(learnt.maps(name)[layer], values)


def patches(maps: torch.Tensor) -> np.ndarray:
    """Every 3×3 patch of [C, h, w], one by one, float64 [(h-2)·(w-2), 9·C]."""
    _, height, width = maps.shape
    values = maps.double().numpy()
    places = [(y, x) for y in range(height - 2) for x in range(width - 2)]
    return np.stack([values[:, y : y + 3, x : x + 3].ravel() for y, x in places])


def test_matches_are_the_best_by_the_networks_own_maps(
    tiny_dataset: Path, tmp_path: Path, ttsr: str
) -> None:
    found = Shards(swaps(tiny_dataset, tmp_path / "out", ttsr, refine="none", scales=(1.0,)))
    model = load_checkpoint(Path(ttsr)).model

    def maps(image: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
        return model.own_maps(tensor)["relu3_1"][0]

    for name in found.names:
        lr, ref = images(tiny_dataset, name)
        small = Image.fromarray(ref).resize((12, 10), Image.Resampling.BICUBIC)
        queries, keys = (patches(maps(upscale(np.asarray(one)))) for one in (lr, small))
        scores = queries @ (keys / np.linalg.norm(keys, axis=1, keepdims=True)).T
        stored = found[name].correspondence
        taken = scores[np.arange(len(scores)), stored.index.flatten().numpy()]
        np.testing.assert_allclose(taken, scores.max(1), rtol=1e-5)  # of two alike, either
        cosines = scores.max(1) / np.linalg.norm(queries, axis=1)
        np.testing.assert_allclose(stored.cosine.flatten().numpy(), cosines, rtol=1e-4)


def test_to_the_pixel_matches_are_the_best_by_its_maps_at_every_pixel(
    tiny_dataset: Path, tmp_path: Path, ttsr: str
) -> None:
    out = swaps(tiny_dataset, tmp_path / "out", ttsr, refine="relu3_1", scales=(1.0,))
    stored, encoder = Shards(out)["1"].correspondence, load_learnt(params(ttsr), CPU)
    assert encoder is not None
    lr, ref = images(tiny_dataset, "1")
    seen = [upscale(lr), down_up_mean(ref)]
    of_lr, of_ref = (encoder.encode(one)["relu3_1"] for one in seen)
    on_grid = match_maps(of_lr, [of_ref])
    query, dense = (naive_refine.dense_maps(encoder, one)["relu3_1"] for one in seen)
    query, everywhere = query[:, ::4, ::4], [np.ones((40 - 11, 48 - 11), bool)]
    candidates = naive_refine.places(on_grid)[None]
    scores, _ = naive_refine.refined(query, [dense], everywhere, candidates)
    for i, j in np.ndindex(*scores.shape):  # of two alike, either
        _, y, x = naive_refine.places(stored)[i, j]
        value = naive_refine.score(query[:, i : i + 3, j : j + 3], dense, y, x, 4, 3)
        assert value == pytest.approx(scores[i, j], rel=1e-5)


def test_what_is_swapped_in_are_vgg19s_maps_and_the_checkpoint_is_not_asked_again(
    tiny_dataset: Path, tmp_path: Path, ttsr: str, contents: Contents
) -> None:
    plain = swaps(tiny_dataset, tmp_path / "plain", ttsr)
    maps = swaps(tiny_dataset, tmp_path / "maps", ttsr, store="maps", maps_dtype="float32")
    Path(ttsr).unlink()
    convert_shards(plain, tmp_path / "out", tiny_dataset, store="maps", maps_dtype="float32",
                   workers=1, device="cpu")  # fmt: skip
    assert contents(tmp_path / "out") == contents(maps)
    stored = Shards(maps)
    assert stored.encoder == load_encoder("random", 0, CPU).identity
    assert stored.maps("1")["relu3_1"].shape == (256, 10, 12)


@pytest.mark.parametrize("refine", ["none", "relu3_1"])
def test_workers_do_not_change_a_byte(
    tiny_dataset: Path, tmp_path: Path, ttsr: str, contents: Contents, refine: Refine
) -> None:
    how = {"refine": refine}
    one, two = (swaps(tiny_dataset, tmp_path / str(n), ttsr, n, **how) for n in (1, 2))
    assert contents(one) == contents(two)


def test_windows_do_not_change_matches(tmp_path: Path, photograph: np.ndarray, ttsr: str) -> None:
    """Maps of fewer channels than VGG19's, of an image in several windows."""
    encoder = load_learnt(params(ttsr), CPU)
    assert encoder is not None
    image = photograph[:40, :].repeat(2, 1)
    tensor = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    whole = encoder(tensor)
    for layer, values in encoder.encode(image).items():
        torch.testing.assert_close(values, whole[layer][0])


# What shards record


def test_weights_are_in_shards_and_index_and_info(
    tiny_dataset: Path, tmp_path: Path, ttsr: str
) -> None:
    out, made_with = swaps(tiny_dataset, tmp_path / "out", ttsr), weights_sha256(ttsr)
    shards = Shards(out)
    assert shards.networks == {"matching_checkpoint": made_with}
    assert shards.params.matched_by["matching"] == "learnt"
    assert "matching_checkpoint" not in shards.params.matched_by  # its file may move
    text = shards_info(out)
    assert f"matched by  ttsr-rec.safetensors (sha256 {made_with[:12]})" in text
    assert "matching learnt" in text
    assert verify_shards(out, dataset=tiny_dataset).startswith("OK: 3 pairs")
    hostile.edit_index(out, lambda index: index["networks"].clear())
    with pytest.raises(InputError, match="matching learnt, but networks") as caught:
        verify_shards(out)
    assert "\n" not in str(caught.value)


def test_other_weights_remake_shards_and_the_same_elsewhere_do_not(
    tiny_dataset: Path, tmp_path: Path, contents: Contents
) -> None:
    first, other = (save_ttsr(tmp_path / f"{n}.safetensors", seed=n) for n in (1, 2))
    out = swaps(tiny_dataset, tmp_path / "out", "")
    plain = contents(out)
    for number, name in enumerate((first, other, "")):
        swaps(tiny_dataset, out, name)
        assert contents(out) == contents(swaps(tiny_dataset, tmp_path / f"new{number}", name))
    assert contents(out) == plain
    swaps(tiny_dataset, out, first)
    made = [path.stat().st_mtime_ns for path in sorted(out.glob("*.h5"))]
    for ending in ("safetensors", "json"):
        Path(first).with_suffix(f".{ending}").rename(tmp_path / f"moved.{ending}")
    swaps(tiny_dataset, out, str(tmp_path / "moved.safetensors"))
    assert [path.stat().st_mtime_ns for path in sorted(out.glob("*.h5"))] == made


def test_a_run_goes_on_with_the_shard_that_is_missing(
    tiny_dataset: Path, tmp_path: Path, ttsr: str, contents: Contents
) -> None:
    out = swaps(tiny_dataset, tmp_path / "out", ttsr)
    whole = contents(out)
    kept, lost = sorted(out.glob("*.h5"))
    made = kept.stat().st_mtime_ns
    lost.unlink()
    swaps(tiny_dataset, out, ttsr)
    assert contents(out) == whole
    assert kept.stat().st_mtime_ns == made


def test_in_lower_precision_the_agreement_is_of_learnt_matches_too(
    tiny_dataset: Path, tmp_path: Path, ttsr: str
) -> None:
    how = {"encoder_precision": "bfloat16", "pairs_per_shard": 4}
    exact = Shards(swaps(tiny_dataset, tmp_path / "exact", ttsr))
    half = Shards(swaps(tiny_dataset, tmp_path / "half", ttsr, **how))
    same = [half[n].correspondence.agreement(exact[n].correspondence) for n in exact.names]
    assert 0.3 < half.float32_agreement < 1
    assert half.float32_agreement == pytest.approx(np.mean(same), abs=1e-6)


# What is refused


def missing(path: Path) -> None:
    pass


def damaged(path: Path) -> None:
    save_ttsr(path)
    path.write_bytes(path.read_bytes()[:-8])


def changed(path: Path) -> None:
    save_ttsr(path)
    described = path.with_suffix(".json").read_text()
    save_ttsr(path, seed=1)
    path.with_suffix(".json").write_text(described)


def without_encoder(path: Path) -> None:
    save_as(path, "sisr", {"channels": 2, "blocks": 1})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "no such file"),
        (damaged, "damaged"),
        (changed, "is not the file that model.json describes"),
        (without_encoder, "a checkpoint of sisr, which has no encoder to match by; name one of "
                          "ttsr, ttsr-rec"),
    ],
)  # fmt: skip
def test_what_is_no_encoder_is_refused(
    tmp_path: Path, tiny_dataset: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "model.safetensors"
    make(path)
    with pytest.raises(InputError, match=f"^--matching-checkpoint.*{words}") as caught:
        swaps(tiny_dataset, tmp_path / "out", str(path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("number", "layer", "words"),
    [
        (4, nn.AvgPool2d(2), "layer 4 is no MaxPool2d"),
        (4, nn.MaxPool2d(2, stride=1), "stride of layer 4 is not 2"),
        (2, nn.Conv2d(3, 3, 5, padding=2), r"kernel_size of layer 2 is not \(3, 3\)"),
        (10, nn.Conv2d(4, 257, 3, padding=1), "layer 10 has more than 256 channels"),
        (10, nn.Conv2d(4, 5, 3, padding=1, bias=False), "layer 10 has no bias"),
        (None, nn.Conv2d(3, 3, 3), "not 12 layers, one after the other"),
    ],
)
def test_an_encoder_of_another_grid_is_refused(
    monkeypatch: pytest.MonkeyPatch, ttsr: str, number: int | None, layer: nn.Module, words: str
) -> None:
    def layers(model: TTSR) -> nn.Module:
        if number is None:
            return layer
        model.extractor.features[number] = layer
        return model.extractor.features

    monkeypatch.setattr(TTSR, "matching_layers", layers)
    module._load.cache_clear()
    with pytest.raises(InputError, match=rf"every 4 px \({words}\)$") as caught:
        load_learnt(params(ttsr), CPU)
    assert "\n" not in str(caught.value)


def test_one_key_without_the_other_is_refused() -> None:
    with pytest.raises(ValidationError, match="matching_checkpoint names no checkpoint"):
        SwapParams(matching="learnt")
    with pytest.raises(ValidationError, match="matching is flow-dis; set it to learnt"):
        SwapParams(matching="flow-dis", matching_checkpoint="ttsr")


def test_maps_that_are_no_numbers_are_said_of_the_checkpoint(
    tmp_path: Path, photograph: np.ndarray, ttsr: str
) -> None:
    encoder = load_learnt(params(ttsr), CPU)
    assert encoder is not None
    encoder.features[10].weight.mul_(1e38).mul_(1e38)
    words = rf"^--matching-checkpoint: ttsr-rec \(sha256 {weights_sha256(ttsr)[:12]}\) gives maps"
    with pytest.raises(InputError, match=words):
        encoder.encode(photograph[:40, :48])
    module._load.cache_clear()


# From a checkpoint that was trained with them


@pytest.fixture
def trained(tiny_dataset: Path, tmp_path: Path, ttsr: str) -> Path:
    """The folder of an SRNTT that was trained on such swaps for a step."""
    recipe = SrnttRecipe(
        variant="srntt-l2", channels=2, blocks=(1, 1, 1, 1), warmup_steps=0, steps=0,
        reconstruction_steps=1, batch_size=1, patch_px=32, validation_pairs=1,
    )  # fmt: skip
    out = swaps(tiny_dataset, tmp_path / "swaps", ttsr)
    train(recipe, tiny_dataset, tmp_path / "model", swaps=out, device="cpu")
    return tmp_path / "model"


def test_a_trained_network_matches_as_its_swaps_were(
    tiny_dataset: Path, tmp_path: Path, ttsr: str, trained: Path
) -> None:
    shards = Shards(tmp_path / "swaps")
    lr, ref = images(tiny_dataset, "1")
    found = Restorer(load_checkpoint(trained), CPU).match(lr, [ref])
    assert torch.equal(found.index, shards["1"].correspondence.index)
    assert torch.equal(found.phase, shards["1"].correspondence.phase)
    assert found.shapes == shards["1"].correspondence.shapes
    here = str(Path(ttsr).parent.rename(tmp_path / "here") / "ttsr-rec.safetensors")
    with pytest.raises(InputError, match=r"^--matching-checkpoint .*ttsr-rec.*: no such file"):
        Restorer(load_checkpoint(trained), CPU)
    moved = Restorer(load_checkpoint(trained), CPU, NetworkFiles(matching_checkpoint=here))
    assert torch.equal(moved.match(lr, [ref]).index, found.index)
    other = save_ttsr(tmp_path / "other.safetensors", seed=1)
    with pytest.raises(InputError, match="name that file with --matching-checkpoint") as caught:
        Restorer(load_checkpoint(trained), CPU, NetworkFiles(matching_checkpoint=other))
    hashes = [weights_sha256(name)[:12] for name in (here, other)]
    said = "made with matching-checkpoint sha256 {}, not with sha256 {};".format(*hashes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_commands_use_it_and_are_told_where_it_lies_now(
    tmp_path: Path, ttsr: str, trained: Path, photograph: np.ndarray
) -> None:
    (tmp_path / "test").mkdir()
    Image.fromarray(photograph[100:132, 150:182]).save(tmp_path / "test" / "a.png")
    made_with = weights_sha256(ttsr)
    here = str(Path(ttsr).parent.rename(tmp_path / "here") / "ttsr-rec.safetensors")
    calls = (
        ["super-resolve", tmp_path / "test" / "a.png", "-o", tmp_path / "sr.png"],
        ["evaluate", tmp_path / "test", tmp_path / "results", "--workers", 1],
    )
    for call in calls:
        command = [*map(str, call), "--checkpoint", str(trained), "--device", "cpu"]
        lost = CliRunner().invoke(cli, command)
        assert str(lost.exception).startswith("--matching-checkpoint")
        given = [*command, "--matching-checkpoint", here]
        assert CliRunner().invoke(cli, given, catch_exceptions=False).exit_code == 0
    assert Image.open(tmp_path / "sr.png").size == (128, 128)
    notes = (tmp_path / "results" / "table.md").read_text()
    assert "matching learnt" in notes
    assert f"by the maps of ttsr-rec (sha256 {made_with[:12]})" in notes


def test_show_match_draws_learnt_matches(tiny_dataset: Path, tmp_path: Path, ttsr: str) -> None:
    hr, ref = (tiny_dataset / "train" / side / "1.png" for side in ("input", "ref"))
    given = MatchParams(
        encoder_weights="random", matching="learnt", matching_checkpoint=ttsr, scales=(1.0,)
    )
    show_match(str(hr), tmp_path / "a.png", given, refs=[ref], device="cpu")
    assert Image.open(tmp_path / "a.png").width > 500
