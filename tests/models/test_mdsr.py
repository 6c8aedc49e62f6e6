"""MDSR against the paper's sizes and a plain computation at each scale."""

import numpy as np
import pytest
import torch

from srntt_pipeline.models import build_model, entry
from tests.naive_networks import conv_of, randomised, relu, shuffled

MEAN = np.reshape((0.4488, 0.4371, 0.4040), (3, 1, 1))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_plain_convolutions_give_the_same(scale: int) -> None:
    model = build_model("mdsr", {"channels": 3, "blocks": 2, "res_scale": 0.5})
    conv = conv_of(randomised(model))
    lr = np.random.default_rng(0).random((3, 4, 5))
    x = conv("head", lr - MEAN)
    for block in range(2):
        name = f"before.{scale}.{block}.body"
        x = x + conv(f"{name}.2", relu(conv(f"{name}.0", x)))
    before = x
    for block in range(2):
        x = x + 0.5 * conv(f"body.{block}.body.2", relu(conv(f"body.{block}.body.0", x)))
    x = before + conv("body.2", x)
    for place in (0, 2) if scale == 4 else (0,):
        x = shuffled(conv(f"enlarge.{scale}.{place}", x), 3 if scale == 3 else 2)
    expected = conv("tail", x) + MEAN
    with torch.no_grad():
        found = model(torch.from_numpy(lr)[None], scale)[0].numpy()
    assert found.shape == (3, 4 * scale, 5 * scale)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("blocks", "count"), [(80, 7_953_987), (16, 3_227_203)])
def test_it_has_the_papers_parameters(blocks: int, count: int) -> None:
    with torch.device("meta"):
        model = build_model("mdsr", {"blocks": blocks})
    assert sum(p.numel() for p in model.parameters()) == count
    assert round(count / 1e6, 2) == {80: 7.95, 16: 3.23}[blocks]


def test_sr_is_made_by_four() -> None:
    model = build_model("mdsr", {"channels": 2, "blocks": 0, "scales": [4]})
    assert model(torch.rand(2, 3, 4, 5)).shape == (2, 3, 16, 20)
    assert (entry("mdsr").inputs, entry("mdsr").row) == ("lr", "MDSR")
    for scales in ([2, 3], [4, 4], [4, 5]):
        with pytest.raises(ValueError, match="4, and beside it"):
            build_model("mdsr", {"channels": 2, "scales": scales})
