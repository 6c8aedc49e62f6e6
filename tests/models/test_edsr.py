"""EDSR against the paper's size and a plain computation."""

import numpy as np
import pytest
import torch

from srntt_pipeline.models import build_model, entry
from tests.naive_networks import convolved, shuffled

MEAN = (0.4488, 0.4371, 0.4040)


@pytest.mark.parametrize("res_scale", [1.0, 0.1])
def test_plain_convolutions_give_the_same(res_scale: float) -> None:
    torch.manual_seed(0)
    sizes = {"channels": 3, "blocks": 2, "res_scale": res_scale}
    model = build_model("edsr", sizes).double()
    state = {name: value.numpy() for name, value in model.state_dict().items()}

    def conv(name: str, x: np.ndarray) -> np.ndarray:
        return convolved(x, state[f"{name}.weight"], state[f"{name}.bias"])

    lr = np.random.default_rng(0).random((3, 4, 5))
    mean = np.reshape(MEAN, (3, 1, 1))
    head = x = conv("head", lr - mean)
    for block in range(2):
        inner = np.maximum(conv(f"body.{block}.body.0", x), 0)
        x = x + res_scale * conv(f"body.{block}.body.2", inner)
    x = head + conv("body.2", x)
    x = shuffled(conv("tail.2", shuffled(conv("tail.0", x))))
    expected = conv("tail.4", x) + mean
    with torch.no_grad():
        found = model(torch.from_numpy(lr)[None])[0].numpy()
    assert found.shape == (3, 16, 20)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_baseline_has_the_papers_parameters() -> None:
    assert sum(p.numel() for p in build_model("edsr", {}).parameters()) == 1_517_571


def test_it_is_fed_with_lr_and_has_a_row() -> None:
    assert (entry("edsr").inputs, entry("edsr").row) == ("lr", "EDSR")
