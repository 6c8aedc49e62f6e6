import numpy as np
import pytest
from PIL import ImageCms

from srntt_pipeline.colour import BrokenProfile, convert, is_srgb, profile_name, told_from_srgb

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def curve_of_srgb(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_srgb_is_known_whatever_it_is_called(other_profile):
    assert is_srgb(SRGB)
    assert is_srgb(SRGB.replace(b"sRGB", b"Some"))
    assert not is_srgb(other_profile)
    assert told_from_srgb(SRGB) is None
    assert told_from_srgb(None) is None
    assert told_from_srgb(other_profile) == other_profile


def test_a_profile_has_its_name(other_profile):
    assert profile_name(other_profile) == "Colours turned"


def test_colours_are_converted_by_the_formula(other_profile):
    """The primaries change places, the tone curve becomes sRGB's."""
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    linear = (image / 255) ** (461 / 256)  # the profile's 1.8, as it stores it
    expected = 255 * curve_of_srgb(linear[..., [2, 0, 1]])
    assert np.abs(convert(image, other_profile, None) - expected).max() < 4


def test_there_and_back(other_profile):
    image = np.random.default_rng(0).integers(32, 256, (20, 30, 3), np.uint8)
    back = convert(convert(image, other_profile, None), None, other_profile)
    assert np.abs(back.astype(int) - image).max() <= 4
    assert convert(image, other_profile, other_profile) is image
    assert convert(image, None, None) is image


@pytest.mark.parametrize("content", [b"", b"abc", bytes(300), SRGB[:200], SRGB[:16] + b"GRAY"])
def test_broken_profiles_are_told(content, capfd):
    with pytest.raises(BrokenProfile):
        is_srgb(content)
    assert capfd.readouterr() == ("", "")
