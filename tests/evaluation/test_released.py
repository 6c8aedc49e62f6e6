import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.released import identify, known_images, pixels_sha256
from srntt_pipeline.images import read_rgb
from srntt_pipeline.layout import EvaluationSet, Group, read_test_set


def plain(folder, *names):
    folder.mkdir(parents=True)
    for name in names:
        Image.new("RGB", (20, 16), (9, 9, 9)).save(folder / f"{name}.png")
    return folder


def known(shared, dataset):
    """Return the folder in shared with images of a data set, and the suffix of their names."""
    cufed = shared / "data" / "cufed" / "test" / "CUFED5"
    return (cufed, "_0.png") if dataset == "CUFED5" else (shared / "data" / dataset.lower(), ".png")


@pytest.mark.parametrize("dataset", ["CUFED5", "Sun80", "Urban100"])
def test_the_hashes_are_those_of_the_released_images(shared, dataset):
    folder, suffix = known(shared, dataset)
    assert known_images()[dataset]
    for name, sha256 in known_images()[dataset].items():
        assert pixels_sha256(read_rgb(folder / f"{name}{suffix}", grey=True)) == sha256


def test_the_hash_is_of_pixels_and_size_not_of_the_file(tmp_path):
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert pixels_sha256(image) == pixels_sha256(image.copy())
    assert pixels_sha256(image) != pixels_sha256(image.reshape(6, 4, 3))
    assert pixels_sha256(image) != pixels_sha256(image[::-1])


@pytest.mark.parametrize("dataset", ["CUFED5", "Sun80", "Urban100"])
def test_released_images_are_recognised_by_their_pixels(shared, tmp_path, dataset):
    folder, suffix = known(shared, dataset)
    name = next(iter(known_images()[dataset]))
    plain(tmp_path / "anything", "zz_other")
    path = tmp_path / "anything" / f"{name}.png"
    Image.open(folder / f"{name}{suffix}").save(path, compress_level=1)
    groups = (Group(name, path, {}), Group("zz", tmp_path / "anything" / "zz_other.png", {}))
    assert identify(EvaluationSet("anything", groups)) == (dataset, None)
    assert identify(EvaluationSet("anything", groups), dataset) == (dataset, None)
    other = "Sun80" if dataset != "Sun80" else "CUFED5"
    with pytest.raises(InputError, match=f"released images of {dataset}, not of {other}"):
        identify(EvaluationSet("anything", groups), other)


@pytest.mark.parametrize("name", ["CUFED5", "cufed5", "Urban100", "sun80"])
def test_a_name_alone_is_not_enough(tmp_path, name):
    found, note = identify(read_test_set(plain(tmp_path / name, "a", "b")))
    assert found.lower() == f"{name.lower()} (own)"
    assert f"--released {found.removesuffix(' (own)')}" in note


def test_an_image_of_a_known_name_with_other_pixels_is_another(tmp_path):
    test_set = read_test_set(plain(tmp_path / "Urban100", "img_001"))
    assert identify(test_set)[0] == "Urban100 (own)"
    found, note = identify(test_set, "Urban100")
    assert found == "Urban100"
    assert note.endswith("as evaluate.released states, although img_001 has other pixels than the "
                         "one known.")  # fmt: skip


def test_what_is_stated_is_taken_and_told(tmp_path):
    test_set = read_test_set(plain(tmp_path / "mine", "a"))
    assert identify(test_set) == ("mine", None)
    assert identify(test_set, "Sun80") == (
        "Sun80", "Taken as the released images of Sun80, as evaluate.released states.",
    )  # fmt: skip


def test_one_image_more_than_were_released_is_another_set(shared, tmp_path):
    folder, suffix = known(shared, "Sun80")
    hr = folder / f"img_001_SRF_8_HR{suffix}"
    groups = [Group(hr.stem, hr, {}), *(Group(f"x{i}", hr, {}) for i in range(79))]
    assert identify(EvaluationSet("x", tuple(groups)))[0] == "Sun80"
    groups.append(Group("y", hr, {}))
    assert identify(EvaluationSet("x", tuple(groups)))[0] == "x"


def test_a_known_image_that_cannot_be_read_proves_nothing(tmp_path):
    folder = plain(tmp_path / "Urban100", "img_012")
    (folder / "img_001.png").write_bytes(b"no image")
    groups = tuple(Group(name, folder / f"{name}.png", {}) for name in ("img_001", "zz"))
    assert identify(EvaluationSet("Urban100", groups))[0] == "Urban100 (own)"
