"""SRCNN against a plain computation and the paper's sizes."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from srntt_pipeline.errors import InputError
from srntt_pipeline.models import build_model, entry
from srntt_pipeline.recipes.srcnn import SrcnnRecipe
from srntt_pipeline.sections import validate
from tests.naive_layers import bicubic, convolved, padded


@pytest.mark.parametrize("kernels", [(5, 1, 3), (3, 3, 5)])
@pytest.mark.parametrize("skip", [False, True])
def test_plain_convolutions_give_the_same(kernels: tuple[int, ...], skip: bool) -> None:
    torch.manual_seed(0)
    sizes = {"kernels": kernels, "channels": (4, 3), "bicubic_skip": skip}
    model = build_model("srcnn", sizes).double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    y = np.random.default_rng(0).random((1, 4, 5))
    enlarged = x = bicubic(y, 4)
    for number, size in enumerate(kernels):
        x = padded(x, size // 2, "edge")
        x = convolved(x, state[f"layers.{2 * number}.weight"], state[f"layers.{2 * number}.bias"])
        x = np.maximum(x, 0) if number < 2 else x
    with torch.no_grad():
        found = model.luma_of(torch.from_numpy(y)[None])[0].numpy()
    np.testing.assert_allclose(found, x + enlarged if skip else x, atol=1e-5)


@pytest.mark.parametrize(
    ("kernels", "weights"), [((9, 1, 5), 8032), ((9, 3, 5), 24_416), ((9, 5, 5), 57_184)]
)
def test_it_has_the_papers_weights(kernels: tuple[int, ...], weights: int) -> None:
    model = build_model("srcnn", {"kernels": kernels})
    assert sum(p.numel() for p in model.parameters()) == weights + 64 + 32 + 1  # and biases
    assert (entry("srcnn").inputs, entry("srcnn").row) == ("lr", "SRCNN")


def test_within_the_border_it_is_the_network_without_padding() -> None:
    params = SrcnnRecipe(kernels=(5, 3, 3))
    (loss,) = params.phases()[0].objective.losses
    border = loss.options["border"]
    assert (border, loss.weight) == (4, (32 - 8) ** 2 / 8)
    model = build_model(*params.network())
    y = torch.rand(1, 1, 20, 20)
    with torch.no_grad():
        valid = y
        for layer in model.layers:
            if isinstance(layer, nn.Conv2d):
                valid = F.conv2d(valid, layer.weight, layer.bias)
            else:
                valid = layer(valid)
        inner = model.layers(y)[..., border:-border, border:-border]
    torch.testing.assert_close(inner, valid)


def test_a_patch_of_nothing_but_border_is_refused() -> None:
    with pytest.raises(InputError, match=r"patch_px 16: of kernels \(9, 5, 5\) nothing is left"):
        validate(SrcnnRecipe, {"patch_px": 16}, "train.srcnn")
    with pytest.raises(InputError, match=r"kernels \(9, 4, 5\) are not odd"):
        validate(SrcnnRecipe, {"kernels": [9, 4, 5]}, "train.srcnn")
    with pytest.raises(ValueError, match="not odd"):
        build_model("srcnn", {"kernels": (9, 4, 5)})


def test_rates_are_smaller_for_biases_and_the_last_layer() -> None:
    plan = SrcnnRecipe().optimiser_plan()
    names = [name for name, _ in build_model("srcnn", {}).named_parameters()]
    rates = {name: plan.rate_of(name) for name in names}
    assert rates == {
        "layers.0.weight": 1, "layers.0.bias": 0.1, "layers.2.weight": 1, "layers.2.bias": 0.1,
        "layers.4.weight": 0.1, "layers.4.bias": 0.1,
    }  # fmt: skip
    assert (plan.kind, plan.momentum) == ("sgd", 0.9)
