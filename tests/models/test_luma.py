"""Luma in and out of images against scikit-image's BT.601."""

from typing import Any

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr, ycbcr2rgb
from torch import nn

from srntt_pipeline.models import build_model
from srntt_pipeline.models.luma import OnLuma, luma, with_luma
from srntt_pipeline.models.tiling import WHOLE, Sight, in_tiles, sight


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def test_luma_is_bt601s() -> None:
    image = np.random.default_rng(0).random((5, 7, 3))
    np.testing.assert_allclose(
        255 * luma(tensor(image))[0, 0].numpy(), rgb2ycbcr(image)[..., 0], atol=1e-9
    )


def test_a_new_luma_leaves_cb_and_cr() -> None:
    rng = np.random.default_rng(1)
    image, y = rng.random((5, 7, 3)), rng.random((5, 7))
    changed = rgb2ycbcr(image)
    changed[..., 0] = 255 * y
    found = with_luma(tensor(image), torch.from_numpy(y)[None, None])
    # scikit-image's inverse matrix is of printed digits.
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), ycbcr2rgb(changed), atol=1e-6)
    np.testing.assert_allclose(luma(found)[0, 0].numpy(), y, atol=1e-12)


class Repeated(OnLuma):
    def luma_of(self, y: torch.Tensor) -> torch.Tensor:
        return y.repeat_interleave(4, 2).repeat_interleave(4, 3)

    def steps_of(self, y: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sr": self.luma_of(y), "y": y}


def test_networks_on_luma_have_the_colours_of_bicubic() -> None:
    lr = torch.rand(2, 3, 4, 6, dtype=torch.float64)
    sr = Repeated()(lr)
    assert sr.shape == (2, 3, 16, 24)
    torch.testing.assert_close(luma(sr), Repeated().luma_of(luma(lr)))
    several = Repeated().several(lr)
    torch.testing.assert_close(several["sr"], sr)
    torch.testing.assert_close(several["y"], luma(lr))
    grey = torch.full((1, 3, 3, 3), 0.25)
    torch.testing.assert_close(Repeated()(grey), torch.full((1, 3, 12, 12), 0.25))


@pytest.mark.parametrize(
    ("name", "sizes", "reach"),
    [
        # Bicubic sees 2 LR px to each side; a kernel at ×4 adds up to its half, in HR px.
        ("srcnn", {"kernels": (5, 1, 3), "channels": (4, 3), "bicubic_skip": True}, 3),
        ("scn", {"features": 5, "codes": 6}, 7),
        # 3 convolutions at LR's size, 2 at ×2 and one at ×4, with what lies between.
        ("lapsrn", {"channels": 4, "blocks": 2}, 5),
    ],
)
def test_they_run_in_tiles(name: str, sizes: dict[str, Any], reach: int) -> None:
    torch.manual_seed(0)
    model = build_model(name, sizes).eval()
    for weight in model.parameters():
        weight.requires_grad_(False).mul_(1 + torch.rand_like(weight))  # not at their start

    def run(network: nn.Module, lr: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = network(lr)
        return made

    found = sight(model, run)
    assert found == Sight(reach)
    lr = np.random.default_rng(0).integers(0, 256, (31, 27, 3), np.uint8)
    whole = in_tiles(model, run, lr, WHOLE, 0).astype(int)
    tiled = in_tiles(model, run, lr, found, 8)
    assert np.abs(whole - tiled).max() <= 1


@pytest.mark.parametrize("name", ["srcnn", "scn", "lapsrn"])
def test_bf16_is_near(name: str) -> None:
    torch.manual_seed(0)
    model, lr = build_model(name, {}).eval(), torch.rand(1, 3, 6, 6)
    with torch.inference_mode():
        exact = model(lr)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(lr)
    assert found.shape == exact.shape
    assert float((found.float() - exact).abs().mean()) < 0.02
