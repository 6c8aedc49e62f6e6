"""LapSRN against a plain computation and the paper's size."""

import numpy as np
import pytest
import torch

from srntt_pipeline.models import build_model, entry
from srntt_pipeline.models.luma import luma
from srntt_pipeline.recipes import Loss, Objective
from srntt_pipeline.recipes.lapsrn import LapsrnRecipe
from srntt_pipeline.training.objective import losses
from tests.naive_layers import convolved, leaky, padded, transposed


def test_plain_convolutions_give_the_same() -> None:
    torch.manual_seed(0)
    model = build_model("lapsrn", {"channels": 3, "blocks": 2}).double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    state = {name: value.numpy() for name, value in model.state_dict().items()}

    def of(name: str) -> tuple[np.ndarray, np.ndarray]:
        return state[f"{name}.weight"], state[f"{name}.bias"]

    y = np.random.default_rng(0).random((1, 4, 5))
    x, image, expected = leaky(convolved(padded(y, 1), *of("head.0"))), y, []
    for level in ("levels.0", "levels.1"):
        for number in (0, 2):
            x = leaky(convolved(padded(x, 1), *of(f"{level}.features.{number}")))
        x = leaky(transposed(x, *of(f"{level}.enlarge"))[:, :-1, :-1])
        enlarged = transposed(image, state[f"{level}.image.weight"])[:, 1:-1, 1:-1]
        image = enlarged + convolved(padded(x, 1), *of(f"{level}.residual"))
        expected.append(image)
    with torch.no_grad():
        found = model.steps_of(torch.from_numpy(y)[None])
        sr = model.luma_of(torch.from_numpy(y)[None])
    np.testing.assert_allclose(found["x2"][0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(found["sr"][0], expected[1], rtol=1e-9)
    assert torch.equal(sr, found["sr"])


def test_it_has_the_papers_parameters() -> None:
    assert sum(p.numel() for p in build_model("lapsrn", {}).parameters()) == 814_242
    assert (entry("lapsrn").inputs, entry("lapsrn").row) == ("lr", "LapSRN")


def test_at_first_images_are_enlarged_bilinearly() -> None:
    torch.manual_seed(0)
    y = torch.rand(1, 1, 6, 7)
    with torch.no_grad():
        sr = build_model("lapsrn", {"channels": 8, "blocks": 1}).luma_of(y)
    twice = torch.nn.functional.interpolate(y, scale_factor=2, mode="bilinear")
    wanted = torch.nn.functional.interpolate(twice, scale_factor=2, mode="bilinear")
    inner = np.s_[..., 6:-6, 6:-6]  # zeros lie beyond the border
    torch.testing.assert_close(sr[inner], wanted[inner], atol=0.02, rtol=0)


def reduced(y: np.ndarray) -> np.ndarray:
    """Make [h, w] half as large by the bicubic kernel of twice the width, cut at the border."""

    def weights(size: int) -> np.ndarray:
        places = np.abs((2 * np.arange(size // 2)[:, None] + 0.5 - np.arange(size)) / 2)
        near = 1.5 * places**3 - 2.5 * places**2 + 1
        far = -0.5 * places**3 + 2.5 * places**2 - 4 * places + 2
        found = np.where(places < 1, near, np.where(places < 2, far, 0))
        return found / found.sum(1, keepdims=True)

    return weights(len(y)) @ y @ weights(y.shape[1]).T


def test_both_levels_are_supervised() -> None:
    (phase,) = LapsrnRecipe(patch_px=16).phases()
    (told,) = phase.objective.losses
    assert (phase.forward, told.weight) == ("several", 256)
    rng = np.random.default_rng(0)
    sr, hr, x2 = rng.random((1, 3, 16, 16)), rng.random((1, 3, 16, 16)), rng.random((1, 1, 8, 8))
    y = [luma(torch.from_numpy(image))[0, 0].numpy() for image in (sr, hr)]
    sums = sum(
        np.sqrt((one - other) ** 2 + 1e-6).sum()
        for one, other in ((y[0], y[1]), (x2[0, 0], reduced(y[1])))
    )
    given = [torch.from_numpy(image).float() for image in (sr, hr, x2)]
    found = losses(phase.objective, given[0], {"hr": given[1]}, None, None, {"x2": given[2]})
    assert float(found["loss"]) == pytest.approx(sums, rel=1e-4)
    # The whole of a level counts.
    alone = Loss("charbonnier", options={**told.options, "levels": {}})
    less = losses(Objective((alone,)), given[0], {"hr": given[1]}, None, None)
    assert float(less["loss"]) < float(found["charbonnier"])


def test_a_step_at_several_sizes_has_a_slope_everywhere() -> None:
    model = build_model("lapsrn", {"channels": 4, "blocks": 1})
    (phase,) = LapsrnRecipe(channels=4, blocks=1, patch_px=16).phases()
    made = model.several(torch.rand(2, 3, 4, 4))
    found = losses(
        phase.objective, made["sr"], {"hr": torch.rand(2, 3, 16, 16)}, None, None,
        {"x2": made["x2"]},
    )  # fmt: skip
    found["loss"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
