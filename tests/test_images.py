import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from srntt_pipeline import images
from srntt_pipeline.errors import UnusableImage
from srntt_pipeline.file_types import HAS_AVIF
from srntt_pipeline.images import (
    crop_to_multiple,
    decode,
    downscale,
    limit_long_side,
    read_rgb,
    read_size,
    read_whole,
    resize,
    upscale,
    write_png,
)

SIZE = 20, 30
PIXELS = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
SMOOTH = cv2.resize(PIXELS[:4, :6], (30, 20), interpolation=cv2.INTER_CUBIC)


def save(path, pixels=PIXELS, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def encoded(suffix, pixels=PIXELS, *flags):
    done, buffer = cv2.imencode(suffix, pixels, flags)
    assert done
    return buffer.tobytes()


def reason(path, **checks):
    with pytest.raises(UnusableImage) as error:
        read_rgb(path, **checks)
    assert str(error.value) == f"{path}: {error.value.reason}"
    assert "\n" not in error.value.reason
    return error.value.reason


# What is read


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_lossless_formats_give_the_saved_pixels(tmp_path, suffix):
    options = {"lossless": True} if suffix == ".webp" else {}
    image = read_rgb(save(tmp_path / f"a{suffix}", **options))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, PIXELS)


def test_jpeg_is_read_as_opencv_reads_it(tmp_path):
    path = save(tmp_path / "a.jpg", SMOOTH, quality=95, subsampling="4:4:4")
    reference = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert np.abs(read_rgb(path).astype(int) - reference).max() <= 2


TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_turned_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_rgb(path), TURNS[orientation](PIXELS))


def test_camera_jpeg_with_a_stereo_twin_is_one_photo(tmp_path):
    twin = Image.fromarray(PIXELS)
    path = tmp_path / "a.jpg"
    twin.save(path, "MPO", save_all=True, append_images=[twin])
    assert read_rgb(path).shape == (*SIZE, 3)


def test_suffix_need_not_tell_the_format(tmp_path):
    np.testing.assert_array_equal(read_rgb(save(tmp_path / "a.jpg", format="PNG")), PIXELS)


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_is_read_as_rgb_only_where_asked_for(tmp_path, mode):
    path = save(tmp_path / "a.png", Image.fromarray(PIXELS).convert(mode))
    assert reason(path) == "grey: only colour photos are used"
    image = read_rgb(path, grey=True)
    assert image.shape == (*SIZE, 3)
    np.testing.assert_array_equal(image[..., 0], cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    assert (image == image[..., :1]).all()


@pytest.mark.skipif(not HAS_AVIF, reason="this Pillow has no AVIF")
def test_avif_is_read(tmp_path):
    path = save(tmp_path / "a.avif", SMOOTH, quality=100, subsampling="4:4:4")
    assert np.abs(read_rgb(path).astype(int) - SMOOTH).mean() < 3


@pytest.mark.skipif(not HAS_AVIF, reason="this Pillow has no AVIF")
def test_avif_of_10_bits_is_known_by_its_header(tmp_path):
    """Pillow makes 8 bits of them in silence, and writes none."""
    content = bytearray(save(tmp_path / "a.avif", SMOOTH).read_bytes())
    assert not images._is_deep_avif(bytes(content))
    content[content.index(b"av1C") + 6] |= 0x40
    assert images._is_deep_avif(bytes(content))


def test_heic_is_read_with_the_extra_and_upright(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    smooth = Image.fromarray(cv2.resize(SMOOTH, (128, 96), interpolation=cv2.INTER_CUBIC))
    exif = Image.Exif()
    exif[0x0112] = 6
    pillow_heif.from_pillow(smooth).save(tmp_path / "a.heic", quality=95)
    image = read_rgb(tmp_path / "a.heic")
    assert read_size(tmp_path / "a.heic") == image.shape[:2]
    assert np.abs(image.astype(int) - np.asarray(smooth)).mean() < 6
    pillow_heif.from_pillow(smooth).save(tmp_path / "b.heic", quality=95, exif=exif.tobytes())
    np.testing.assert_array_equal(read_rgb(tmp_path / "b.heic"), np.rot90(image, -1))
    path = tmp_path / "a.heic"
    path.write_bytes(path.read_bytes()[:-300])
    assert reason(path).startswith("corrupt or truncated")


def test_heic_without_the_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "HAS_HEIF", False)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    assert reason(tmp_path / "a.jpg").startswith("HEIC: pip install")


def test_png_with_much_text_and_a_large_profile_is_read(tmp_path):
    """Pillow allows 1 MiB of each, after unpacking."""
    text = PngImagePlugin.PngInfo()
    text.add_text("history", "step " * 600_000, zip=True)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(3 << 20)
    path = save(tmp_path / "a.png", pnginfo=text, icc_profile=profile)
    np.testing.assert_array_equal(read_rgb(path), PIXELS)
    assert read_whole(path).profile == profile


def test_text_without_end_is_refused(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(80 << 20), 1))
    path = save(tmp_path / "a.png", pnginfo=text)
    assert reason(path).startswith("corrupt or truncated (PNG that cannot be opened")


# What is refused, with the reason


def test_empty_file(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert reason(tmp_path / "a.jpg") == "empty file (0 bytes)"


def test_missing_file(tmp_path):
    assert reason(tmp_path / "a.jpg") == "unreadable (No such file or directory)"


def test_dangling_symlink(tmp_path):
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    assert reason(tmp_path / "a.jpg").startswith("unreadable")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"this is no photo", "not an image that is read: it seems to be text"),
        (b"<!DOCTYPE html><html>404", "not an image that is read: it seems to be a web page"),
        (b"\xff\x0a" + bytes(40), "not an image that is read: it seems to be JPEG XL"),
        (b"%PDF-1.4" + bytes(99), "not an image that is read: it seems to be a PDF"),
        (bytes(4096), "not an image that is read: it seems to be zeros"),
        (b"\0\0\0\x18ftypcrx is", "not an image that is read: it seems to be a camera's raw file"),
        (b"\x93\x01\xf1", "not an image that is read"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "corrupt or truncated (JPEG that cannot be opened"),
        (b"RIFF\x40\0\0\0WEBPVP8 ", "corrupt or truncated (WebP that cannot be opened"),
    ],
)  # fmt: skip
def test_what_no_one_can_open_says_what_it_seems_to_be(tmp_path, content, expected):
    (tmp_path / "a.jpg").write_bytes(content)
    assert reason(tmp_path / "a.jpg").startswith(expected)
    assert "object at" not in reason(tmp_path / "a.jpg")  # an address differs between runs


def test_pipe_and_device_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("/dev/zero")
    (tmp_path / "c.jpg").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        assert reason(tmp_path / name).startswith("unreadable (")


def test_endless_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_MAX_FILE_BYTES", 100)
    path = save(tmp_path / "a.png")
    assert reason(path) == "over 1 GiB"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
def test_truncated_file(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert any(word in reason(path) for word in ("corrupt or truncated", "not an image"))


def test_corrupt_png(tmp_path):
    path = save(tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert reason(path).startswith("corrupt or truncated")


def test_16_bit_png_and_tiff(tmp_path):
    deep = PIXELS.astype(np.uint16) * 257
    for suffix in (".png", ".tif"):
        for pixels in (deep, deep[..., 0]):
            (tmp_path / "a").write_bytes(encoded(suffix, pixels))
            assert reason(tmp_path / "a") == "more than 8 bits a channel"


def test_float_tiff(tmp_path):
    path = save(tmp_path / "a.tif", PIXELS[..., 0].astype(np.float32) / 255)
    assert reason(path) == "more than 8 bits a channel"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_opaque_alpha_channel_is_left_out_and_another_refused(tmp_path, mode, suffix):
    if (mode, suffix) == ("LA", ".webp"):
        pytest.skip("WebP is never grey")
    image = Image.fromarray(PIXELS).convert(mode)
    options = {"lossless": True} if suffix == ".webp" else {}
    path = save(tmp_path / f"a{suffix}", image, **options)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read_rgb(path, grey=mode == "LA"), expected)
    alpha = Image.new("L", image.size, 255)
    alpha.putpixel((3, 4), 254)
    image.putalpha(alpha)
    save(path, image, **options)
    assert reason(path, grey=True) == "has an alpha channel that is not opaque"


def test_transparent_colour(tmp_path):
    unused = save(tmp_path / "a.png", transparency=(1, 2, 3))
    np.testing.assert_array_equal(read_rgb(unused), PIXELS)
    used = save(tmp_path / "b.png", transparency=tuple(map(int, PIXELS[0, 0])))
    assert reason(used) == "has an alpha channel that is not opaque"


def test_palette_with_and_without_transparency(tmp_path):
    palette = Image.fromarray(PIXELS).quantize()
    assert reason(save(tmp_path / "a.png", palette)).startswith("colour mode P")
    assert reason(save(tmp_path / "b.png", palette, transparency=0)).startswith("colour mode P")


def test_cmyk(tmp_path):
    path = save(tmp_path / "a.jpg", Image.fromarray(PIXELS).convert("CMYK"))
    assert reason(path).startswith("colour mode CMYK")


def test_lab_is_not_mistaken_for_alpha(tmp_path):
    path = save(tmp_path / "a.tif", Image.fromarray(PIXELS).convert("LAB"))
    assert reason(path).startswith("colour mode LAB")


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png"])
def test_animation(tmp_path, suffix):
    frames = [Image.fromarray(np.roll(PIXELS, i, axis=0)) for i in range(3)]
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert reason(path) == "animated or multi-page: 3 frames"


def two_pages(path):
    assert cv2.imwritemulti(str(path), [PIXELS, PIXELS])
    return path.read_bytes()


def test_multi_page_tiff(tmp_path):
    two_pages(tmp_path / "a.tif")
    assert reason(tmp_path / "a.tif") == "animated or multi-page: 2 frames"


def test_multi_page_tiff_cut_anywhere(tmp_path):
    content = two_pages(tmp_path / "a.tif")
    for length in range(1, len(content) - 1, 7):
        with pytest.raises(UnusableImage):
            decode(content[:length], tmp_path / "a.tif")


def test_document_for_another_program_is_never_run(tmp_path):
    """Pillow would start Ghostscript on PostScript, whatever the file is called."""
    path = save(tmp_path / "a.jpg", format="EPS")
    assert "not an image" in reason(path)


def test_too_small(tmp_path):
    path = save(tmp_path / "a.png")
    assert reason(path, min_side=21) == "too small: 30×20 px, 21 px needed on the short side"
    assert read_rgb(path, min_side=20).shape == (*SIZE, 3)


def png_of(width, height):
    """A PNG whose header says width × height and which holds no pixels worth mentioning."""

    def chunk(kind, body):
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")


def test_200_megapixels_are_refused_before_they_are_decoded(tmp_path):
    (tmp_path / "a.png").write_bytes(png_of(20_000, 10_000))
    # Its pixels are missing: decoding would find it corrupt.
    assert reason(tmp_path / "a.png") == "200 megapixels, over the limit of 100"


def test_limit_of_megapixels_is_the_callers(tmp_path):
    path = save(tmp_path / "a.png")  # 600 pixels
    assert "over the limit of 0.0005" in reason(path, max_megapixels=0.0005)
    assert read_rgb(path, max_megapixels=0.0006).shape == (*SIZE, 3)


def encoded_by_pillow(kind, **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **options)
    return file.getvalue()


SAMPLES = {
    "jpg": encoded(".jpg"),
    "png": encoded(".png"),
    "tif": encoded(".tif"),
    "webp": encoded(".webp"),
    "bmp": encoded(".bmp"),
    "progressive": encoded_by_pillow("JPEG", progressive=True),
    "jpeg in tiff": encoded_by_pillow("TIFF", compression="jpeg"),
    "deflate in tiff": encoded_by_pillow("TIFF", compression="tiff_deflate"),
    "avif": encoded_by_pillow("AVIF") if HAS_AVIF else b"",
}


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damaged_bytes_give_an_image_or_a_reason_never_another_error(suffix, data):
    content = bytearray(SAMPLES[suffix])
    del content[data.draw(st.integers(0, len(content))) :]
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode(bytes(content), Path("a.jpg"))
    except UnusableImage:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3


# Resizing


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40))
def test_resize_is_pillows_bicubic(height, width):
    reference = Image.fromarray(PIXELS).resize((width, height), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resize(PIXELS, height, width), np.asarray(reference))


def cubic(x):
    """Keys' kernel, a = -0.5."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def shrink_row(row, factor):
    """Shrink a row of numbers by the definition: the kernel stretched, cut at the border."""
    result = []
    for i in range(len(row) // factor):
        centre = (i + 0.5) * factor
        weights = [cubic((j + 0.5 - centre) / factor) for j in range(len(row))]
        result.append(np.dot(weights, row) / sum(weights))
    return result


def test_downscale_is_low_passed_bicubic_by_4():
    image = np.repeat(PIXELS[:1, :24], 8, axis=0)  # equal rows: only the columns are filtered
    expected = [shrink_row(image[0, :, channel].astype(float), 4) for channel in range(3)]
    result = downscale(image)
    assert result.shape == (2, 6, 3)
    np.testing.assert_allclose(result[0], np.clip(np.transpose(expected), 0, 255), atol=1)


def test_upscale_gives_the_size_of_hr_and_keeps_flat_colour():
    flat = np.full((5, 7, 3), [10, 20, 30], np.uint8)
    np.testing.assert_array_equal(upscale(flat), np.full((20, 28, 3), [10, 20, 30]))


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((20, 30), 30, (20, 30)),
        ((20, 30), 31, (20, 30)),
        ((20, 30), 15, (10, 15)),
        ((30, 20), 15, (15, 10)),
        ((3, 100), 10, (1, 10)),
    ],
)
def test_long_side_is_limited_never_enlarged(size, limit, expected):
    image = np.zeros((*size, 3), np.uint8)
    assert limit_long_side(image, limit).shape == (*expected, 3)


def test_long_side_is_shrunk_by_lanczos():
    reference = Image.fromarray(PIXELS).resize((15, 10), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(limit_long_side(PIXELS, 15), np.asarray(reference))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.integers(1, 30))
def test_crop_to_multiple_cuts_right_and_bottom(height, width):
    cropped = crop_to_multiple(PIXELS[:height, :width])
    assert cropped.shape[0] % 4 == cropped.shape[1] % 4 == 0
    assert 0 <= height - cropped.shape[0] < 4
    assert 0 <= width - cropped.shape[1] < 4
    np.testing.assert_array_equal(cropped, PIXELS[: cropped.shape[0], : cropped.shape[1]])


# Writing


def test_png_keeps_every_pixel(tmp_path):
    write_png(tmp_path / "new" / "a.png", PIXELS)
    read = cv2.cvtColor(cv2.imread(str(tmp_path / "new" / "a.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(read, PIXELS)


def test_png_of_a_view_into_a_larger_array(tmp_path):
    write_png(tmp_path / "a.png", PIXELS[3:9, 5:25])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), PIXELS[3:9, 5:25])
