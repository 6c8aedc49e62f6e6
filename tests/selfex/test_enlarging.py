"""SelfEx as a whole, on crops of real images."""

import numpy as np
import pytest

from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.images import read_rgb
from srntt_pipeline.imresize import imresize
from srntt_pipeline.selfex.enlarging import enlarge


@pytest.fixture(scope="module")
def facade(shared):
    """LR, 36×36 px, and HR of a facade of Urban100."""
    lr = read_rgb(shared / "data/urban100_lr_x4/img_001.png")[70:106, 90:126]
    hr = read_rgb(shared / "data/urban100/img_001.png")[280:424, 360:504]
    return lr, hr


@pytest.fixture(scope="module")
def sr(facade):
    return enlarge(facade[0])


def test_it_is_above_bicubic(facade, sr):
    lr, hr = facade
    protocol = PROTOCOLS["matlab-replicate"]
    ours = protocol.measure(hr, sr)
    bicubic = protocol.measure(hr, imresize(lr, 144, 144, "replicate"))
    assert ours[0] > bicubic[0] + 0.5
    assert ours[1] > bicubic[1]


def test_the_same_seed_gives_the_same_bytes(facade, sr):
    assert enlarge(facade[0]).tobytes() == sr.tobytes()
    assert enlarge(facade[0], seed=1).tobytes() != sr.tobytes()


def test_sr_reduced_is_lr(facade, sr):
    again = imresize(sr, 36, 36, "replicate").astype(int)
    assert np.abs(again - facade[0]).mean() < 1


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (6, 5)])
def test_tiny_images_are_enlarged_too(size):
    lr = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    sr = enlarge(lr)
    assert (sr.shape, sr.dtype) == ((4 * size[0], 4 * size[1], 3), np.uint8)


@pytest.mark.parametrize("value", [0, 93, 255])
def test_a_plain_image_stays_plain(value):
    assert (enlarge(np.full((9, 12, 3), value, np.uint8)) == value).all()
