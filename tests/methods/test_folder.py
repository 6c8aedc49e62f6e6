"""Images made elsewhere: found by name and reference, checked, never silently left out."""

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.errors import InputError
from srntt_pipeline.methods import CannotRun, Scene
from srntt_pipeline.methods.folder import ImagesOfFolder


@pytest.fixture
def scene():
    return Scene(np.zeros((5, 7, 3), np.uint8), {}, name="001")


def image(path, size=(28, 20), colour=(9, 8, 7)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.mark.parametrize("name", ["001.png", "001_0.png", "001.bmp"])
def test_an_image_is_found_by_the_name_of_its_group_or_hr(tmp_path, scene, name):
    image(tmp_path / name)
    method = ImagesOfFolder("Theirs", tmp_path)
    assert method.takes("none")
    assert not method.takes("L1")
    sr = method.super_resolve(scene, "none")
    assert sr.shape == (20, 28, 3)
    assert (sr == (9, 8, 7)).all()


def test_sub_folders_are_references(tmp_path, scene):
    for number, folder in enumerate(
        ("L1", "l2", "all", "hr-warp", "HR (warp) x", "LR", "Stitched-MASA", "paper-all")
    ):
        image(tmp_path / folder / "001.png", colour=(number, 0, 0))
    method = ImagesOfFolder("Theirs", tmp_path)
    known = (
        "none", "HR (warp)", "L1", "L2", "L3", "LR", "all", "paper-all", "stitched-masa", "best",
    )  # fmt: skip
    taken = [reference for reference in known if method.takes(reference)]
    assert taken == ["HR (warp)", "L1", "L2", "LR", "all", "paper-all", "stitched-masa"]
    values = [method.super_resolve(scene, r)[0, 0, 0] for r in taken]
    assert values == [3, 0, 1, 5, 2, 7, 6]


def test_an_image_that_is_exchanged_is_another(tmp_path, scene):
    method = ImagesOfFolder("Theirs", tmp_path)
    image(tmp_path / "001.png")
    before = method.identity(scene, "none")
    image(tmp_path / "001.png", colour=(1, 1, 1))
    assert method.identity(scene, "none") != before


def test_what_is_missing_or_of_another_size_is_told(tmp_path, scene):
    image(tmp_path / "001.png", size=(29, 20))
    method = ImagesOfFolder("Theirs", tmp_path)
    with pytest.raises(CannotRun, match=r"001\.png is 29×20 px, not 28×20 as HR cut to"):
        method.super_resolve(scene, "none")
    other = Scene(scene.lr, name="002")
    for call in (method.identity, method.super_resolve):
        with pytest.raises(CannotRun, match="has no 002 for the reference none"):
            call(other, "none")
    (tmp_path / "001.png").write_bytes(b"no image")
    with pytest.raises(CannotRun, match=r"001\.png"):
        method.super_resolve(scene, "none")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no images"):
        ImagesOfFolder("Theirs", tmp_path).notes("cpu")
