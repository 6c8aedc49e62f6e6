import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.degradation import Making
from srntt_pipeline.imresize import imresize
from srntt_pipeline.methods import Scene
from srntt_pipeline.methods.warp import warp_hr
from srntt_pipeline.seeds import generator

NAMES = (
    "none", "LR", "L1", "L4", "HR (warp)", "all", "stitched", "stitched-masa", "best",
)  # fmt: skip


@pytest.fixture
def hr(photograph):
    return photograph[100:140, 60:124]


@pytest.fixture
def scene(hr, photograph):
    lr = np.asarray(Image.fromarray(hr).resize((16, 10), Image.Resampling.BICUBIC))
    refs = {"L1": photograph[:33, :41], "L4": photograph[50:90, :20]}
    return Scene(lr, refs, name="007", hr=hr, seed=3)


def test_a_scene_has_its_levels_and_what_is_made_of_them(scene):
    for name in (*NAMES, "paper-all"):
        assert scene.has(name)
    assert not scene.has("L2")
    assert [image.shape for image in scene.images("all")] == [(33, 41, 3), (40, 20, 3)]
    assert scene.images("none") == []
    assert scene.images("LR")[0] is scene.lr
    assert scene.images("stitched")[0].shape == (500, 1000, 3)
    assert scene.images("stitched-masa")[0].shape == (1024, 512, 3)
    assert scene.levels("all") == scene.levels("paper-all") == ["L1", "L4"]


def test_the_papers_references_are_the_first_four(scene, photograph):
    refs = {f"L{k}": photograph[: 30 + k, :40] for k in range(1, 6)}
    five = Scene(scene.lr, refs)
    assert [image.shape[0] for image in five.images("all")] == [31, 32, 33, 34, 35]
    assert [image.shape[0] for image in five.images("paper-all")] == [31, 32, 33, 34]
    assert five.made_from("paper-all") == Scene(scene.lr, dict([*refs.items()][:4])).made_from(
        "all"
    )
    assert five.made_from("paper-all") != five.made_from("all")
    assert not Scene(scene.lr, {"L5": refs["L5"]}).has("paper-all")


def test_without_references_or_hr_there_are_fewer(scene):
    alone = Scene(scene.lr)
    assert [name for name in (*NAMES, "paper-all") if alone.has(name)] == ["none", "LR"]


def test_hr_is_moved_by_the_seed_and_the_name(scene, hr):
    expected = warp_hr(hr, generator(3, "HR (warp)", "007"))
    assert np.array_equal(scene.images("HR (warp)")[0], expected)


def test_what_a_picture_is_made_from_tells_images_apart(scene, hr):
    names = NAMES
    assert len({scene.made_from(name) for name in names}) == len(names)
    other = Scene(255 - scene.lr, scene.references, name="007", hr=hr, seed=3)
    assert all(scene.made_from(name) != other.made_from(name) for name in names)
    again = Scene(scene.lr.copy(), dict(scene.references), name="007", hr=hr, seed=3)
    assert all(scene.made_from(name) == again.made_from(name) for name in names)


def test_bicubic_is_of_the_kernel_that_made_lr(scene):
    pillow = Image.fromarray(scene.lr).resize((64, 40), Image.Resampling.BICUBIC)
    assert np.array_equal(scene.bicubic(), np.asarray(pillow))
    for kernel, border in (("matlab", "mirror"), ("matlab-replicate", "replicate")):
        matlab = Scene(scene.lr, making=Making(kernel, 4))
        assert np.array_equal(matlab.bicubic(), imresize(scene.lr, 40, 64, border))


def test_what_is_shared_is_made_once_and_of_a_large_kind_the_last_is_kept(scene):
    made = []

    def make(value):
        return lambda: made.append(value) or value

    assert [scene.share("a", make(1)), scene.share("a", make(2))] == [1, 1]
    assert [scene.share_last("maps", key, make(key)) for key in ("b", "b", "c", "b")] == [
        "b", "b", "c", "b",
    ]  # fmt: skip
    assert made == [1, "b", "c", "b"]
