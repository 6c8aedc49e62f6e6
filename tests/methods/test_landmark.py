"""Landmark as a method: what the real albums and CUFED5 gain, and what it never loses."""

import numpy as np
import pytest
import skimage.data

from srntt_pipeline.degradation import PAPER_MAKING, make_hr, make_lr
from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.images import limit_long_side, read_rgb
from srntt_pipeline.layout import read_test_set
from srntt_pipeline.methods import Scene
from srntt_pipeline.methods.landmark import Landmark
from srntt_pipeline.methods.sources import read_methods

REFERENCES = [
    "none",
    "HR (warp)",
    "L1",
    "1",
    "LR",
    "all",
    "paper-all",
    "stitched",
    "best",
    "random",
]


def scene_of(photo, references, making=PAPER_MAKING, **more):
    hr = make_hr(photo, making)
    return hr, Scene(make_lr(hr, making), references, hr=hr, making=making, name="a", **more)


def gain(hr, scene, reference):
    """Return how many dB (luma, 4 px) it is above bicubic."""
    luma = PROTOCOLS["luma"]
    sr = Landmark().super_resolve(scene, reference)
    return luma.measure(hr, sr)[0] - luma.measure(hr, scene.bicubic())[0]


def test_it_takes_photos_alone():
    taken = [name for name in REFERENCES if Landmark().takes(name)]
    assert taken == ["HR (warp)", "L1", "1", "all", "paper-all", "stitched", "random"]


def test_it_is_found_by_its_entry_point():
    (method,) = read_methods(["landmark"])
    assert method.name == "Landmark"
    assert method.parameters() is None


def test_group_001_of_cufed5(shared):
    (group,) = read_test_set(shared / "data" / "cufed" / "test" / "CUFED5").groups
    references = {level: read_rgb(group.refs[level]) for level in ("L1", "L2")}
    hr, scene = scene_of(read_rgb(group.hr), references)
    assert gain(hr, scene, "HR (warp)") > 2
    assert gain(hr, scene, "L1") > 1
    assert gain(hr, scene, "all") > 1


def test_hr_warp_on_real_albums(real_albums):
    photos = sorted((real_albums / "lund").iterdir())[:1]
    hr, scene = scene_of(limit_long_side(read_rgb(photos[0]), 320), {})
    assert gain(hr, scene, "HR (warp)") > 2


def test_an_unrelated_photo_costs_nothing(real_albums):
    photo = limit_long_side(read_rgb(sorted((real_albums / "lund").iterdir())[0]), 320)
    others = {
        "L1": limit_long_side(read_rgb(sorted((real_albums / "sceaux_castle").iterdir())[0]), 500),
        "L2": skimage.data.astronaut(),
    }
    hr, scene = scene_of(photo, others)
    for reference in ("L1", "L2", "all"):
        assert gain(hr, scene, reference) > -0.05


@pytest.mark.parametrize("size", [(16, 16), (33, 200), (24, 16)])
def test_small_and_odd_sizes_fall_back_to_bicubic(photograph, size):
    height, width = size
    hr, scene = scene_of(photograph[:height, :width], {"L1": photograph[200:, 200:]})
    sr = Landmark().super_resolve(scene, "L1")
    np.testing.assert_array_equal(sr, scene.bicubic())
    assert sr.shape == hr.shape


def test_lr_is_kept_and_bytes_are_the_same_again(photograph):
    making = PAPER_MAKING._replace(kernel="matlab")
    hr, scene = scene_of(photograph[:256, 100:356], {"L1": photograph[10:400, 60:460]}, making)
    sr = Landmark().super_resolve(scene, "L1")
    assert not np.array_equal(sr, scene.bicubic())
    small = make_lr(sr, making).astype(float)
    assert np.abs(small - scene.lr).mean() < 0.7
    again = Scene(scene.lr, scene.references, making=making)
    np.testing.assert_array_equal(Landmark().super_resolve(again, "L1"), sr)
    pillow = Scene(scene.lr, scene.references)
    assert Landmark().identity(scene, "L1") != Landmark().identity(pillow, "L1")
    assert hr.shape == sr.shape
