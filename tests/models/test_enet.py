"""ENet against its published size and a plain computation."""

import numpy as np
import pytest
import torch

from srntt_pipeline.models import build_model, entry
from tests.naive_networks import Array, conv_of, enlarged, pillows, randomised, relu, repeated

MEAN = np.reshape((0.47614917, 0.45001204, 0.40904046), (3, 1, 1))


def tensorflows(lr: Array) -> Array:
    """TensorFlow 1's bicubic: a = -0.75, pixel 4i lies on pixel i, borders are repeated."""
    return enlarged(lr, -0.75, 0, renormed=False)


@pytest.mark.parametrize("architecture", ["paper", "released"])
def test_plain_convolutions_give_the_same(architecture: str) -> None:
    model = build_model("enet", {"channels": 3, "blocks": 2, "architecture": architecture})
    conv = conv_of(randomised(model))
    lr = np.random.default_rng(0).random((3, 4, 5))
    x = relu(conv("head.0", lr - MEAN))
    for block in range(2):
        inner = relu(conv(f"body.{block}.body.0", x))
        x = x + conv(f"body.{block}.body.2", inner)
    for place in (1, 4):
        x = relu(conv(f"tail.{place}", repeated(x)))
    x = conv("tail.8", relu(conv("tail.6", x)))
    expected = x + (pillows(lr) if architecture == "paper" else tensorflows(lr))
    with torch.no_grad():
        found = model(torch.from_numpy(lr)[None])[0].numpy()
    assert found.shape == (3, 16, 20)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_it_has_the_weights_of_the_published_file() -> None:
    assert sum(p.numel() for p in build_model("enet", {}).parameters()) == 852_867


def test_each_variant_has_a_row() -> None:
    assert [entry(name).row for name in ("enet", "enet-e")] == ["ENet", "ENet-E"]
    with pytest.raises(ValueError, match="neither paper nor released"):
        build_model("enet", {"architecture": "other"})
