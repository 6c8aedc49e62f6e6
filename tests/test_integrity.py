"""Damaged files that Pillow reads without a word; each case is checked to be one."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from srntt_pipeline.errors import UnusableImage
from srntt_pipeline.images import decode

PHOTO = Image.fromarray(skimage.data.astronaut()[:256, :320])
JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restart": {"restart_marker_blocks": 8},
    "optimised 4:4:4": {"optimize": True, "subsampling": 0},
    "grey": {},
}


def encoded(image=PHOTO, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(name):
    return encoded(PHOTO.convert("L") if name == "grey" else PHOTO, quality=90, **JPEGS[name])


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def reason(content):
    with pytest.raises(UnusableImage) as error:
        decode(content, Path("a.jpg"), grey=True)
    return error.value.reason


def check_damaged(content, whole):
    """Pillow takes `content`, whose pixels are others than those of `whole`; we refuse it."""
    assert (pixels(content) != pixels(whole)).mean() > 0.02
    assert reason(content).startswith("corrupt or truncated (")


def holed(content, size=400, at=0.5):
    place = int(len(content) * at)
    return content[:place] + bytes(size) + content[place + size :]


def ended(content, end=b"\xff\xd9"):
    return content[: len(content) // 2] + end


@pytest.mark.parametrize("name", JPEGS)
def test_jpeg_that_is_cut_and_then_has_a_valid_end(name):
    check_damaged(ended(jpeg(name)), jpeg(name))


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("at", [0.35, 0.5, 0.8])
def test_jpeg_with_a_hole_of_zeros(name, at):
    check_damaged(holed(jpeg(name), at=at), jpeg(name))


@pytest.mark.parametrize("colour", ["white", "black", (13, 100, 90)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "quality": 5}])
def test_a_plain_jpeg_whose_data_is_zeros_is_whole(colour, options):
    content = encoded(Image.new("RGB", (999, 1001), colour), **options)
    assert decode(content, Path("a")).shape == (1001, 999, 3)


def test_jpeg_with_changed_restart_markers():
    content = bytearray(jpeg("restart"))
    scan = content.index(b"\xff\xda")
    places = [
        i for i in range(scan, len(content) - 1)
        if content[i] == 0xFF and 0xD0 <= content[i + 1] <= 0xD7
    ]  # fmt: skip
    for place in places[5:15]:
        content[place + 1] = 0xD0 + (content[place + 1] + 3) % 8
    assert reason(bytes(content)).startswith("corrupt or truncated (Corrupt JPEG data: found")


@pytest.mark.parametrize("name", JPEGS)
def test_jpegs_that_are_whole_keep_pillows_pixels(name):
    content = jpeg(name)
    # What cameras do: a few bytes before the end, a preview or a film after it.
    for variant in (content, content[:-2] + bytes(3) + content[-2:], content + b"film" * 1000):
        np.testing.assert_array_equal(decode(variant, Path("a"), grey=True), pixels(content))


def bogus_scan(content):
    """A JPEG whose scan parameters are those of no sequential JPEG, as old telephones wrote."""
    end = content.index(b"\xff\xda") + 2 + 12
    return content[: end - 3] + b"\0\0\0" + content[end:]


def test_a_warning_of_the_header_hides_no_damage_and_is_none():
    whole = bogus_scan(jpeg("baseline"))
    np.testing.assert_array_equal(decode(whole, Path("a")), pixels(whole))
    check_damaged(ended(whole), whole)
    check_damaged(holed(whole), whole)


@pytest.mark.parametrize("sampling", ["411", "420", "422", "440", "444"])
def test_every_sampling_of_colour_is_read(sampling):
    flag = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")
    _, content = cv2.imencode(
        ".jpg", np.asarray(PHOTO), [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, flag]
    )  # fmt: skip
    assert decode(content.tobytes(), Path("a")).shape == (256, 320, 3)
    assert reason(ended(content.tobytes())).startswith("corrupt or truncated")


def test_stereo_jpeg_is_checked_too():
    twin = encoded(PHOTO, "MPO", save_all=True, append_images=[PHOTO])
    decode(twin, Path("a"))
    assert reason(holed(twin, at=0.25)).startswith("corrupt or truncated")


def tiff(image=PHOTO, **options):
    return encoded(image, "TIFF", **options)


TIFFS = {
    "jpeg": {"compression": "jpeg", "quality": 90},
    "deflate": {"compression": "tiff_adobe_deflate"},
    "lzw": {"compression": "tiff_lzw"},
    "raw": {},
}


@pytest.mark.parametrize("name", TIFFS)
def test_whole_tiffs_are_read(name):
    content = tiff(**TIFFS[name])
    np.testing.assert_array_equal(decode(content, Path("a")), pixels(content))


def jpeg_strip(content):
    """Return where the data of a TIFF's first strip of several begins, and its length."""
    with Image.open(io.BytesIO(content)) as image:
        return image.tag_v2[273][0], image.tag_v2[279][0]


def test_jpeg_in_tiff_with_a_hole():
    content = tiff(**TIFFS["jpeg"])
    start, length = jpeg_strip(content)
    place = start + length // 2
    spoilt = content[:place] + bytes(200) + content[place + 200 :]
    assert (pixels(spoilt) != pixels(content)).mean() > 0.05
    assert reason(spoilt).startswith("corrupt or truncated (Corrupt JPEG data")


@pytest.mark.parametrize("name", ["deflate", "lzw"])
def test_damaged_tiff_says_so_with_its_name_alone(name, capfd):
    content = tiff(**TIFFS[name])
    start, _ = jpeg_strip(content)
    assert reason(content[: start + 900] + bytes(300) + content[start + 1200 :])
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("error")
def test_python_warnings_of_a_tiff_count_and_reach_no_terminal():
    """A tag whose text is said to be longer than the file: Pillow warns and goes on."""
    content = bytearray(tiff(description="x" * 40))
    entry = bytes(content).index(struct.pack("<HH", 270, 2))
    content[entry + 4 : entry + 8] = struct.pack("<I", 1 << 30)
    assert reason(bytes(content)).startswith("corrupt or truncated (")


@pytest.mark.filterwarnings("error")
def test_odd_exif_data_is_no_damage_and_reaches_no_terminal():
    exif = Image.Exif()
    exif[0x010F] = "a camera of a long name"
    content = bytearray(encoded(PHOTO, exif=exif))
    entry = bytes(content).index(struct.pack(">HH", 0x010F, 2))
    content[entry + 4 : entry + 8] = struct.pack(">I", 1 << 20)
    assert decode(bytes(content), Path("a")).shape == (256, 320, 3)


# PNG


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(rows, width=32, height=24, interlaced=0, tail=None):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", rows), tail or chunk(b"IEND", b"")]
    )


ROWS = (b"\0" + bytes(range(96))) * 24


def test_png_whose_data_ends_early_in_a_whole_stream():
    """All checksums are right; rows are missing."""
    assert decode(png(zlib.compress(ROWS)), Path("a")).shape == (24, 32, 3)
    assert "its data ends early" in reason(png(zlib.compress(ROWS[: 97 * 10])))


def test_png_whose_stream_has_no_end():
    assert "its data ends early" in reason(png(zlib.compress(ROWS)[:-4]))


def test_png_without_an_end():
    content = png(zlib.compress(ROWS))
    assert "the file ends early" in reason(content[:-12])


def test_png_with_a_wrong_checksum():
    content = bytearray(png(zlib.compress(ROWS)))
    content[-17] ^= 1
    assert "corrupt or truncated" in reason(bytes(content))


def test_png_with_more_data_than_rows_is_read():
    content = png(zlib.compress(ROWS + bytes(1000)))
    np.testing.assert_array_equal(decode(content, Path("a")), pixels(content))


@pytest.mark.parametrize(("width", "height"), [(320, 256), (1, 1), (3, 2), (5, 9), (8, 8)])
def test_interlaced_png_has_as_many_bytes_as_expected(width, height):
    """Its passes are made here by hand: rows of the pixels that each pass takes."""
    image = np.asarray(PHOTO.resize((width, height)))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    passes.append((0, 1, 1, 2))
    parts = [image[y::down, x::across] for x, y, across, down in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part if part.size)
    np.testing.assert_array_equal(
        decode(png(zlib.compress(rows), width, height, 1), Path("a")), image
    )
    assert "ends early" in reason(png(zlib.compress(rows[:-1]), width, height, 1))


@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_pngs_of_other_depths_are_whole(mode):
    assert decode(encoded(PHOTO.convert(mode), "PNG"), Path("a"), grey=True).shape[2] == 3
