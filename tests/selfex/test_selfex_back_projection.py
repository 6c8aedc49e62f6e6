"""Back-projection."""

import numpy as np

from srntt_pipeline.selfex.back_projection import back_projected
from srntt_pipeline.selfex.pyramid import resized


def test_it_brings_what_is_reduced_to_lr_round_by_round(photograph):
    hr = photograph[60:180, 160:280].astype(np.float32) / np.float32(255)
    lr = resized(hr, 30, 30, "replicate")
    start = resized(lr, 120, 120, "replicate")

    def residual(image):
        return np.abs(resized(image, 30, 30, "replicate") - lr).mean()

    residuals = [
        residual(back_projected(start, lr, "replicate", rounds)) for rounds in (0, 1, 5, 20)
    ]
    assert residuals == sorted(residuals, reverse=True)
    assert residuals[-1] < 0.05 * residuals[0]
    made = back_projected(start, lr, "replicate")
    assert made.dtype == np.float32
    assert np.mean((made - hr) ** 2) < np.mean((start - hr) ** 2)


def test_an_image_that_is_lr_already_stays(photograph):
    hr = photograph[60:120, 160:220].astype(np.float32) / np.float32(255)
    lr = resized(hr, 30, 30, "cut")
    assert np.abs(back_projected(hr, lr, "cut") - hr).max() < 1e-5


def test_the_result_is_clipped():
    lr = np.zeros((6, 6, 3), np.float32)
    lr[2:4, 2:4] = 1
    made = back_projected(resized(lr, 24, 24, "replicate"), lr, "replicate")
    assert (made.min(), made.max()) == (0, 1)
