"""Colour profiles (ICC): telling them apart, and converting pixels from one to another.

Conversion is relative colorimetric, as littleCMS does it: colours that the target can show stay
what they are, the others are clipped to its nearest.
"""

import functools
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

RGB = npt.NDArray[np.uint8]

SRGB_LEVELS = 2  # a profile is sRGB's when it moves no colour by more of the 256 levels
BROKEN = "broken profile, taken as sRGB"
_STEPS = np.linspace(0, 255, 18).round().astype(np.uint8)


class BrokenProfile(ValueError):  # noqa: N818 - it is what is raised: a profile, broken
    """Bytes that are no ICC profile of RGB images."""


@functools.lru_cache(maxsize=8)
def profile_name(profile: bytes) -> str:
    """Return the profile's description in one line. Raises BrokenProfile."""
    with _broken():
        name = ImageCms.getProfileDescription(_opened(profile))
    return " ".join(name.split())[:80] or "profile without a name"


@functools.lru_cache(maxsize=8)
def is_srgb(profile: bytes) -> bool:
    """Tell whether `profile` is sRGB's, whatever it is called. Raises BrokenProfile."""
    colours = np.stack(np.meshgrid(_STEPS, _STEPS, _STEPS), axis=-1).reshape(1, -1, 3)
    moved = convert(colours, profile, None).astype(int) - colours
    return int(np.abs(moved).max()) <= SRGB_LEVELS


def told_from_srgb(profile: bytes | None) -> bytes | None:
    """Return `profile`, or None where it is sRGB's or there is none. Raises BrokenProfile."""
    return None if profile is None or is_srgb(profile) else profile


def convert(image: RGB, source: bytes | None, target: bytes | None) -> RGB:
    """Return `image`, uint8 [H, W, 3], of the profile `source` in that of `target`.

    None stands for sRGB. Raises BrokenProfile.
    """
    if source == target:
        return image
    with _broken():
        return np.asarray(_transform(source, target).apply(Image.fromarray(image)))


@functools.lru_cache(maxsize=8)
def _transform(source: bytes | None, target: bytes | None) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        _opened(source),
        _opened(target),
        "RGB",
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )


def _opened(profile: bytes | None) -> Any:
    if profile is None:
        return ImageCms.createProfile("sRGB")
    if profile[16:20] != b"RGB ":
        raise BrokenProfile("not a profile of RGB images")
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@contextmanager
def _broken() -> Iterator[None]:
    try:
        yield
    except BrokenProfile:
        raise
    except Exception as error:  # littleCMS and Pillow raise almost anything on bytes of any kind
        raise BrokenProfile(str(error) or "unreadable") from None
