"""SCN against a plain computation, patch by patch, and its sizes."""

import numpy as np
import torch

from srntt_pipeline.models import build_model, entry
from tests.naive_layers import bicubic, convolved, padded


def shrunk(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.maximum(np.abs(values) - 1, 0)


def stage(y: np.ndarray, state: dict[str, np.ndarray]) -> np.ndarray:
    """Make one ×2 of Y, enlarged before, [1, H, W]."""
    around = padded(y, 6, "edge")
    features = convolved(around, state["features.weight"])
    features /= np.sqrt((features**2).sum(0))
    encode, again, decode = (state[f"{n}.weight"][..., 0, 0] for n in ("encode", "again", "decode"))
    _, height, width = features.shape
    total = np.zeros((height + 4, width + 4))
    for row in range(height):
        for column in range(width):
            first = encode @ features[:, row, column]
            code = shrunk(again @ shrunk(first) + first)
            patch = around[0, row + 2 : row + 7, column + 2 : column + 7]
            made = decode @ code
            norm = np.sqrt(((patch - patch.mean()) ** 2).sum())
            made *= 1.1 * norm / np.sqrt((made**2).sum())
            made = made * state["shares"] + patch.mean() / 25
            total[row : row + 5, column : column + 5] += made.reshape(5, 5)
    return total[None, 4:-4, 4:-4]


def test_a_plain_computation_gives_the_same() -> None:
    torch.manual_seed(0)
    model = build_model("scn", {"features": 30, "codes": 33}).double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    y = np.random.default_rng(0).random((1, 3, 4))
    expected = y
    for number in range(2):
        state = {
            name.removeprefix(f"stages.{number}."): value.numpy()
            for name, value in model.state_dict().items()
        }
        expected = stage(bicubic(expected, 2), state)
    with torch.no_grad():
        found = model.luma_of(torch.from_numpy(y)[None])[0].numpy()
    assert found.shape == (1, 12, 16)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_sizes_and_row() -> None:
    each = 81 * 100 + 100 * 128 + 128 * 128 + 128 * 25 + 25
    assert sum(p.numel() for p in build_model("scn", {}).parameters()) == 2 * each
    assert (entry("scn").inputs, entry("scn").row) == ("lr", "SCN")


def test_at_first_it_is_nearly_bicubic() -> None:
    torch.manual_seed(0)
    y = torch.rand(1, 1, 8, 9).cumsum(2).cumsum(3) / 40  # without noise
    with torch.no_grad():
        found = build_model("scn", {}).luma_of(y)[0].numpy()
    wanted = bicubic(y[0].numpy(), 4)
    assert np.abs(found - wanted).mean() < 0.1 * wanted.std()


def test_a_plain_image_has_no_slope_that_is_no_number() -> None:
    model = build_model("scn", {"features": 4, "codes": 4})
    sr = model(torch.full((1, 3, 6, 6), 0.5))
    torch.testing.assert_close(sr, torch.full((1, 3, 24, 24), 0.5), atol=1e-4, rtol=0)
    sr.square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
