import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srntt_pipeline.swaps.references import Augmentation, augment, augmentations, down_up

few = settings(max_examples=60, deadline=None)
sides = st.integers(1, 90)


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    noise = Image.fromarray(image(5, 7))
    return np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC))


def test_every_scale_with_every_rotation() -> None:
    versions = augmentations((1.0, 0.5), (0.0, 10.0))
    assert [(v.scale, v.rotation_deg) for v in versions] == [(1, 0), (1, 10), (0.5, 0), (0.5, 10)]


@few
@given(sides, sides, st.floats(0.01, 4), st.floats(-180, 180))
def test_sides_are_multiples_of_4_that_hold_a_patch(
    height: int, width: int, scale: float, rotation: float
) -> None:
    version = augment(image(height, width), Augmentation(scale, rotation))
    assert version.dtype == np.uint8
    assert version.shape[2] == 3
    for side, found in zip((height, width), version.shape, strict=False):
        assert found % 4 == 0
        assert found >= 12
        if side * scale >= 12:
            assert side * scale - 4.5 <= found <= side * scale + 0.5


@few
@given(st.integers(12, 90), st.integers(12, 90))
def test_identity_only_cuts_to_multiples_of_4(height: int, width: int) -> None:
    ref = image(height, width)
    expected = ref[: height // 4 * 4, : width // 4 * 4]
    assert np.array_equal(augment(ref, Augmentation(1.0, 0.0)), expected)


@few
@given(st.integers(12, 60), st.integers(12, 60), st.sampled_from([0.5, 0.7, 1.4, 2.0]))
def test_scaling_is_pillows_bicubic(height: int, width: int, scale: float) -> None:
    ref = image(height, width)
    version = augment(ref, Augmentation(scale, 0.0))
    size = version.shape[1], version.shape[0]
    assert np.array_equal(
        version, np.asarray(Image.fromarray(ref).resize(size, Image.Resampling.BICUBIC))
    )


def test_scaling_by_a_half_keeps_the_picture() -> None:
    ref = smooth(64, 48)
    version = augment(ref, Augmentation(0.5, 0.0))
    means = ref.reshape(32, 2, 24, 2, 3).mean((1, 3))
    assert np.abs(version - means).max() < 4


@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (-90, -1), (180, 2), (-180, 2)])
def test_rotation_is_counter_clockwise(degrees: float, quarters: int) -> None:
    ref = image(32, 32)
    assert np.array_equal(augment(ref, Augmentation(1.0, degrees)), np.rot90(ref, quarters))


@few
@given(st.floats(-180, 180))
def test_rotation_turns_about_the_centre_and_fills_the_corners(degrees: float) -> None:
    ref = smooth(64, 64)
    version = augment(ref, Augmentation(1.0, degrees))
    turned = np.asarray(Image.fromarray(ref).rotate(degrees, Image.Resampling.BICUBIC))
    rows, columns = np.indices((64, 64)) - 31.5
    disc = np.hypot(rows, columns) < 29
    assert np.abs(version.astype(int) - turned)[disc].max() <= 6
    assert version.min() >= int(ref.min()) - 8  # no black corners
    assert version.max() <= int(ref.max()) + 8


@few
@given(st.integers(1, 20), st.integers(1, 20))
def test_down_up_is_pillows_bicubic(height: int, width: int) -> None:
    ref = image(4 * height, 4 * width)
    down = Image.fromarray(ref).resize((width, height), Image.Resampling.BICUBIC)
    up = down.resize((4 * width, 4 * height), Image.Resampling.BICUBIC)
    assert np.array_equal(down_up(ref), np.asarray(up))


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (11, 11), (12, 5)])
@pytest.mark.parametrize("version", augmentations((0.1, 1.0, 4.0), (0.0, 45.0)))
def test_tiny_references_still_hold_a_patch(size: tuple[int, int], version: Augmentation) -> None:
    assert min(down_up(augment(image(*size), version)).shape[:2]) >= 12
