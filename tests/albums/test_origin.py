import json

import cv2
import PIL
import pytest

from srntt_pipeline.albums.manifest import read_manifests
from srntt_pipeline.albums.origin import origin_of, read_origin
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError


@pytest.fixture
def origin_file(original, copy_of):
    return copy_of(original / "manifests") / "origin.json"


def test_origin_says_how_the_data_set_was_made(original, build_params):
    origin = read_origin(original / "manifests")
    assert origin.params == build_params
    assert origin.level_bands is None
    assert origin.versions["opencv"] == cv2.__version__
    assert origin.versions["pillow"] == PIL.__version__
    assert (origin.counts.albums, origin.counts.photos) == (3, 15)
    assert origin.counts.photo_pairs == 3 * 5 * 4
    levels = origin.counts.photo_pairs_per_level
    assert sum(levels.values()) + origin.counts.photo_pairs_without_level == 60
    assert origin.rebuilt_from is None


def test_thresholds_in_effect_are_told_where_they_are_defaults():
    origin = origin_of(
        name="a", params=BuildParams(), photos={"x": 3, "y": 0}, pairs_per_level=[5, 2, 0, 1, 0],
        test_albums=["x"], near_duplicates=["y/1: near"], profiles={}, warnings=["few"],
    )  # fmt: skip
    assert origin.level_bands == {"L1": 160, "L2": 80, "L3": 40, "L4": 20}
    assert origin.counts.photo_pairs_per_level == {"L1": 2, "L2": 0, "L3": 1, "L4": 0}
    assert (origin.counts.photo_pairs, origin.counts.photo_pairs_without_level) == (8, 5)
    assert (origin.counts.albums, origin.counts.photos) == (2, 3)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"params": {"ratio": 3}}, "params.ratio"),
        ({"params": {"what": 3}}, "params.what"),
        ({"name": 7}, "name"),
        ({"sha256": {"train.csv": "abc"}}, "sha256.train.csv"),
        ({"counts": None}, "counts"),
        ({"further": 1}, "further"),
    ],
)
def test_an_origin_that_does_not_fit_is_refused_with_the_key(origin_file, change, named):
    origin_file.write_text(json.dumps(json.loads(origin_file.read_text()) | change))
    with pytest.raises(InputError) as error:
        read_origin(origin_file.parent)
    assert str(error.value).startswith(f"{origin_file}: not a manifest's origin ({named}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "[]", "7", "{}", "{"])
def test_other_content_is_no_origin(origin_file, content):
    origin_file.write_text(content)
    with pytest.raises(InputError) as error:
        read_origin(origin_file.parent)
    assert str(origin_file) in str(error.value)


@pytest.mark.parametrize("table", ["train.csv", "test.csv", "rejected.csv"])
def test_a_table_with_other_line_ends_is_not_vouched_for(origin_file, table):
    path = origin_file.with_name(table)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(InputError, match=rf"{table} is not the table .* line ends"):
        read_manifests(origin_file.parent)


def test_a_table_that_is_not_there_is_named(origin_file):
    origin_file.with_name("test.csv").unlink()
    with pytest.raises(InputError, match=r"test\.csv is missing"):
        read_manifests(origin_file.parent)


def test_a_data_set_stands_for_its_manifest(original):
    assert read_manifests(original) == read_manifests(original / "manifests")
