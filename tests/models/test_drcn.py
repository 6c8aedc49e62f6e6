"""DRCN against its published size and a plain computation of luma."""

import numpy as np
import pytest
import torch

from srntt_pipeline.models import build_model, entry
from tests.naive_networks import conv_of, pillows, randomised, relu


def test_plain_convolutions_give_the_same() -> None:
    model = build_model("drcn", {"channels": 3, "depth": 3})
    state = randomised(model)
    conv = conv_of(state)
    y = np.random.default_rng(0).random((1, 4, 5))
    enlarged = pillows(y)
    x = relu(conv("embed.2", relu(conv("embed.0", enlarged))))
    images = []
    for _ in range(3):
        x = relu(conv("again", x))
        images.append(enlarged + conv("restore.2", relu(conv("restore.0", x))))
    shares = state["shares"]
    expected = sum(s * i for s, i in zip(shares, images, strict=True)) / shares.sum()
    with torch.no_grad():
        given = torch.from_numpy(y)[None]
        found, several = model.luma_of(given), model.steps_of(given)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-6, atol=1e-9)
    assert list(several) == ["sr", "1", "2", "3"]
    for made, image in zip(several.values(), [expected, *images], strict=True):
        np.testing.assert_allclose(made[0].numpy(), image, rtol=1e-6, atol=1e-9)


def test_it_starts_as_the_same_image_at_each_depth() -> None:
    several = build_model("drcn", {"channels": 4, "depth": 3}).steps_of(torch.rand(1, 1, 4, 5))
    for image in several.values():
        torch.testing.assert_close(image, several["1"])


def test_it_has_the_published_parameters() -> None:
    model = build_model("drcn", {})
    kernels = [p.numel() for name, p in model.named_parameters() if name.endswith("weight")]
    assert sum(kernels) == 1_774_080
    assert sum(p.numel() for p in model.parameters()) == 1_775_121
    assert (entry("drcn").inputs, entry("drcn").row) == ("lr", "DRCN")


def test_it_has_a_depth() -> None:
    with pytest.raises(ValueError, match="depth is 0"):
        build_model("drcn", {"channels": 2, "depth": 0})
