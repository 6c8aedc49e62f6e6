"""Luma in and out of images against scikit-image's BT.601."""

import numpy as np
import torch
from skimage.color import rgb2ycbcr, ycbcr2rgb

from srntt_pipeline.models.luma import OnLuma, luma, with_luma


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
