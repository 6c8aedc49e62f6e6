"""Optimisers against formulas in float64, rates by name, and runs that go on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from srntt_pipeline.errors import InputError
from srntt_pipeline.recipes import OptimiserPlan
from srntt_pipeline.recipes.edsr import EdsrRecipe
from srntt_pipeline.recipes.lapsrn import LapsrnRecipe
from srntt_pipeline.recipes.srcnn import SrcnnRecipe
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.optimisers import make_optimiser, set_rate

LOOP: dict[str, Any] = {
    "batch_size": 2, "patch_px": 32, "validation_pairs": 1, "validate_every": 100,
}  # fmt: skip
LAPSRN = LapsrnRecipe(**LOOP, channels=4, blocks=1, steps=4, checkpoint_every=2,
                      learning_rate=1e-6, rate_schedule="constant")  # fmt: skip


class Two(nn.Module):
    """Two numbers; `last.bias` has a rate of its own in `SrcnnRecipe`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))
        self.bias = nn.Parameter(torch.tensor(-2.0))


def test_sgd_has_momentum_decay_and_rates_by_name() -> None:
    params = SrcnnRecipe(learning_rate=0.1, momentum=0.5, weight_decay=0.2)
    model = Two()
    optimiser = make_optimiser(model, params)
    values, speeds = np.array([3.0, -2.0]), np.zeros(2)
    for rate in (0.1, 0.05):
        set_rate([optimiser], rate)
        optimiser.zero_grad()
        (model.weight**2 + 3 * model.bias).backward()
        optimiser.step()
        slopes = np.array([2 * values[0], 3]) + 0.2 * values
        speeds = 0.5 * speeds + slopes
        values = values - rate * np.array([1, 0.1]) * speeds
    assert [model.weight.item(), model.bias.item()] == pytest.approx(list(values), rel=1e-6)


def test_adam_is_as_it_was() -> None:
    (group,) = make_optimiser(Two(), EdsrRecipe(beta1=0.8)).param_groups
    assert (group["betas"], group["weight_decay"], len(group["params"])) == ((0.8, 0.999), 0, 2)
    assert EdsrRecipe().optimiser_plan() == OptimiserPlan()
    adam = SrcnnRecipe(optimiser="adam", weight_decay=0.1).optimiser_plan()
    assert adam == OptimiserPlan("adam", weight_decay=0.1)


def test_a_run_by_sgd_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    train(LAPSRN, folder, tmp_path / "whole", device="cpu")
    half = LAPSRN.model_copy(update={"steps": 2})
    train(half, folder, tmp_path / "halves", device="cpu")
    first = load_file(tmp_path / "halves" / "lapsrn.safetensors")
    train(LAPSRN, folder, tmp_path / "halves", device="cpu")
    whole, halves = ((tmp_path / name / "lapsrn.safetensors") for name in ("whole", "halves"))
    assert whole.read_bytes() == halves.read_bytes()
    assert any(not torch.equal(first[name], value) for name, value in load_file(halves).items())


def test_another_optimiser_is_another_run(folder: Path, tmp_path: Path) -> None:
    train(LAPSRN, folder, tmp_path, device="cpu")
    with pytest.raises(InputError, match="holds another run: optimiser was sgd, is adam; name"):
        train(LAPSRN.model_copy(update={"optimiser": "adam"}), folder, tmp_path, device="cpu")
