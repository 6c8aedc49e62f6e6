"""The levels of SelfEx."""

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.imresize import imresize, resized
from srntt_pipeline.selfex.pyramid import Pyramid, level_sizes


def test_levels_fall_by_the_cube_root_of_two_from_four_times_lr_to_an_eighth_of_it():
    below, above = level_sizes(192, 256, 4)
    assert (len(below), len(above)) == (9, 6)
    assert (below[0], below[3], below[6]) == ((24, 32), (48, 64), (96, 128))
    assert (above[2], above[5]) == ((384, 512), (768, 1024))
    assert above[0] == (round(192 * 2 ** (1 / 3)), round(256 * 2 ** (1 / 3)))
    assert level_sizes(1, 3, 4)[0][0] == (1, 1)


@pytest.mark.parametrize("border", ["mirror", "replicate"])
def test_images_are_resized_as_imresize_does(photograph, border):
    image = photograph[40:101, 60:139]
    found = resized(image.astype(np.float32), 23, 30, border)
    # That rounds to 8 bits twice, this does not.
    assert np.abs(found - imresize(image, 23, 30, border)).max() < 1.5
    assert np.abs(found - imresize(image, 23, 30, border)).mean() < 0.5


@pytest.mark.parametrize("size", [(16, 20), (160, 200)])
def test_a_border_that_is_cut_is_pillows(photograph, size):
    image = photograph[40:104, 60:140].astype(np.float32)
    found = resized(image, *size, "cut")
    for channel in range(3):
        plane = Image.fromarray(image[..., channel])
        theirs = np.array(plane.resize(size[::-1], Image.Resampling.BICUBIC))
        assert np.abs(found[..., channel] - theirs).max() < 1e-2


def test_a_flat_pyramid_holds_each_level_sharp_and_blurred(photograph):
    levels = [photograph[:side, : side + 5].astype(np.float32) / 255 for side in (20, 25, 31)]
    pyramid = Pyramid.of(levels, "replicate")
    for level, (start, height, width) in zip(levels, pyramid.shapes, strict=True):
        rows = slice(start, start + height * width)
        assert np.array_equal(pyramid.sharp[rows].reshape(height, width, 3), level)
        blurred = pyramid.blurred[rows].reshape(height, width, 3)
        smaller = round(height * 2 ** (-1 / 3)), round(width * 2 ** (-1 / 3))
        again = resized(resized(level, *smaller, "replicate"), height, width, "replicate")
        assert np.array_equal(blurred, again)
        assert np.ptp(blurred, axis=(0, 1)).max() <= np.ptp(level, axis=(0, 1)).max() + 0.1
    assert pyramid.shapes[-1].sum() == sum(s.shape[0] * s.shape[1] for s in levels[:2]) + 31 + 36
