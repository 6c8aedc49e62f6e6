import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.references import (
    Augmentation,
    augment,
    augmentations,
    down_up,
    valid_patches,
)

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


def test_shifts_are_innermost() -> None:
    versions = augmentations((1.0, 0.5), (0.0, 10.0), (0, 2))
    shifts = [(0, 0), (0, 2), (2, 0), (2, 2)]
    assert [v.shift_px for v in versions] == shifts * 4
    assert versions[::4] == augmentations((1.0, 0.5), (0.0, 10.0))


@few
@given(st.integers(15, 60), st.integers(15, 60), st.integers(0, 3), st.integers(0, 3))
def test_a_shift_cuts_top_and_left(height: int, width: int, down: int, right: int) -> None:
    ref = image(height, width)
    expected = ref[down:, right:]
    expected = expected[: len(expected) // 4 * 4, : expected.shape[1] // 4 * 4]
    assert np.array_equal(augment(ref, Augmentation(1.0, 0.0, (down, right))), expected)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_a_shift_comes_last(scale: float, rotation: float) -> None:
    ref = image(48, 64)
    unshifted = augment(ref, Augmentation(scale, rotation))
    shifted = augment(ref, Augmentation(scale, rotation, (1, 3)))
    height, width = (side - 4 for side in unshifted.shape[:2])
    assert np.array_equal(shifted, unshifted[1 : 1 + height, 3 : 3 + width])


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
@pytest.mark.parametrize("version", augmentations((0.1, 1.0, 4.0), (0.0, 45.0), (0, 3)))
def test_tiny_references_still_hold_a_patch(size: tuple[int, int], version: Augmentation) -> None:
    assert min(down_up(augment(image(*size), version)).shape[:2]) >= 12


@few
@given(sides, sides, st.floats(0.1, 3), st.floats(-180, 180), st.integers(0, 3))
def test_valid_patches_are_those_of_the_version(
    height: int, width: int, scale: float, rotation: float, shift: int
) -> None:
    augmentation = Augmentation(scale, rotation, (shift, 0))
    version = augment(image(height, width), augmentation)
    valid = valid_patches((height, width, 3), augmentation)
    if rotation == 0:
        assert valid is None
    else:
        assert valid is not None
        assert valid.shape == tuple(side // 4 - 2 for side in version.shape[:2])


@pytest.mark.parametrize("degrees", [90.0, -90.0, 180.0])
def test_quarter_turns_of_a_square_leave_no_corner(degrees: float) -> None:
    valid = valid_patches((64, 64), Augmentation(1.0, degrees))
    assert valid is not None
    assert valid.all()


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("random", 0, torch.device("cpu"))


def test_a_patch_sees_32_pixels(encoder: Encoder) -> None:
    white = np.full((96, 96, 3), 255, np.uint8)
    seen = encoder.encode(white)["relu3_1"][:, 10:13, 10:13]
    first, last = 4 * 10 - 10, 4 * 12 + 13
    for row, changes in ((first - 1, False), (first, True), (last, True), (last + 1, False)):
        for axis in (0, 1):
            lined = white.copy()
            np.moveaxis(lined, axis, 0)[row] = 0
            here = encoder.encode(lined)["relu3_1"][:, 10:13, 10:13]
            # Winograd's tiles see more than they use, which is left in the rounding alone.
            assert bool((here - seen).norm() > 1e-4 * seen.norm()) == changes
            assert changes or (here - seen).norm() < 1e-5 * seen.norm()


@pytest.mark.parametrize("degrees", [-20.0, 7.0, 45.0])
@pytest.mark.parametrize("shift", [(0, 0), (2, 3)])
def test_no_valid_patch_sees_a_corner(
    encoder: Encoder, degrees: float, shift: tuple[int, int]
) -> None:
    """Whatever the corners hold, what the valid patches are computed from is the same."""
    ref = image(120, 100)
    augmentation = Augmentation(1.0, degrees, shift)
    version = augment(ref, augmentation)
    turned = Image.fromarray(np.full((120, 100), 255, np.uint8)).rotate(degrees)
    inside = np.asarray(turned)[shift[0] :, shift[1] :][: len(version), : version.shape[1]] > 0
    valid = valid_patches(ref.shape, augmentation)
    assert valid is not None
    assert 0 < valid.sum() < valid.size
    original = encoder.encode(version)["relu3_1"]
    other = encoder.encode(np.where(inside[..., None], version, 255 - version))["relu3_1"]
    differs = ((original - other).abs() > 1e-4 * original.max()).any(0).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(differs, (3, 3)).any((2, 3))
    assert not windows[valid].any()
    assert windows[~valid].mean() > 0.8  # nor is much lost that sees none


def test_tiny_turned_references_have_no_valid_patch() -> None:
    valid = valid_patches((24, 24), Augmentation(1.0, 45.0))
    assert valid is not None
    assert not valid.any()
