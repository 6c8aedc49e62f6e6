"""Reading, resizing and writing 8-bit colour images.

Every image of the pipeline is an RGB array, uint8 [H, W, 3], 0…255. All resizing is Pillow's, which
low-passes before it shrinks (bicubic: a = -0.5), as the published numbers need.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, PngImagePlugin

from srntt_pipeline.errors import UnusableImage
from srntt_pipeline.files import write_bytes

RGB = npt.NDArray[np.uint8]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
# No others: Pillow would start Ghostscript on an EPS file, whatever it is called.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
SCALE = 4  # the paper's one upscaling factor
MAX_MEGAPIXELS = 100
MADE_FROM = "srntt_pipeline made from"
_BAND_ROWS = 512

# Pillow's own guard raises at open, before a size can be told; `decode` checks the header instead.
Image.MAX_IMAGE_PIXELS = None


def read_bytes(path: Path) -> bytes:
    """Return the file's bytes; raise UnusableImage when it is empty or cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnusableImage(str(path), f"unreadable ({error.strerror})") from None
    if not content:
        raise UnusableImage(str(path), "empty file (0 bytes)")
    return content


def decode(
    content: bytes,
    path: Path,
    *,
    min_side: int = 1,
    max_megapixels: float = MAX_MEGAPIXELS,
    grey: bool = False,
) -> RGB:
    """Return the image in `content`, turned upright by its EXIF orientation, uint8 [H, W, 3].

    Raises UnusableImage for what is no image, is cut short, has fewer than `min_side` px on its
    short side or more than `max_megapixels`, is animated, or is not 8-bit RGB: guessing a tone
    curve or a background would put pixels into a data set that no camera made. With `grey`,
    greyscale is taken as RGB of three equal channels (benchmark sets hold such images).
    """

    def unusable(reason: str) -> UnusableImage:
        return UnusableImage(str(path), reason)

    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
        odd = _odd_mode(image)
    except Exception:  # Pillow's plugins raise almost anything on bytes that are no image
        raise unusable("not an image, whatever its name says") from None
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        megapixels = width * height / 1e6
        raise unusable(f"{megapixels:.0f} megapixels, over the limit of {max_megapixels:g}")
    if min(width, height) < min_side:
        raise unusable(f"too small: {width}×{height} px, {min_side} px needed on the short side")
    if odd and not (grey and odd == _GREY):
        raise unusable(odd)
    try:
        ImageOps.exif_transpose(image, in_place=True)
        return _array(image if image.mode == "RGB" else image.convert("RGB"))
    except Exception as error:  # as above: truncated or corrupt data, in any of Pillow's words
        raise unusable(f"corrupt or truncated ({error})") from None


_GREY = "grey: only colour photos are used"


def _odd_mode(image: Image.Image) -> str | None:
    """Return why `image` is not one 8-bit RGB picture, or None."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: a camera's JPEG with a preview or stereo twin
        return f"animated or multi-page: {frames} frames"
    # Pillow opens 16-bit RGB as 8-bit RGB without a word; only the raw mode tells.
    if any(";16" in str(tile) for tile in getattr(image, "tile", ())) or image.mode[0] in "IF":
        return "more than 8 bits a channel"
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return "has an alpha channel"
    if image.mode in ("L", "1"):
        return _GREY
    if image.mode != "RGB":
        return f"colour mode {image.mode}: only RGB photos are used"
    return None


def read_size(path: Path) -> tuple[int, int]:
    """Return height and width of the image at `path`, as stored, by its header alone.

    (0, 0) where it tells none, or more than MAX_MEGAPIXELS: `decode` then says what is wrong.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            fits = image.width * image.height <= MAX_MEGAPIXELS * 1e6
            return (image.height, image.width) if fits else (0, 0)
    except Exception:  # as in `decode`
        return 0, 0


def read_rgb(path: Path, **checks: Any) -> RGB:
    """Read the image at `path`; `checks` and errors are those of `decode`."""
    return decode(read_bytes(path), path, **checks)


def write_png(path: Path, image: RGB, made_from: str | None = None) -> None:
    """Write `image` as PNG, whole or not at all.

    `made_from`: a line of text to keep in the file, which `read_made_from` reads.
    """
    text = PngImagePlugin.PngInfo()
    if made_from is not None:
        text.add_text(MADE_FROM, made_from)
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG", pnginfo=text)
    write_bytes(path, content.getvalue())


def read_made_from(path: Path) -> str | None:
    """Return what `write_png` was given as `made_from`; None for other files, or for none."""
    try:
        with Image.open(path, formats=["PNG"]) as image:  # reads the header alone
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


def downscale(image: RGB) -> RGB:
    """Return the LR of an HR image: bicubic ↓4. Sides must be multiples of 4 (paper section 5)."""
    height, width = image.shape[:2]
    return resize(image, height // SCALE, width // SCALE)


def upscale(image: RGB) -> RGB:
    """Return LR↑, bicubic ↑4: the size of HR (paper section 3.1)."""
    height, width = image.shape[:2]
    return resize(image, height * SCALE, width * SCALE)
