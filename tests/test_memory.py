import numpy as np
import pytest
from PIL import Image

from srntt_pipeline import memory
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import limit_long_side, read_rgb, read_size, shrunk_size


def test_what_does_not_fit_is_refused_in_one_line_with_what_would_do():
    memory.check(1 << 30, 1 << 30, "a.png")
    with pytest.raises(InputError, match=r"^--max-memory: .* a\.png, which needs 1\.01 GiB$"):
        memory.check(1 << 30, (1 << 30) + 1, "a.png")


def test_bytes_grow_with_pixels():
    assert memory.image_bytes([(2, 3), (5, 7)]) == 3 * 41
    assert memory.versions_bytes([(10, 10), (20, 10)], 1.0) == 2 * memory.versions_bytes(
        [(10, 10)], 0.7
    )
    assert memory.versions_bytes([(10, 10)], 2.0) == 4 * memory.versions_bytes([(10, 10)], 1.0)
    assert memory.versions_bytes([], 1.0) == 0
    for of in (memory.matching_bytes, memory.restored_bytes, memory.written_bytes):
        assert of((400, 300)) == 4 * of((200, 150)) > 3 * 4 * 200 * 150


def test_a_header_tells_the_size_and_a_damaged_one_none(tmp_path):
    Image.new("RGB", (31, 17)).save(tmp_path / "a.png")
    assert read_size(tmp_path / "a.png") == (17, 31)
    (tmp_path / "b.png").write_bytes(b"no image")
    assert read_size(tmp_path / "b.png") == (0, 0)
    assert read_size(tmp_path / "none.png") == (0, 0)


def test_a_header_of_a_size_that_is_never_decoded_tells_none(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "a.png")
    huge = bytearray((tmp_path / "a.png").read_bytes())
    huge[16:24] = (60000).to_bytes(4, "big") * 2  # IHDR's width and height
    (tmp_path / "a.png").write_bytes(huge)
    assert read_size(tmp_path / "a.png") == (0, 0)


@pytest.mark.parametrize("side", [1, 7, 30, 31, 40])
def test_a_shrunk_size_is_that_of_the_shrunk_image(side):
    image = np.zeros((17, 31, 3), np.uint8)
    assert limit_long_side(image, side).shape[:2] == shrunk_size((17, 31), side)


def test_images_of_several_bands_are_read_as_pillow_has_them(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1100, 9, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_rgb(tmp_path / "a.png") == pixels).all()


def test_memory_is_given_back():
    memory.release()  # a no-op where the C library can't
