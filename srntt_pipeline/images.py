"""Reading, resizing and writing 8-bit colour images.

Every image of the pipeline is an RGB array, uint8 [H, W, 3], 0…255. All resizing is Pillow's, which
low-passes before it shrinks (bicubic: a = -0.5), as the published numbers need.
"""

import io
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from srntt_pipeline.errors import UnusableImage
from srntt_pipeline.file_types import (
    HAS_AVIF,
    HAS_HEIF,
    HEAD,
    INSTALL_HEIF,
    is_read,
    kind_of,
)
from srntt_pipeline.files import open_regular, sha256, write_bytes
from srntt_pipeline.integrity import damage

RGB = npt.NDArray[np.uint8]

# No others: Pillow would start Ghostscript on an EPS file, whatever it is called.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP", *(["AVIF"] if HAS_AVIF else []))
SCALE = 4  # the paper's one upscaling factor
MAX_MEGAPIXELS = 100
MADE_FROM = "srntt_pipeline made from"
_BAND_ROWS = 512
_MAX_FILE_BYTES = 1 << 30
_TOLD_BYTES = 1 << 10

# Pillow's own guard raises at open, before a size can be told; `decode` checks the header instead.
Image.MAX_IMAGE_PIXELS = None
# Editors and cameras write more text and larger profiles than Pillow's 1 MiB allows.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 64 << 20

# What Pillow logs names no file; what it raises after is told with the file's name.
logging.getLogger("PIL").addHandler(logging.NullHandler())
logging.getLogger("PIL").propagate = False

# What is caught of warnings and of stderr is the whole process's: one image at a time.
_lock = threading.RLock()


@dataclass(frozen=True)
class Decoded:
    """An image as its file has it: `pixels` uint8 [H, W, 3], and its colour `profile` (ICC)."""

    pixels: RGB
    profile: bytes | None


def read_bytes(path: Path) -> bytes:
    """Return the file's bytes; raise UnusableImage when it is empty or cannot be read.

    A pipe or device is not read, nor a file over 1 GiB.
    """
    try:
        with open_regular(path) as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnusableImage(str(path), f"unreadable ({error.strerror})") from None
    if not content:
        raise UnusableImage(str(path), "empty file (0 bytes)")
    if len(content) > _MAX_FILE_BYTES:
        raise UnusableImage(str(path), "over 1 GiB")
    return content


def decode(content: bytes, path: Path, **checks: Any) -> RGB:
    """Return the pixels of `decode_whole`, uint8 [H, W, 3], as the file has them."""
    return decode_whole(content, path, **checks).pixels


def decode_whole(
    content: bytes,
    path: Path,
    *,
    min_side: int = 1,
    max_megapixels: float = MAX_MEGAPIXELS,
    grey: bool = False,
) -> Decoded:
    """Return the image in `content`, turned upright by its EXIF orientation, with its profile.

    Raises UnusableImage for what is no image, is cut short or damaged (`integrity`), has fewer than
    `min_side` px on its short side or more than `max_megapixels`, is animated, or is not 8-bit RGB:
    guessing a tone curve or a background would put pixels into a data set that no camera made. An
    alpha channel that hides nothing is left out. With `grey`, greyscale is taken as RGB of three
    equal channels (benchmark sets hold such images).
    """

    def unusable(reason: str) -> UnusableImage:
        return UnusableImage(str(path), " ".join(reason.split()))

    with _lock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            image = _opened(io.BytesIO(content))
            odd = _odd_mode(image, content, grey)
        except Exception as error:  # Pillow's plugins raise almost anything on damaged bytes
            raise unusable(_why_not_opened(content, error)) from None
        width, height = image.size
        if width * height > max_megapixels * 1e6:
            megapixels = width * height / 1e6
            raise unusable(f"{megapixels:.0f} megapixels, over the limit of {max_megapixels:g}")
        if min(width, height) < min_side:
            raise unusable(
                f"too small: {width}×{height} px, {min_side} px needed on the short side"
            )
        if odd:
            raise unusable(odd)
        is_tiff = image.format == "TIFF"
        told: list[str] = []
        with _libtiff_errors(told) if is_tiff else nullcontext():
            try:
                if found := damage(content, image):
                    raise ValueError(found)
                ImageOps.exif_transpose(image, in_place=True)
                opaque = _is_opaque(image)
                pixels = _array(image if image.mode == "RGB" else image.convert("RGB"))
            except Exception as error:  # as above: truncated or corrupt, in any of Pillow's words
                damaged = str(error)
            else:
                # A TIFF's warnings are of the image; others', of what cameras wrote beside it.
                damaged = next((str(w.message) for w in caught if is_tiff and _is_bad(w)), "")
        if damaged:
            raise unusable(f"corrupt or truncated ({'; '.join([damaged, *told])})")
    if not opaque:
        raise unusable("has an alpha channel that is not opaque")
    profile = image.info.get("icc_profile")
    return Decoded(pixels, profile if isinstance(profile, bytes) and profile else None)


def _opened(file: BinaryIO) -> Image.Image:
    """Return the image as Pillow opens it; its pixels are not decoded yet."""
    kind = kind_of(file.read(HEAD))
    file.seek(0)
    if HAS_HEIF and kind == "HEIC":
        import pillow_heif

        pillow_heif.register_heif_opener()
        return Image.open(file, formats=["HEIF"])
    return Image.open(file, formats=_FORMATS)


def _why_not_opened(content: bytes, error: Exception) -> str:
    kind = kind_of(content[:HEAD])
    if kind == "HEIC" and not HAS_HEIF:
        return f"HEIC: {INSTALL_HEIF}"
    if is_read(kind):
        # Pillow's words for "no plugin takes it" hold an address, which differs between runs.
        words = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        return f"corrupt or truncated ({kind} that cannot be opened{words})"
    return f"not an image that is read{f': it seems to be {kind}' if kind else ''}"


def _odd_mode(image: Image.Image, content: bytes, grey: bool) -> str | None:
    """Return why `image` is not one 8-bit RGB picture, or None."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: a camera's JPEG with a preview or stereo twin
        return f"animated or multi-page: {frames} frames"
    # Pillow opens 16-bit RGB as 8-bit RGB without a word; only the raw mode tells.
    deep = any(";16" in str(tile) for tile in getattr(image, "tile", ()))
    deep = deep or image.info.get("bit_depth", 8) > 8 or image.mode[0] in "IF"
    if deep or (image.format == "AVIF" and _is_deep_avif(content)):
        return "more than 8 bits a channel"
    if image.mode in ("L", "LA", "1"):
        return None if grey else "grey: only colour photos are used"
    if image.mode not in ("RGB", "RGBA"):
        return f"colour mode {image.mode}: only RGB photos are used"
    return None


def _is_deep_avif(content: bytes) -> bool:
    """Tell whether the codec's configuration in an AVIF's header says 10 or 12 bits."""
    place = content.find(b"av1C", 0, 1 << 16)
    return place >= 0 and bool(content[place + 6 : place + 7].ljust(1, b"\0")[0] & 0x40)


def _is_opaque(image: Image.Image) -> bool:
    """Tell whether no pixel of `image` lets anything through."""
    if image.mode not in ("RGBA", "LA") and "transparency" not in image.info:
        return True
    least, _ = image.convert("RGBA").getchannel("A").getextrema()
    return least == 255


def _is_bad(warning: warnings.WarningMessage) -> bool:
    words = "corrupt", "truncated", "larger than file"
    return any(word in str(warning.message).lower() for word in words)


@contextmanager
def _libtiff_errors(told: list[str]) -> Iterator[None]:
    """Add to `told` what libtiff would write to the terminal, where it names no file."""
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            told += file.read(_TOLD_BYTES).decode(errors="replace").splitlines()[:1]


def read_rgb(path: Path, **checks: Any) -> RGB:
    """Read the image at `path`; `checks` and errors are those of `decode_whole`."""
    return decode(read_bytes(path), path, **checks)


def read_whole(path: Path, **checks: Any) -> Decoded:
    """Read the image at `path` with its profile; else as `read_rgb`."""
    return decode_whole(read_bytes(path), path, **checks)


def read_size(path: Path) -> tuple[int, int]:
    """Return height and width of the image at `path`, as stored, by its header alone.

    (0, 0) where it tells none, or more than MAX_MEGAPIXELS: `decode` then says what is wrong.
    """
    try:
        with open_regular(path) as file, _opened(file) as image:
            fits = image.width * image.height <= MAX_MEGAPIXELS * 1e6
            return (image.height, image.width) if fits else (0, 0)
    except Exception:  # as in `decode`
        return 0, 0


def pixels_sha256(image: RGB) -> str:
    """Return the SHA-256 of an image's size and pixels, uint8 [H, W, 3].

    Not of its file: PNGs of the same pixels differ by who wrote them.
    """
    height, width, _ = image.shape
    return sha256(f"{width}x{height} RGB\n".encode() + image.tobytes())


def write_png(
    path: Path,
    image: RGB,
    made_from: str | None = None,
    profile: bytes | None = None,
    **options: Any,
) -> None:
    """Write `image` as PNG, whole or not at all, with its colour `profile` (ICC) if it has one.

    `made_from`: a line of text to keep in the file, which `read_made_from` reads; `options`: of
    Pillow's for PNG.
    """
    text = PngImagePlugin.PngInfo()
    if made_from is not None:
        text.add_text(MADE_FROM, made_from)
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG", pnginfo=text, icc_profile=profile, **options)
    write_bytes(path, content.getvalue())


def read_made_from(path: Path) -> str | None:
    """Return what `write_png` was given as `made_from`; None for other files, or for none."""
    try:
        with open_regular(path) as file, Image.open(file, formats=["PNG"]) as image:  # its header
            return image.info.get(MADE_FROM)
    except (OSError, SyntaxError):
        return None


def is_made_from(path: Path, made_from: str) -> bool:
    """Tell whether `path` is a whole PNG that `write_png` wrote with this `made_from`."""
    if read_made_from(path) != made_from:
        return False
    try:
        read_rgb(path)
    except UnusableImage:
        return False
    return True


def resize(
    image: RGB, height: int, width: int, filter: Image.Resampling = Image.Resampling.BICUBIC
) -> RGB:
    """Return `image` resized to [height, width, 3]."""
    if image.shape[:2] == (height, width):
        return image
    return _array(Image.fromarray(image).resize((width, height), filter))


def _array(image: Image.Image) -> RGB:
    """Return the pixels of an RGB image: in bands, lest NumPy hold them three times meanwhile."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


def shrunk_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """Return the height and width that `limit_long_side` leaves of an image of this `size`."""
    factor = long_side / max(*size, 1)
    return (
        size if factor >= 1 else (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    )


def limit_long_side(image: RGB, long_side: int) -> RGB:
    """Shrink `image` (Lanczos) so that its long side is at most `long_side` px; never enlarge."""
    height, width = image.shape[:2]
    return resize(image, *shrunk_size((height, width), long_side), Image.Resampling.LANCZOS)


def crop_to_multiple(image: RGB, multiple: int = SCALE) -> RGB:
    """Cut right and bottom so that both sides are multiples of `multiple` px."""
    height, width = image.shape[:2]
    return image[: height - height % multiple, : width - width % multiple]


def downscale(image: RGB, scale: int = SCALE) -> RGB:
    """Return the LR of an HR image: bicubic ↓4, or ↓`scale` (paper section 5).

    Sides must be multiples of that.
    """
    height, width = image.shape[:2]
    return resize(image, height // scale, width // scale)


def upscale(image: RGB) -> RGB:
    """Return LR↑, bicubic ↑4: the size of HR (paper section 3.1)."""
    height, width = image.shape[:2]
    return resize(image, height * SCALE, width * SCALE)
