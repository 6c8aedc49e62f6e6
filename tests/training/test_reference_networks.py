"""CrossNet and TTSR are trained on raw references: losses, where they begin, what they learn."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.errors import InputError
from srntt_pipeline.recipes import Loss
from srntt_pipeline.recipes.crossnet import CrossnetRecipe
from srntt_pipeline.recipes.sisr import SisrRecipe
from srntt_pipeline.recipes.ttsr import TtsrRecipe
from srntt_pipeline.swaps.encoder import vgg19
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.losses import transferal_loss
from srntt_pipeline.training.objective import LOSSES, Context, signed

LOOP: dict[str, Any] = {
    "batch_size": 2, "validation_pairs": 1, "validate_every": 100, "checkpoint_every": 100,
    "learning_rate": 2e-3, "augment": False,
}  # fmt: skip
CROSSNET = CrossnetRecipe(
    **LOOP, patch_px=64, channels=8, flow_channels=4, sisr_skip=True, steps=40
)
TTSR = TtsrRecipe(
    **LOOP, patch_px=32, channels=8, blocks=(1, 1, 1, 1), bicubic_skip=True, reference_px=32,
    encoder_weights="random", perceptual_layer="relu3_1", critic_channels=2, steps=2,
    pretraining_steps=2,
)  # fmt: skip


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "loss.csv").open() as file:
        return list(csv.DictReader(file))


def mean(found: list[dict[str, str]]) -> float:
    return sum(float(row["loss"]) for row in found) / len(found)


def test_the_transferal_loss_is_the_mean_over_layers_of_squared_differences() -> None:
    rng = np.random.default_rng(0)
    sizes = {"relu3_1": (2, 4, 2, 3), "relu2_1": (2, 3, 4, 6)}
    sr, texture = ({layer: rng.random(size) for layer, size in sizes.items()} for _ in range(2))
    expected = sum(float(((sr[k] - texture[k]) ** 2).sum() / sr[k].size) for k in sizes) / 2
    tensors = [{k: torch.from_numpy(v).float() for k, v in maps.items()} for maps in (sr, texture)]
    assert float(transferal_loss(*tensors)) == pytest.approx(expected, rel=1e-5)
    # As an objective meets it: others are signed as images are, maps are of images in [0, 1].
    image, seen = torch.rand(2, 3, 4, 4), []

    def own_maps(images: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.append(images)
        return {**tensors[0], "relu1_1": images}

    others = {layer: signed(values) for layer, values in tensors[1].items()}
    context = Context(signed(image), image, {}, others=others, own_maps=own_maps)
    found = LOSSES["transferal"](context, Loss("transferal"))
    assert float(found) == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(seen[0], image)


def test_ttsrs_perceptual_loss_is_the_mean_squared_difference() -> None:
    rng = np.random.default_rng(0)
    sr, hr = (rng.random((2, 4, 3, 3)) for _ in range(2))

    class Features:
        caffe_scale = 1e3

        def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"relu5_1": images}

    features: Any = Features()
    context = Context(torch.from_numpy(sr), torch.from_numpy(hr), {}, features)
    told = Loss("perceptual", layers=("relu5_1",), options={"form": "mse"})
    expected = ((sr - hr) ** 2).mean()
    assert float(LOSSES["perceptual"](context, told)) == pytest.approx(expected)


def test_crossnet_learns(folder: Path, tmp_path: Path) -> None:
    train(CROSSNET, folder, tmp_path, device="cpu")
    found = rows(tmp_path)
    assert mean(found[-10:]) < 0.9 * mean(found[:10])
    assert load_checkpoint(tmp_path).info.model == "crossnet"


def test_crossnet_learns_the_squared_error_behind_any_front_end(
    folder: Path, tmp_path: Path
) -> None:
    tiny = {key: value for key, value in LOOP.items() if key != "augment"}
    sisr = SisrRecipe(**tiny, patch_px=32, channels=4, blocks=1, steps=1)
    train(sisr, folder, tmp_path / "sisr", device="cpu")
    params = CROSSNET.model_copy(update={"loss": "mse", "steps": 2})
    train(params, folder, tmp_path / "out", device="cpu", content=tmp_path / "sisr")
    made, front = load_checkpoint(tmp_path / "out"), load_checkpoint(tmp_path / "sisr")
    assert made.info.sizes["front"] == {"model": "sisr", "sizes": front.info.sizes}
    for name, value in front.model.state_dict().items():
        assert torch.equal(made.model.state_dict()[f"front.{name}"], value)
    with pytest.raises(InputError, match="is crossnet; expected a network that is fed with LR"):
        train(params, folder, tmp_path / "no", device="cpu", content=tmp_path / "out")


def test_ttsr_learns_on_the_reconstruction_loss(folder: Path, tmp_path: Path) -> None:
    params = TTSR.model_copy(update={"variant": "rec", "steps": 30})
    train(params, folder, tmp_path, device="cpu")
    found = rows(tmp_path)
    assert mean(found[-10:]) < 0.9 * mean(found[:10])
    assert load_checkpoint(tmp_path).info.model == "ttsr-rec"


def test_ttsr_learns_on_all_losses_and_begins_as_vgg19(folder: Path, tmp_path: Path) -> None:
    train(TTSR, folder, tmp_path, device="cpu")
    found = rows(tmp_path)
    assert [row["phase"] for row in found] == ["reconstruction"] * 2 + ["adversarial"] * 2
    named = {"reconstruction", "perceptual", "transferal", "adversarial", "critic"}
    assert all(float(found[-1][name]) for name in named)
    extractor = load_checkpoint(tmp_path).model.get_submodule("extractor.features")
    moved = []
    for name, start in vgg19("random", 0, 12).state_dict().items():
        moved.append(float((extractor.state_dict()[name] - start).abs().max()))
    # Adam moves a weight by about its rate, a tenth of the network's.
    assert 0 < max(moved) < 4 * 2e-4 * 1.5


def test_ttsr_is_trained_as_its_code_does() -> None:
    before, full = TtsrRecipe().phases()
    (alone,) = TtsrRecipe(variant="rec").phases()
    assert (before.stop, full.stop, alone.stop) == (3058, 79508, 76450)
    weights = {loss.name: loss.weight for loss in full.objective.losses}
    told = {"reconstruction": 1, "perceptual": 1e-2, "transferal": 1e-2, "adversarial": 1e-3}
    assert weights == told
    critic = full.objective.critic
    assert critic is not None
    assert (critic.kind, critic.channels, critic.steps) == ("wasserstein", 32, 2)
    plan = TtsrRecipe().optimiser_plan()
    assert plan.rate_of("extractor.features.10.bias") == plan.rate_of("extractor.features.0.weight")
    assert plan.rate_of("extractor.features.0.weight") == 0.1
    assert plan.rate_of("stages.0.bodies.0.0.body.0.weight") == 1
