"""ENet's and SRGAN's losses in float64, their critics, and training against a plain loop."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.models import build_model
from srntt_pipeline.models.critic import Critic
from srntt_pipeline.recipes import CriticPlan, Loss, Objective
from srntt_pipeline.recipes.enet import EnetRecipe
from srntt_pipeline.recipes.srgan import SrganRecipe, SrresnetRecipe
from srntt_pipeline.training.data import HrImages, Patches, StepSampler
from srntt_pipeline.training.features import load_features
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.losses import (
    normalised_perceptual_loss,
    patch_texture_loss,
    standard_adversarial_loss,
    standard_critic_loss,
)
from srntt_pipeline.training.objective import losses
from srntt_pipeline.training.split import split_validation

CPU = torch.device("cpu")
LOOP: dict[str, Any] = {
    "batch_size": 2, "patch_px": 32, "learning_rate": 1e-3, "validation_pairs": 1,
    "validate_every": 100, "checkpoint_every": 100, "encoder_weights": "random",
    "critic_channels": 2,
}  # fmt: skip
SRGAN = SrganRecipe(
    **LOOP, channels=4, blocks=1, pretraining_steps=2, steps=3, critic_steps=2, augment=False,
    perceptual_layer="relu2_1", perceptual_weight=1e-6, reconstruction_weight=0.5,
    adversarial_weight=0.25, rate_schedule="constant",
)  # fmt: skip
ENET = EnetRecipe(**LOOP, channels=4, blocks=1, steps=2, perceptual_weights=(0.2, 0))


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "loss.csv").open() as file:
        return list(csv.DictReader(file))


def maps(*shape: int) -> Tensor:
    """Maps of no negative values, some of them 0."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).relu()


# Losses


def test_the_perceptual_loss_of_enet_is_of_maps_with_a_mean_of_one() -> None:
    sr, hr = maps(2, 3, 4, 5), maps(2, 3, 5, 4).reshape(2, 3, 4, 5)
    one, other = sr.double().numpy(), hr.double().numpy()
    expected = np.mean((one / other.mean() - other / other.mean()) ** 2)
    assert float(normalised_perceptual_loss(sr, hr)) == pytest.approx(expected, rel=1e-5)
    scaled = normalised_perceptual_loss(58 * sr, 58 * hr)  # as Caffe's maps are larger
    assert float(scaled) == pytest.approx(expected, rel=1e-5)
    assert float(normalised_perceptual_loss(0 * sr, 0 * hr)) == 0


@pytest.mark.parametrize("patch", [2, 3, 16])
def test_the_texture_loss_of_enet_is_of_gram_matrices_of_patches(patch: int) -> None:
    sr = {"a": maps(2, 3, 6, 7), "b": maps(2, 4, 3, 5)}
    hr = {"a": maps(2, 3, 7, 6).reshape(2, 3, 6, 7), "b": maps(2, 4, 5, 3).reshape(2, 4, 3, 5)}
    weights, expected = {"a": 0.3, "b": 2.0}, 0.0
    for layer, weight in weights.items():
        one, other = sr[layer].double().numpy(), hr[layer].double().numpy()
        one, other = one / other.mean(), other / other.mean()
        _, channels, height, width = one.shape
        side, found = min(patch, height, width), []
        for n in range(2):
            for top in range(0, height - side + 1, side):
                for left in range(0, width - side + 1, side):
                    total = 0.0
                    for i in range(channels):
                        for j in range(channels):
                            grams = [
                                (m[n, i, top : top + side, left : left + side]
                                 * m[n, j, top : top + side, left : left + side]).sum()
                                for m in (one, other)
                            ]  # fmt: skip
                            total += (grams[0] - grams[1]) ** 2 / channels**2
                    found.append(total)
        expected += weight * np.mean(found)
    assert float(patch_texture_loss(sr, hr, weights, patch)) == pytest.approx(expected, rel=1e-5)


def test_the_losses_of_a_standard_critic_are_logarithms_of_probabilities() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 1), nn.Flatten(0)).double()
    sr, hr = (torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    of_sr, of_hr = (1 / (1 + np.exp(-critic(x).detach().numpy())) for x in (sr, hr))
    judged = standard_critic_loss(critic, sr, hr)
    expected = -np.log(of_hr).mean() - np.log(1 - of_sr).mean()
    assert judged.item() == pytest.approx(expected, rel=1e-9)
    judged.backward()
    assert sr.grad is None  # the critic's steps are its own
    fooled = standard_adversarial_loss(critic, sr)
    assert fooled.item() == pytest.approx(-np.log(of_sr).mean(), rel=1e-9)
    fooled.backward()
    assert sr.grad is not None


def test_an_objective_names_layers_weights_and_forms() -> None:
    features = load_features(None, "random", ["relu1_1", "relu2_1", "pool2"], CPU)
    torch.manual_seed(0)
    sr, hr = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    one, other = features(2 * sr - 1), features(2 * hr - 1)
    objective = Objective(
        (
            Loss("perceptual", 1.0, ("pool2", "relu2_1"),
                 {"form": "enet", "layer_weights": (0.2, 3.0)}),
            Loss("texture", 1.0, ("relu1_1",),
                 {"form": "enet", "layer_weights": (1e-6,), "patch": 16}),
            Loss("adversarial", 2.0),
        ),
        CriticPlan(2, 1, kind="standard"),
    )  # fmt: skip
    found = losses(objective, sr, {"hr": hr}, features, lambda x: x.mean((1, 2, 3)))
    perceptual = 0.2 * normalised_perceptual_loss(one["pool2"], other["pool2"])
    perceptual += 3 * normalised_perceptual_loss(one["relu2_1"], other["relu2_1"])
    texture = patch_texture_loss(one, other, {"relu1_1": 1e-6}, 16)
    fooled = F.softplus(-(2 * sr - 1).mean((1, 2, 3))).mean()
    torch.testing.assert_close(found["perceptual"], perceptual)
    torch.testing.assert_close(found["texture"], texture)
    torch.testing.assert_close(found["loss"], perceptual + texture + 2 * fooled)


def test_pool_layers_are_those_of_vgg19() -> None:
    features = load_features(None, "random", ["pool2", "relu5_4", "pool5"], CPU)
    found = features(torch.rand(1, 3, 64, 64))
    assert {name: tuple(values.shape[1:]) for name, values in found.items()} == {
        "pool2": (128, 16, 16), "relu5_4": (512, 4, 4), "pool5": (512, 2, 2),
    }  # fmt: skip
    torch.testing.assert_close(F.max_pool2d(found["relu5_4"], 2), found["pool5"])


# Critics


def test_the_critic_of_srgan_has_its_layers() -> None:
    critic = Critic(96, 64, 4, batch_norm=True)
    wide = [m for m in critic.features if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.stride[0], m.bias is None) for m in wide] == [
        (3, 64, 1, False), (64, 64, 2, True), (64, 128, 1, True), (128, 128, 2, True),
        (128, 256, 1, True), (256, 256, 2, True), (256, 512, 1, True), (512, 512, 2, True),
    ]  # fmt: skip
    assert sum(isinstance(m, nn.BatchNorm2d) for m in critic.features) == 7
    first = critic.head[0]
    assert isinstance(first, nn.Linear)
    assert first.in_features == 512 * 6 * 6


def test_parts_of_a_batch_are_normed_alone() -> None:
    torch.manual_seed(0)
    critic = Critic(16, 2, 2, batch_norm=True)
    one, other = torch.rand(3, 3, 16, 16), 5 * torch.rand(3, 3, 16, 16)
    together = critic(torch.cat([one, other]), parts=2)
    torch.testing.assert_close(together, torch.cat([critic(one), critic(other)]))


def test_values_keep_their_size_in_a_standard_critic() -> None:
    images = 2 * torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) - 1
    spreads = {}
    for kaiming in (False, True):
        torch.manual_seed(0)
        critic = Critic(64, 16, kaiming=kaiming)
        with torch.no_grad():
            spreads[kaiming] = float(critic.head[0](critic.features(images).flatten(1)).std())
    assert 0.2 < spreads[True] < 2
    assert spreads[False] < 0.05


def test_a_gradient_penalty_takes_no_batch_norm() -> None:
    with pytest.raises(ValueError, match="no batch norm"):
        CriticPlan(2, 1, 10, batch_norm=True)
    assert CriticPlan(2, 3, 10).mixes == 3
    assert CriticPlan(2, 3, kind="standard").mixes == 0


# Training


def test_a_plain_loop_gives_the_same(folder: Path, tmp_path: Path) -> None:
    train(SRGAN, folder, tmp_path, device="cpu")
    pairs = split_validation(folder, read_train_pairs(folder), SRGAN).training
    data = HrImages(pairs, {pair.name: file_sha256(pair.hr) for pair in pairs})
    features = load_features(None, "random", ["relu2_1"], CPU)
    torch.manual_seed(SRGAN.seed)
    model = build_model("srgan", {"channels": 4, "blocks": 1})
    critic = Critic(32, 2, 4, batch_norm=True, kaiming=True)
    adams = [torch.optim.Adam(m.parameters(), 1e-3, (0.9, 0.999)) for m in (model, critic)]
    found = rows(tmp_path)
    assert [row["phase"] for row in found] == ["reconstruction"] * 2 + ["adversarial"] * 3
    for step, draws in enumerate(StepSampler(len(data), 2, 0, 5, SRGAN.seed)):
        patches = Patches(data, 32, SRGAN.seed, inputs="lr")
        batch = default_collate([patches[draw] for draw in draws])
        hr, sr = 2 * batch["hr"] - 1, 2 * model(batch["lr"]) - 1
        row = {"reconstruction": ((sr - hr) ** 2).mean()}
        loss = row["reconstruction"]
        if step >= 2:
            for _ in range(2):
                told = -torch.sigmoid(critic(hr)).log().mean()
                told = told - (1 - torch.sigmoid(critic(sr.detach()))).log().mean()
                adams[1].zero_grad()
                told.backward()
                adams[1].step()
            one, other = features(sr)["relu2_1"], features(hr)["relu2_1"]
            caffes = 255 * (0.229 + 0.224 + 0.225) / 3
            row["perceptual"] = ((caffes * one - caffes * other) ** 2).mean()
            row["adversarial"] = -torch.sigmoid(critic(sr)).log().mean()
            row["critic"] = told
            loss = 0.5 * row["reconstruction"] + 1e-6 * row["perceptual"]
            loss = loss + 0.25 * row["adversarial"]
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        row["loss"] = loss
        told_row = {name: float(found[step][name]) for name in row if found[step][name]}
        assert told_row == pytest.approx(
            {name: float(row[name].detach()) for name in told_row}, rel=2e-3, abs=1e-6
        )
        assert ("critic" in told_row) == (step >= 2)
    assert "gradient_penalty" not in found[0]


def test_srgan_goes_on_from_srresnet(folder: Path, tmp_path: Path) -> None:
    first = SrresnetRecipe(
        **{k: v for k, v in LOOP.items() if k not in ("encoder_weights", "critic_channels")},
        channels=4, blocks=1, steps=2,
    )  # fmt: skip
    train(first, folder, tmp_path / "first", device="cpu")
    train(SRGAN, folder, tmp_path / "out", device="cpu", content=tmp_path / "first")
    assert {row["phase"] for row in rows(tmp_path / "out")} == {"adversarial"}
    other = SRGAN.model_copy(update={"tanh": False})
    with pytest.raises(InputError, match="its tanh is True"):
        train(other, folder, tmp_path / "no", device="cpu", content=tmp_path / "first")


def test_enet_is_trained_on_its_losses(folder: Path, tmp_path: Path) -> None:
    train(ENET, folder, tmp_path / "pat", device="cpu")
    assert (tmp_path / "pat" / "enet.safetensors").exists()
    row = rows(tmp_path / "pat")[-1]
    assert {"perceptual", "texture", "adversarial", "critic"} < row.keys()
    assert "reconstruction" not in row
    train(ENET.model_copy(update={"variant": "e"}), folder, tmp_path / "e", device="cpu")
    assert (tmp_path / "e" / "enet-e.safetensors").exists()
    assert rows(tmp_path / "e")[-1].keys() == {"step", "phase", "loss"}


def test_losses_of_weight_0_are_left_out() -> None:
    params = ENET.model_copy(update={"texture_weights": (0, 1e-6, 0), "adversarial_weight": 0})
    (phase,) = params.phases()
    names = {loss.name: loss for loss in phase.objective.losses}
    assert list(names) == ["perceptual", "texture"]
    assert names["texture"].layers == ("relu2_1",)
    assert names["perceptual"].layers == ("pool2",)
    assert phase.objective.critic is None


def test_weights_that_end_too_early_are_told(shared: Path, folder: Path, tmp_path: Path) -> None:
    weights = str(shared / "weights" / "vgg19_relu3_1.pth")
    params = EnetRecipe.model_validate({
        **ENET.model_dump(), "encoder_weights": weights, "perceptual_weights": (0.2, 0.02),
    })  # fmt: skip
    with pytest.raises(InputError, match=r"ends before pool5") as caught:
        train(params, folder, tmp_path, device="cpu")
    assert str(caught.value).isprintable()
