"""EDSR against the paper's size and a plain computation."""

import numpy as np
import pytest
import torch

from srntt_pipeline.models import build_model, entry

MEAN = (0.4488, 0.4371, 0.4040)


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolve [C, h, w] by [D, C, 3, 3], zeros around."""
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(weight), height, width))
    for row in range(height):
        for column in range(width):
            window = padded[:, row : row + 3, column : column + 3]
            for channel in range(len(weight)):
                out[channel, row, column] = (window * weight[channel]).sum() + bias[channel]
    return out


def shuffled(x: np.ndarray) -> np.ndarray:
    """[4C, h, w] to [C, 2h, 2w]: channel 4c + 2i + j to rows i, i+2, … and columns j, j+2, …"""
    out = np.zeros((len(x) // 4, 2 * x.shape[1], 2 * x.shape[2]))
    for number, values in enumerate(x):
        channel, place = divmod(number, 4)
        out[channel, place // 2 :: 2, place % 2 :: 2] = values
    return out


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
