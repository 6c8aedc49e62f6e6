"""SRResNet and SRGAN against published sizes, a plain computation, and SRNTT's upscaler."""

from typing import Any

import numpy as np
import pytest
import torch

from srntt_pipeline.models import build_model, entry
from tests.naive_networks import Array, conv_of, normed, pillows, prelu, randomised, relu, shuffled


@pytest.mark.parametrize("architecture", ["paper", "released"])
@pytest.mark.parametrize("end", ["tanh", "plain", "bicubic_skip"])
def test_plain_convolutions_give_the_same(architecture: str, end: str) -> None:
    ends: dict[str, Any] = {"tanh": end == "tanh", "bicubic_skip": end == "bicubic_skip"}
    sizes: dict[str, Any] = {"channels": 3, "blocks": 2, "architecture": architecture, **ends}
    model = build_model("srgan", sizes)
    state = randomised(model)
    conv = conv_of(state)

    def active(name: str, x: Array) -> Array:
        return relu(x) if architecture == "released" else prelu(x, state[f"content.{name}.weight"])

    lr = np.random.default_rng(0).random((3, 4, 5))
    x = conv("content.head.0", lr if architecture == "paper" else 2 * lr - 1)
    head = x = active("head.1", x)
    for block in range(2):
        name = f"content.body.{block}.body"
        inner = normed(conv(f"{name}.0", x), state, f"{name}.1")
        inner = active(f"body.{block}.body.2", inner)
        x = x + normed(conv(f"{name}.3", inner), state, f"{name}.4")
    x = head + normed(conv("content.body.2", x), state, "content.body.3")
    for number in range(2):
        name = f"sisr_tail.{number}"
        x = active(f"{name}.2", shuffled(conv(f"content.{name}.0", x)))
    x = conv("content.sisr_tail.2", x)
    expected = {"tanh": (np.tanh(x) + 1) / 2, "plain": x, "bicubic_skip": pillows(lr) + x / 2}[end]
    with torch.no_grad():
        found = model(torch.from_numpy(lr)[None])[0].numpy()
    assert found.shape == (3, 16, 20)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    outer = ("content.head.0.weight", "content.sisr_tail.2.weight")
    assert tuple(state[name].shape[-1] for name in outer) == (
        (9, 9) if architecture == "paper" else (3, 1)
    )


def test_sizes_are_the_published() -> None:
    model = build_model("srresnet", {})
    count = sum(p.numel() for p in model.parameters())
    assert count == 1_547_350
    # With a bias before each batch norm, as others count: 33 convolutions of 64 channels.
    assert count + 33 * 64 == 1_549_462


def test_the_released_one_is_srntts_upscaler() -> None:
    sizes = {"channels": 3, "blocks": 1, "architecture": "released"}
    one, other = build_model("srgan", sizes), build_model("sisr", sizes)
    randomised(one)
    other.double().eval().load_state_dict(one.state_dict())
    lr = torch.rand(1, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(one(lr), other(lr))


def test_both_have_a_row() -> None:
    assert [entry(name).row for name in ("srgan", "srresnet")] == ["SRGAN", "SRResNet"]
    with pytest.raises(ValueError, match="not one of paper, released"):
        build_model("srgan", {"architecture": "other"})
