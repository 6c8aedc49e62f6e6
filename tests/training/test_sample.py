"""The picture of a validation pair."""

import numpy as np
import pytest
import torch
from PIL import ImageDraw
from skimage.metrics import peak_signal_noise_ratio

from srntt_pipeline.maps import to_image, to_tensor
from srntt_pipeline.training.sample import picture


@pytest.fixture
def written(monkeypatch):
    """What is written, by its place."""
    texts = {}
    write = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda self, place, text, **style: (
            texts.update({place: text}), write(self, place, text, **style)
        ),
    )  # fmt: skip
    return texts


def images(side=120):
    rng = np.random.default_rng(0)
    lr, up, sr, hr = (
        torch.from_numpy(rng.random((3, size, size), np.float32))
        for size in (side // 4, side, side, side)
    )
    ref = rng.integers(0, 256, (side - 7, side + 9, 3), dtype=np.uint8)
    return lr, up, sr, to_tensor(to_image(hr)), ref


def test_each_image_lies_below_its_name_and_psnr(written):
    lr, up, sr, hr, ref = images()
    shown = picture("00012", lr, up, sr, hr, ref)
    expected = {
        "LR": to_image(lr).repeat(4, 0).repeat(4, 1), "bicubic": to_image(up), "SR": to_image(sr),
        "HR": to_image(hr), "reference": ref,
    }  # fmt: skip
    places = {text: place for place, text in written.items()}
    tops = set()
    for name, image in expected.items():
        left, above = places[name]
        column = shown[:, left : left + image.shape[1]]
        (top,) = (
            y for y in range(len(shown) - len(image)) if (column[y : y + len(image)] == image).all()
        )
        assert top > above
        tops.add(top)
        values = [text for place, text in written.items() if place == (left, above + 19)]
        psnr = peak_signal_noise_ratio(to_image(hr), image) if name in ("bicubic", "SR") else None
        assert values == ([f"{psnr:.2f} dB"] if psnr else [""])
    assert len(tops) == 1
    assert "validation pair 00012" in written.values()


def test_without_a_reference_there_is_none(written):
    *four, _ = images()
    picture("1", *four, None)
    assert "reference" not in written.values()


def test_small_images_leave_room_for_their_names(written):
    """Names do not run into each other."""
    lr, up, sr, hr, ref = images(side=16)
    shown = picture("1", lr, up, sr, hr, ref)
    lefts = sorted({left for left, _ in written})
    assert min(np.diff(lefts)) > 20
    assert (shown[:, -3:] == 255).all()  # nothing is cut off


def test_a_large_reference_is_shown_no_higher_than_hr():
    lr, up, sr, hr, _ = images()
    large = np.empty((480, 240, 3), np.uint8)
    large[:] = 7, 200, 90
    shown = picture("1", lr, up, sr, hr, large)
    seen = (shown == (7, 200, 90)).all(axis=2)
    assert seen.any(axis=1).sum() == 120
    assert seen.any(axis=0).sum() == 60


def test_sr_without_an_error_is_called_identical(written):
    lr, up, _, hr, ref = images()
    picture("1", lr, up, hr, hr, ref)
    assert "identical" in written.values()
