"""Which losses count, learning rates, steps on HR's own maps, frozen parts, the gate."""

import csv
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.color import rgb2ycbcr
from torch import Tensor

from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.maps import LAYERS
from srntt_pipeline.models import build_model
from srntt_pipeline.recipes import Loss, Objective, Phase, reconstruction, share_column
from srntt_pipeline.recipes.edsr import EdsrRecipe
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.training.curves import LOSS_EVERY
from srntt_pipeline.training.data import Patches
from srntt_pipeline.training.features import load_features
from srntt_pipeline.training.job import make_job
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.objective import LOSSES, Context, gradient_shares, losses

CPU = torch.device("cpu")
PARAMS = SrnttRecipe(
    variant="srntt", channels=4, blocks=(0, 0, 0, 0), warmup_steps=1, reconstruction_steps=0,
    steps=2, batch_size=2, patch_px=32, learning_rate=1e-3, critic_channels=2,
    perceptual_layer="relu3_1", truth_share=0, gate=False, validation_pairs=1,
    validate_every=100, checkpoint_every=100,
)  # fmt: skip


def changed(**changes: Any) -> SrnttRecipe:
    return SrnttRecipe.model_validate({**PARAMS.model_dump(), **changes})


def run(folder: Path, out: Path, **changes: Any) -> list[dict[str, str]]:
    train(changed(**changes), folder, out, folder / "swaps", device="cpu", cache_bytes=1 << 28)
    with (out / "loss.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def batch(folder: Path) -> dict[str, Tensor]:
    """A real pair with its maps; `sr`: LR, enlarged by repeating its pixels."""
    data = SwappedPairs(
        read_train_pairs(folder), Shards(folder / "swaps"), load_encoder("random", 0, CPU)
    )
    pair = data[0]
    tensors = {"hr": pair["hr"], "weight": pair["weight"], **pair["maps"]}
    tensors["sr"] = pair["lr"].repeat_interleave(4, 1).repeat_interleave(4, 2)
    return {name: tensor[None] for name, tensor in tensors.items()}


# Shares of the gradient


def test_shares_are_norms_of_gradients(folder: Path, batch: dict[str, Tensor]) -> None:
    features = load_features(Shards(folder / "swaps"), None, LAYERS, CPU)
    told = {
        "reconstruction": Loss("reconstruction", 1.0, options={"kind": "l1"}),
        "perceptual": Loss("perceptual", 0.5, ("relu3_1",), {"form": "paper"}),
        "texture": Loss("texture", 2.0, LAYERS, {"form": "released"}),
    }
    norms = {}
    for name, loss in told.items():  # each alone, by a backward pass of its own
        sr = batch["sr"].clone().requires_grad_()
        losses(Objective((loss,)), sr, batch, features, None)["loss"].backward()
        norms[name] = float(sr.grad.double().square().sum().sqrt())
    sr = batch["sr"].clone().requires_grad_()
    objective = Objective(tuple(told.values()))
    found = losses(objective, sr, batch, features, None)
    shares = gradient_shares(objective, found, [sr])
    assert list(shares) == [share_column(name) for name in told]
    for name, norm in norms.items():
        assert float(shares[share_column(name)]) == pytest.approx(
            norm / sum(norms.values()), rel=1e-3
        )
    found["loss"].backward()  # the graph is still there
    assert sr.grad is not None


def test_shares_stand_in_the_curve_and_idle_losses_are_warned_of(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        rows = run(folder, tmp_path, loss_form="paper", steps=52, variant="srntt")
    idle = [message for message in caplog.messages if "changes next to nothing" in message]
    assert len(idle) == 3  # as printed, all but the reconstruction loss; each is told once
    assert "adversarial" in idle[-1]  # the critic has learnt for a while then
    assert "texture transfer: the texture loss, weight 0.0001, has" in "".join(idle)
    assert "texture_share" in rows[0]
    shares = {
        int(row["step"]): [float(v) for k, v in row.items() if k.endswith("_share") and v]
        for row in rows
    }
    assert {step for step, values in shares.items() if values} == {2, 11, 22, 33, 44, 51}
    assert all(sum(values) == pytest.approx(1, abs=1e-5) for values in shares.values() if values)


def test_each_loss_moves_the_network_in_the_default_form(folder: Path, tmp_path: Path) -> None:
    weights = {}
    parts = ("perceptual_weight", "texture_weight", "adversarial_weight")
    for left_out in ("", *parts):
        out = tmp_path / (left_out or "all")
        run(folder, out, steps=8, **({left_out: 0} if left_out else {}))
        tensors = load_file(out / "srntt.safetensors")
        weights[left_out] = torch.cat([value.flatten() for value in tensors.values()])
    start = tmp_path / "start"
    run(folder, start, steps=0)
    moved = torch.cat([v.flatten() for v in load_file(start / "srntt.safetensors").values()])
    whole = float((weights[""] - moved).norm())
    for part in parts[:2]:
        assert float((weights[""] - weights[part]).norm()) > 0.02 * whole, part
    assert not torch.equal(weights[""], weights["adversarial_weight"])


# What a loss compares


def test_luma_within_a_border(batch: dict[str, Tensor]) -> None:
    sr, hr = batch["sr"], batch["hr"]
    told = reconstruction("mse", channel="luma", border=3)
    found = losses(Objective((told,)), sr, {"hr": hr}, None, None)
    y = [
        rgb2ycbcr(image[0].permute(1, 2, 0).double().numpy())[3:-3, 3:-3, 0] / 255
        for image in (sr, hr)
    ]
    # Losses are of [-1, 1].
    assert float(found["loss"]) == pytest.approx(4 * np.mean((y[0] - y[1]) ** 2), rel=1e-5)


def test_losses_see_what_the_network_made_beside_sr(
    batch: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_step(context: Context, told: Loss) -> Tensor:
        return context.others["first"].mean() * context.step

    monkeypatch.setitem(LOSSES, "of step", of_step)
    sr, first = (batch["sr"].clone().requires_grad_() for _ in range(2))
    objective = Objective((reconstruction("mse"), Loss("of step", 0.5)))
    found = losses(objective, sr, {"hr": batch["hr"]}, None, None, {"first": first}, 3)
    expected = 3 * (2 * first.detach() - 1).mean()
    assert float(found["of step"]) == pytest.approx(float(expected))
    shares = gradient_shares(objective, found, [sr, first])
    slope = 4 * (sr.detach() - batch["hr"]) * 2 / sr.numel()
    norms = float(slope.norm()), 0.5 * 3 * 2 / first.numel() ** 0.5
    assert [float(share) for share in shares.values()] == pytest.approx(
        [norm / sum(norms) for norm in norms], rel=1e-4
    )


def test_steps_are_counted_within_their_phase(folder: Path) -> None:
    job = make_job(PARAMS, folder, folder / "swaps", CPU)
    assert [phase.stop for phase in job.phases if phase.stop] == [1, 1, 3]
    assert [job.step_in_phase(step) for step in (1, 2, 3)] == [1, 1, 2]


# Learning rates


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, lambda step: 1.0),
        ({"rate_schedule": "cosine"}, lambda step: (1 + math.cos(math.pi * (step - 1) / 40)) / 2),
        (
            {"rate_schedule": "drops", "rate_drops": (0.5, 0.75), "rate_drop": 0.5},
            lambda step: 1.0 if step <= 20 else 0.5 if step <= 30 else 0.25,
        ),
        ({"rate_warmup_steps": 10}, lambda step: min(1, step / 10)),
    ],
    ids=["constant", "cosine", "drops", "warm-up"],
)
def test_rates(changes: dict[str, Any], expected: Any) -> None:
    params = changed(**changes)
    for step in range(1, 41):
        assert params.rate_factor(step, 40) == pytest.approx(expected(step))


def test_edsr_halves_its_rate_at_200_000_as_its_paper() -> None:
    params = EdsrRecipe()
    assert params.rate_factor(200_000, params.steps) == 1
    assert params.rate_factor(200_001, params.steps) == 0.5


def test_a_rate_that_ends_at_zero_moves_less_and_is_another_run(
    folder: Path, tmp_path: Path
) -> None:
    run(folder, tmp_path, rate_schedule="cosine")
    with pytest.raises(InputError, match="all_steps was 3, is 5"):
        run(folder, tmp_path, rate_schedule="cosine", steps=4)


def test_epochs_are_steps_of_all_training_pairs(folder: Path) -> None:
    counted: dict[str, Any] = {
        "count_in": "epochs", "warmup_steps": 1, "reconstruction_steps": 2, "steps": 3,
        "rate_warmup_steps": 1, "validate_every": 1, "checkpoint_every": 2,
    }  # fmt: skip
    job = make_job(changed(**counted), folder, folder / "swaps", CPU)
    epoch = 3  # six pairs, one of them for validation, two in a batch
    assert [phase.stop for phase in job.phases] == [epoch, 3 * epoch, 6 * epoch]
    assert (job.params.validate_every, job.params.checkpoint_every) == (epoch, 2 * epoch)
    assert job.params == changed(
        warmup_steps=3, reconstruction_steps=6, steps=9, rate_warmup_steps=3, validate_every=3,
        checkpoint_every=6,
    ).resolved()  # fmt: skip


def test_what_is_counted_in_epochs_is_said_in_epochs() -> None:
    with pytest.raises(ValueError, match=r"in epochs too: .*validate_every"):
        SrnttRecipe(count_in="epochs", steps=20)


# Steps on the maps of HR itself


@pytest.mark.parametrize(("share", "steps"), [(0, []), (0.5, [2, 4, 6]), (1, [1, 2, 3, 4, 5, 6])])
def test_a_share_of_the_steps_is_on_truth(share: float, steps: list[int]) -> None:
    phase = Phase("p", 6, "maps", Objective((Loss("x"),)), truth_share=share)
    assert [step for step in range(1, 7) if phase.is_on_truth(step)] == steps


@pytest.mark.parametrize("share", [0.5, 0.25, 0.75])
def test_losses_are_told_of_steps_of_both_kinds(share: float) -> None:
    phase = Phase("p", 1000, "maps", Objective((Loss("x"),)), truth_share=share)
    told = [phase.is_on_truth(step) for step in range(LOSS_EVERY, 1001, LOSS_EVERY)]
    assert sum(told) / len(told) == pytest.approx(share, abs=0.02)


def test_steps_on_truth_have_the_maps_of_hr(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from srntt_pipeline.training import trainer

    seen = []
    step = trainer.Trainer.step

    def watched(self: Any, phase: Any, batch: dict[str, Tensor], **options: Any) -> Any:
        seen.append("weight" in batch)
        return step(self, phase, batch, **options)

    monkeypatch.setattr(trainer.Trainer, "step", watched)
    given = []
    truth = trainer.Trainer._truth

    def told(self: Any, hr: Tensor) -> Any:
        given.append((hr, truth(self, hr)))
        return given[-1][1]

    monkeypatch.setattr(trainer.Trainer, "_truth", told)
    run(folder, tmp_path, variant="srntt-l2", truth_share=0.5, steps=4)
    assert seen == [False, False, True, False, True]  # the first is the warm-up's, on LR alone
    assert len(given) == 2
    encoder = load_encoder("random", 0, CPU)
    for hr, maps in given:
        assert bool((maps["weight"] == 1).all())
        for number, image in enumerate(hr):
            pixels = np.rint(255 * image.permute(1, 2, 0).numpy()).astype(np.uint8)
            for layer, values in encoder.encode(pixels).items():
                torch.testing.assert_close(maps[layer][number], values, rtol=1e-3, atol=1e-3)


def test_patches_of_steps_on_truth_need_no_swaps(folder: Path) -> None:
    phases = changed(variant="srntt-l2", truth_share=1).phases()
    pairs = SwappedPairs(
        read_train_pairs(folder), Shards(folder / "swaps"), load_encoder("random", 0, CPU)
    )
    patches = Patches(pairs, 32, 0, "maps", phases=phases)
    assert set(patches[1, 0, 0]) == {"lr", "hr"}  # step 2, the first after the warm-up


# Frozen parts, and the gate


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_frozen_content_extractor_stays_as_the_warm_up_left_it(
    folder: Path, tmp_path: Path, batch_norm: bool
) -> None:
    options: dict[str, Any] = {"blocks": (1, 0, 0, 0), "batch_norm": batch_norm}
    run(folder, tmp_path / "warm", steps=0, freeze_content=True, **options)
    run(folder, tmp_path / "whole", steps=2, freeze_content=True, **options)
    before, after = (load_file(tmp_path / name / "srntt.safetensors") for name in ("warm", "whole"))
    for name, value in before.items():
        if name.startswith("content."):
            assert torch.equal(after[name], value), name
    assert not torch.equal(after["tail.1.weight"], before["tail.1.weight"])


def test_an_untrained_content_extractor_is_not_frozen(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"freeze_content: .*set warmup_steps"):
        run(folder, tmp_path, warmup_steps=0, freeze_content=True)


def test_the_gate_is_a_sigmoid_of_the_weight_map() -> None:
    sizes = {"channels": 4, "blocks": (0, 0, 0, 0)}
    torch.manual_seed(0)
    plain, gated = build_model("srntt-l2", sizes), build_model("srntt-l2", {**sizes, "gate": True})
    gated.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        for gate in gated.gate.values():
            gate.copy_(torch.tensor([3.0, -1.0]) / 20)
    lr = torch.rand(1, 3, 4, 5)
    maps = {
        layer: torch.rand(1, depth, 4 * cell, 5 * cell)
        for layer, depth, cell in (("relu3_1", 256, 1), ("relu2_1", 128, 2), ("relu1_1", 64, 4))
    }
    weight = torch.full((1, 1, 4, 5), 0.7)
    share = 1 / (1 + math.exp(1 - 3 * 0.7))
    expected = plain(lr, {layer: share * values for layer, values in maps.items()}, weight)
    torch.testing.assert_close(gated(lr, maps, weight), expected)


def test_the_gate_is_learnt(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path, variant="srntt-l2", gate=True)
    tensors = load_file(tmp_path / "srntt-l2.safetensors")
    for layer in LAYERS:
        assert not torch.equal(tensors[f"gate.{layer}"], torch.tensor([1.0, 0.0]) / 20), layer


def test_one_way_to_weigh_maps() -> None:
    with pytest.raises(ValueError, match="two ways to weigh"):
        changed(gate=True, weight_maps=True)


def test_jobs_know_their_rate(folder: Path) -> None:
    job = make_job(changed(rate_schedule="cosine"), folder, folder / "swaps", CPU)
    assert job.rate(1) == pytest.approx(1e-3)
    assert job.rate(3) == pytest.approx(1e-3 * (1 + math.cos(math.pi * 2 / 3)) / 2)
