"""Recipes: what decides a run, networks on raw references, losses by name, what is refused."""

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.errors import InputError
from srntt_pipeline.models import registry
from srntt_pipeline.recipes import (
    RECIPES,
    Loss,
    Objective,
    Phase,
    RawReferences,
    get_recipe,
    recipe,
    reconstruction,
)
from srntt_pipeline.recipes.edsr import EdsrRecipe
from srntt_pipeline.recipes.sisr import SisrRecipe
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.objective import LOSSES, Context
from srntt_pipeline.variants import VARIANTS

LOOP: dict[str, Any] = {
    "batch_size": 2, "patch_px": 32, "validation_pairs": 1, "validate_every": 100,
    "checkpoint_every": 100,
}  # fmt: skip
SRNTT = SrnttRecipe(
    **LOOP, variant="srntt", channels=4, blocks=(0, 0, 0, 0), warmup_steps=0,
    reconstruction_steps=0, steps=1, critic_channels=2, perceptual_layer="relu1_1",
)  # fmt: skip
EDSR = EdsrRecipe(**LOOP, channels=8, blocks=1, steps=40, learning_rate=2e-3)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "loss.csv").open() as file:
        return list(csv.DictReader(file))


def run(params: Any, folder: Path, out: Path, swaps: Path | None = None, **options: Any) -> Any:
    return train(params, folder, out, swaps, device="cpu", cache_bytes=1 << 28, **options)


def test_edsr_learns(folder: Path, tmp_path: Path) -> None:
    run(EDSR, folder, tmp_path)
    loaded = load_checkpoint(tmp_path)
    assert (loaded.path.name, loaded.info.recipe) == ("edsr.safetensors", "edsr")
    assert loaded.info.train == EDSR
    assert (loaded.info.encoder, loaded.info.swaps) == (None, None)
    assert loaded.model(torch.rand(1, 3, 5, 7)).shape == (1, 3, 20, 28)
    losses = [float(row["loss"]) for row in rows(tmp_path)]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert list(rows(tmp_path)[0]) == ["step", "phase", "loss"]
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["method"], card["recipe"]) == ("EDSR", "edsr")
    assert card["phases"]["reconstruction"]["losses"] == {
        "reconstruction": {"weight": 1.0, "layers": [], "kind": "l1"}
    }


# What decides a run


def test_a_variants_default_that_changes_in_the_code_makes_another_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swaps = folder / "swaps"
    run(SRNTT, folder, tmp_path, swaps)
    before = (tmp_path / "srntt.safetensors").read_bytes()
    variant = dataclasses.replace(VARIANTS["srntt"], perceptual_weight=0.5, texture_weight=0.25)
    monkeypatch.setitem(VARIANTS, "srntt", variant)
    with pytest.raises(InputError) as caught:
        run(SRNTT, folder, tmp_path, swaps)
    assert str(caught.value) == (
        f"{tmp_path} holds another run: perceptual_weight was 0.0001, is 0.5, texture_weight was "
        "0.0001, is 0.25; name another folder, or replace that run with --overwrite"
    )
    assert (tmp_path / "srntt.safetensors").read_bytes() == before
    run(SRNTT, folder, tmp_path, swaps, overwrite=True)
    assert (tmp_path / "srntt.safetensors").read_bytes() != before
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["params"]["perceptual_weight"], card["params"]["texture_weight"]) == (0.5, 0.25)
    losses = card["phases"]["texture transfer"]["losses"]
    assert (losses["perceptual"]["weight"], losses["texture"]["weight"]) == (0.5, 0.25)
    assert load_checkpoint(tmp_path).info.train.perceptual_weight == 0.5


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"phases": lambda *_, **__: (_phase("mse", 1),)},
            "reconstruction.losses.reconstruction.kind was l1, is mse",
        ),
        (
            {"network": lambda _: ("edsr", {"channels": 4, "blocks": 0, "res_scale": 0.5})},
            "res_scale was 1.0, is 0.5",
        ),
    ],
    ids=["phases", "network"],
)
def test_what_the_code_makes_of_parameters_is_part_of_a_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, told: str
) -> None:
    params = EdsrRecipe(**LOOP, channels=4, blocks=0, steps=1)
    run(params, folder, tmp_path)
    for name, function in change.items():
        monkeypatch.setattr(EdsrRecipe, name, function)
    with pytest.raises(InputError, match=f"holds another run: {told};"):
        run(params, folder, tmp_path)


def _phase(kind: str, stop: int) -> Phase:
    return Phase("reconstruction", stop, "lr", Objective((reconstruction(kind),)))


# Networks on raw references


class Toy(nn.Module):
    """LR↑ and a reference, one convolution each, added."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.of_lr, self.of_ref = (nn.Conv2d(3, channels, 1) for _ in range(2))

    def forward(self, lr: Tensor, refs: list[Tensor]) -> Tensor:
        (ref,) = refs
        up = F.interpolate(lr, scale_factor=4, mode="bicubic")
        ref = F.interpolate(ref, size=up.shape[2:], mode="nearest")
        return self.of_lr(up) + self.of_ref(ref)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[RawReferences]]:
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    registry.register("toy", inputs="images", row="Toy")(Toy)

    @recipe("toy")
    class ToyRecipe(RawReferences):
        """`train.toy`: a network on raw references."""

        def network(self) -> tuple[str, dict[str, Any]]:
            return "toy", {}

        def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
            losses = (reconstruction("mse"), Loss("brightness", 0.5))
            return (Phase("all", self.steps, "images", Objective(losses)),)

    def brightness(context: Context, told: Loss) -> Tensor:
        return (context.sr.mean() - context.hr.mean()).square()

    monkeypatch.setitem(LOSSES, "brightness", brightness)
    yield ToyRecipe
    del RECIPES["toy"]


@pytest.mark.parametrize("references", ["cut", "whole", "pad"])
def test_a_network_learns_from_raw_references(
    folder: Path, tmp_path: Path, toy: type[RawReferences], references: str
) -> None:
    params = toy(
        **{**LOOP, "batch_size": 4}, references=references, reference_px=64, augment=True, steps=60,
        learning_rate=0.05,
    )  # fmt: skip
    same = tmp_path / "same"  # references that show HR itself: cut alike, they give SR away
    for side in ("input", "ref"):
        (same / "train" / side).mkdir(parents=True)
        for path in (folder / "train" / "input").iterdir():
            (same / "train" / side / path.name).write_bytes(path.read_bytes())
    metrics = run(params, same, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert list(found[0]) == [
        "step", "phase", "loss", "reconstruction", "brightness", "reconstruction_share",
        "brightness_share",
    ]  # fmt: skip
    for row in found:
        whole = float(row["reconstruction"]) + 0.5 * float(row["brightness"])
        assert float(row["loss"]) == pytest.approx(whole, rel=1e-4)
    loaded = load_checkpoint(tmp_path / "out")
    assert (loaded.info.recipe, loaded.info.train.references) == ("toy", references)
    if references == "cut":
        gain = metrics["validation_psnr_db"] - metrics["validation_bicubic_psnr_db"]
        assert gain > 3  # only if reference and HR are cut, turned and flipped alike

    run(params, same, tmp_path / "out")  # goes on from its state: nothing is left to do
    first = sorted((same / "train" / "ref").iterdir())[0]
    first.write_bytes((folder / "train" / "ref" / first.name).read_bytes())
    told = rf"another run: references: 1 changed \({first.stem}\)"
    with pytest.raises(InputError, match=told):
        run(params, same, tmp_path / "out")


# What is refused


def test_an_unknown_recipe_is_told_with_those_known() -> None:
    with pytest.raises(InputError, match=f"^esdr: no such recipe; known: {', '.join(RECIPES)}$"):
        get_recipe("esdr")
    assert get_recipe("edsr") is EdsrRecipe


@pytest.mark.parametrize("losses", [(), (Loss("reconstruction"), Loss("reconstruction", 2.0))])
def test_an_objective_has_each_loss_once(losses: tuple[Loss, ...]) -> None:
    with pytest.raises(ValueError, match="one loss or more, each once"):
        Objective(losses)


@pytest.mark.parametrize(
    ("params", "options", "told"),
    [
        (SRNTT, {}, "srntt is trained on swaps: name their folder"),
        (EDSR, {"swaps": Path("swaps")}, "swaps: edsr is trained without swaps; leave them out"),
        (EDSR, {"content": Path("up")}, "--content up: edsr starts from no checkpoint"),
        (SisrRecipe(), {"content": Path("up")}, "--content up: sisr starts from no checkpoint"),
    ],
)
def test_what_a_recipe_takes_and_does_not_take(
    folder: Path, tmp_path: Path, params: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=f"^{told}"):
        run(params, folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
