import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from srntt_pipeline.checkpoints import (
    CheckpointInfo,
    checkpoints_in,
    load_checkpoint,
    save_checkpoint,
)
from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.models import build_model
from srntt_pipeline.recipes import RECIPES
from srntt_pipeline.recipes.sisr import SisrRecipe
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.training.sources import load_start

SIZES = {"channels": 4, "blocks": (1, 1, 1, 1), "bicubic_skip": True, "weight_maps": False}


def save(folder: Path, seed: int = 0, **changes: object) -> Path:
    sizes = {**SIZES, **changes}
    torch.manual_seed(seed)
    info = CheckpointInfo(
        model="srntt-l2",
        sizes=sizes,
        step=7,
        encoder={"source": "random, seed 0", "sha256": "e" * 64},
        swaps=SwapParams(scales=(1.0, 0.5)),
        train=SrnttRecipe(**sizes, steps=7),
        dataset="d" * 64,
        metrics={"validation_psnr_db": 23.5},
    )
    path = folder / "srntt-l2.safetensors"
    model = build_model("srntt-l2", sizes)
    model.set_map_scales({"relu3_1": 4.0})
    save_checkpoint(path, model, info)
    return path


def test_infinite_psnr_of_flat_images_is_null(tmp_path: Path) -> None:
    path = save(tmp_path)
    loaded = load_checkpoint(path)
    info = loaded.info.model_copy(update={"metrics": {"validation_psnr_db": math.inf}})
    save_checkpoint(path, loaded.model, info)
    assert json.loads(path.with_suffix(".json").read_text(), parse_constant=pytest.fail)
    assert load_checkpoint(path).info.metrics == {"validation_psnr_db": None}


@pytest.mark.parametrize("name", ["srntt-l2.safetensors", "srntt-l2.json", ""])
def test_round_trip(tmp_path: Path, name: str) -> None:
    path = save(tmp_path)
    loaded = load_checkpoint(tmp_path / name)
    torch.manual_seed(0)
    expected = build_model("srntt-l2", SIZES)
    expected.set_map_scales({"relu3_1": 4.0})
    lr, weight = torch.rand(1, 3, 3, 3), torch.rand(1, 1, 3, 3)
    maps = {
        layer: torch.rand(1, channels, 3 * scale, 3 * scale)
        for layer, channels, scale in (("relu3_1", 256, 1), ("relu2_1", 128, 2), ("relu1_1", 64, 4))
    }
    assert torch.equal(loaded.model(lr, maps, weight), expected(lr, maps, weight))
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert loaded.path == path
    assert loaded.info.step == 7
    assert loaded.info.swaps == SwapParams(scales=(1.0, 0.5))
    assert loaded.info.train.blocks == (1, 1, 1, 1)
    assert loaded.info.metrics == {"validation_psnr_db": 23.5}


def test_same_weights_same_bytes(tmp_path: Path) -> None:
    first, second = save(tmp_path / "a"), save(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".json").read_bytes() == second.with_suffix(".json").read_bytes()


def other_weights(path: Path) -> None:
    path.write_bytes(save(path.parent / "other", seed=1).read_bytes())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def drop_a_weight(path: Path) -> None:
    tensors = load_file(path)
    del tensors["tail.1.bias"]
    save_file(tensors, path)


def edit(**changes: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        described = path.with_suffix(".json")
        content = {**json.loads(described.read_text()), **changes}
        described.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.with_suffix(".json").unlink(),
        lambda path: path.with_suffix(".json").write_text("{"),
        lambda path: path.with_suffix(".json").write_text("[]"),
        lambda path: path.with_suffix(".json").write_bytes(b"\xff\xfe"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("weights\n"),
        lambda path: Image.new("RGB", (8, 8)).save(path, format="PNG"),
        truncate,
        other_weights,
        drop_a_weight,
        edit(format="other"),
        edit(format=None),
        edit(step=None),
        edit(step="many"),
        edit(train={"steps": -1}),
        edit(surplus=1),
        edit(weights_sha256="0" * 64),
        edit(model="esrgan"),
        edit(sizes={**SIZES, "channels": 8}),
        edit(sizes={**SIZES, "blocks": [2, 1, 1, 1]}),
        edit(sizes={**SIZES, "blocks": [1, 1]}),
        edit(sizes={**SIZES, "channels": "four"}),
        edit(sizes={"width": 4}),
    ],
)
def test_wrong_checkpoint_is_named(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = save(tmp_path)
    damage(path)
    assert_one_line(path, path.stem)


def assert_one_line(path: Path, named: str) -> None:
    with pytest.raises(InputError) as caught:
        load_checkpoint(path)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["notes.txt", "photo.png", "folder", "none", "none.safetensors"])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("weights\n")
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    (tmp_path / "folder").mkdir()
    assert_one_line(tmp_path / name, name)


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    path, other = save(tmp_path), save(tmp_path / "other", channels=8)
    path.write_bytes(other.read_bytes())
    described = json.loads(path.with_suffix(".json").read_text())
    described["weights_sha256"] = json.loads(other.with_suffix(".json").read_text())[
        "weights_sha256"
    ]
    path.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="do not fit srntt-l2"):
        load_checkpoint(path)


SRNTT_OF_BEFORE = {
    "variant": "srntt-l2", "channels": 4, "blocks": [1, 1, 1, 1], "weight_maps": False,
    "warmup_steps": 3058, "reconstruction_steps": 3058, "steps": 7, "reconstruction": None,
    "reconstruction_weight": 1.0, "perceptual_weight": None, "perceptual_layer": "relu3_1",
    "texture_weight": None, "adversarial_weight": None, "critic_channels": 16, "critic_steps": 1,
    "gradient_penalty": 10.0, "bicubic_skip": True, "batch_norm": False, "batch_size": 8,
    "patch_px": 80, "augment": False, "learning_rate": 5e-4, "beta1": 0.9, "gradient_clip": 0.0,
    "ema_decay": 0.0, "precision": "32-true", "validation_pairs": 16, "validate_every": 95,
    "checkpoint_every": 95, "seed": 0,
}  # fmt: skip
SISR_OF_BEFORE = {
    "channels": 4, "blocks": 1, "steps": 7, "reconstruction": "l1",
    **{key: SRNTT_OF_BEFORE[key] for key in list(SRNTT_OF_BEFORE)[16:]},
}  # fmt: skip


def test_files_of_before_the_recipes_are_read(tmp_path: Path) -> None:
    path = save(tmp_path)
    edit(recipe=None, train=SRNTT_OF_BEFORE)(path)
    info = load_checkpoint(path).info
    assert (info.recipe, info.train.variant, info.train.blocks) == ("srntt", "srntt-l2", (1,) * 4)

    sizes = {"channels": 4, "blocks": 1, "bicubic_skip": False, "batch_norm": False}
    path = tmp_path / "sisr.safetensors"
    info = CheckpointInfo(
        model="sisr", sizes=sizes, step=7, encoder=None, swaps=None,
        train=SisrRecipe(channels=4, blocks=1), dataset="d" * 64, metrics={},
    )  # fmt: skip
    save_checkpoint(path, build_model("sisr", sizes), info)
    content = json.loads(path.with_suffix(".json").read_text())
    del content["recipe"]
    path.with_suffix(".json").write_text(json.dumps({**content, "train": SISR_OF_BEFORE}))
    info = load_checkpoint(path).info
    assert (info.recipe, info.train.blocks, info.train.learning_rate) == ("sisr", 1, 5e-4)


def test_a_file_of_before_architectures_is_of_the_papers(tmp_path: Path) -> None:
    sizes = {"channels": 4, "blocks": 1}  # as then, with neither batch_norm nor architecture
    info = CheckpointInfo(
        model="sisr", sizes=sizes, step=7, encoder=None, swaps=None,
        train=SisrRecipe(channels=4, blocks=1), dataset="d" * 64, metrics={},
    )  # fmt: skip
    path = tmp_path / "sisr.safetensors"
    save_checkpoint(path, build_model("sisr", sizes), info)
    content = json.loads(path.with_suffix(".json").read_text())
    del content["train"]["architecture"], content["train"]["batch_norm"]
    path.with_suffix(".json").write_text(json.dumps(content))
    recipe = SrnttRecipe(channels=4, blocks=(1, 1, 1, 1))
    assert load_start(path, recipe).info.train.architecture == "paper"
    for change in ({"architecture": "released"}, {"batch_norm": True}):
        (key,) = change
        with pytest.raises(InputError, match=f"its {key} is "):
            load_start(path, recipe.model_copy(update=change))


@pytest.mark.parametrize("refine", ["none", "relu3_1", "relu1_1"])
def test_a_file_of_before_refined_matches_means_matches_on_the_grid(
    tmp_path: Path, refine: str
) -> None:
    path = save(tmp_path)
    swaps = SwapParams(scales=(1.0, 0.5), refine=refine, refine_best=2).model_dump(mode="json")
    edit(swaps=swaps)(path)
    assert load_checkpoint(path).info.swaps.refine == refine  # what is named is kept
    for key in ("refine", "refine_best", "encoder_precision"):
        del swaps[key]
    edit(swaps=swaps)(path)
    assert load_checkpoint(path).info.swaps == SwapParams(scales=(1.0, 0.5), refine="none")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"recipe": "esrgan"}, rf"train: .*esrgan: no such recipe; known: {', '.join(RECIPES)}"),
        ({"recipe": "edsr"}, "train: .*blocks: Input should be a valid integer"),
        ({"recipe": 7}, "recipe: "),
        ({"train": {**SRNTT_OF_BEFORE, "variant": "x"}}, "train: .*variant: "),
        ({"train": 3}, "train: "),
    ],
    ids=str,
)
def test_parameters_are_checked_by_their_recipe(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    path = save(tmp_path)
    edit(**change)(path)
    with pytest.raises(InputError, match=told) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_folder_of_several_checkpoints_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path)
    (tmp_path / "notes.safetensors").touch()  # weights that nothing describes are no checkpoint
    assert load_checkpoint(tmp_path).path == path
    for suffix in (".safetensors", ".json"):
        path.with_suffix(suffix).rename(tmp_path / f"a{suffix}")
    again = save(tmp_path)
    with pytest.raises(InputError) as caught:
        load_checkpoint(tmp_path)
    told = "holds several checkpoints; name one of a.safetensors, srntt-l2.safetensors"
    assert str(caught.value) == f"{tmp_path} {told}"
    assert load_checkpoint(again).path == again


def test_a_folder_of_checkpoints_folders_means_all_of_them(tmp_path):
    for name in ("b", "a"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "srntt.safetensors").touch()
    (tmp_path / "models" / "notes").mkdir()
    models = tmp_path / "models"
    assert checkpoints_in(models) == [models / "a", models / "b"]
    assert checkpoints_in(models / "a") == [models / "a"]
    assert checkpoints_in(models / "notes") == [models / "notes"]
    assert checkpoints_in(models / "gone.safetensors") == [models / "gone.safetensors"]
