"""DRCN, MDSR, ENet, SRResNet and SRGAN: in tiles, at any size, and in bf16."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from srntt_pipeline.models import build_model
from srntt_pipeline.models.tiling import WHOLE, in_tiles, sight

SIZES: dict[str, dict[str, Any]] = {
    "drcn": {"channels": 4, "depth": 2},
    "mdsr": {"channels": 4, "blocks": 1},
    "enet": {"channels": 4, "blocks": 1},
    "enet-e": {"channels": 4, "blocks": 1, "architecture": "released"},
    "srresnet": {"channels": 4, "blocks": 1},
    "srgan": {"channels": 4, "blocks": 1, "architecture": "released"},
}


def model_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, SIZES[name]).eval().requires_grad_(False)


@pytest.mark.parametrize("name", SIZES)
def test_tiles_are_the_whole(name: str) -> None:
    def run(network: nn.Module, lr: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = network(lr)
        return made

    model = model_of(name)
    found = sight(model, run)
    assert found.reach is not None
    assert 1 < found.reach < 24
    assert found.step == 1
    lr = np.random.default_rng(0).integers(0, 256, (41, 37, 3), np.uint8)
    whole = in_tiles(model, run, lr, WHOLE, 0).astype(int)
    tiled = in_tiles(model, run, lr, found, 8)
    assert whole.shape == (164, 148, 3)
    assert np.abs(whole - tiled).max() <= 1


@pytest.mark.parametrize("name", SIZES)
def test_bf16_is_near(name: str) -> None:
    model, lr = model_of(name), torch.rand(1, 3, 6, 5)
    exact = model(lr)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(lr)
    assert found.shape == exact.shape == (1, 3, 24, 20)
    assert float((found.float() - exact).abs().mean()) < 0.02


@pytest.mark.parametrize("name", SIZES)
def test_the_smallest_image_is_enlarged(name: str) -> None:
    assert model_of(name)(torch.rand(1, 3, 1, 2)).shape == (1, 3, 4, 8)
