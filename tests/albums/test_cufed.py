import json
import shutil

import pytest

from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.cufed import Labels, read_labels
from srntt_pipeline.albums.manifest_rows import TestRow, TrainRow, read_manifest
from srntt_pipeline.errors import InputError


def test_labels_of_a_tree_as_distributed(cufed):
    labels = read_labels(cufed)
    assert labels.event("images/0_cat@N01") == "Birthday; PersonalSports"
    assert labels.event("images/1_coffee@N02") == "Wedding"
    assert labels.event("images/2_t@N03") == ""
    assert labels.importance("images/0_cat@N01", "00.jpg") == -0.5
    assert labels.importance("images/0_cat@N01", "03.jpg") == 0.25
    assert labels.importance("images/0_cat@N01", "99.jpg") is None
    assert labels.importance("images/2_t@N03", "00.jpg") is None


def test_labels_are_found_from_the_folder_of_images_too(cufed):
    assert read_labels(cufed / "images") == read_labels(cufed)


def test_own_labels_beat_those_of_the_folder_around(cufed, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "event_type.json").write_text('{"a": ["Zoo"]}')
    (tmp_path / "photos" / "event_type.json").write_text('{"a": ["Museum", "Museum"]}')
    assert read_labels(tmp_path / "photos").event("a") == "Museum"


def test_albums_without_labels_have_none(tmp_path):
    assert read_labels(tmp_path) == Labels()
    assert (Labels().event("a"), Labels().importance("a", "b.jpg")) == ("", None)


@pytest.mark.parametrize(
    "row",
    [
        ["x", "a/12_3.4", 1.5],
        ["a/12_3.4", 1.5],
        [7, "12_3.4", 1.5],
        ["x", "a/12_3.4.jpg", 1.5],
    ],
    ids=["three items", "two items", "no album", "with suffix"],
)
def test_rows_of_importance_in_the_forms_that_occur(tmp_path, row):
    (tmp_path / "image_importance.json").write_text(json.dumps({"a": [row]}))
    assert read_labels(tmp_path).importance("images/a", "12_3.4.jpg") == 1.5


@pytest.mark.parametrize("name", ["event_type.json", "image_importance.json"])
@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", '{"a": 7}', '{"a": "Zoo"}', '{"a": [7]}', '{"a": [["a/b"]]}',
     '{"a": [["x", "a/b", "high"]]}', '{"a": [["x", "a/b", NaN]]}', '{"a": [["x", 3, 1]]}',
     '{"a": [["x", "a/b", true]]}', '{"a": null}'],
)  # fmt: skip
def test_other_content_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_labels(tmp_path)
    assert str(path) in str(error.value)
    assert "remove it" in str(error.value)


def test_manifest_tells_events_and_importance(cufed, original):
    """Against the JSON files themselves."""
    events = json.loads((cufed / "event_type.json").read_text())
    scores = {
        photo: score
        for rows in json.loads((cufed / "image_importance.json").read_text()).values()
        for _, photo, score in rows
    }
    train = read_manifest(TrainRow, original / "manifests" / "train.csv")
    test = read_manifest(TestRow, original / "manifests" / "test.csv")
    assert len({row.event for row in [*train, *test]}) > 1
    for row in [*train, *test]:
        album = row.album.split("/")[1]
        assert row.album.split("/")[0] == "images"
        assert row.event == "; ".join(sorted(events.get(album, [])))
        photo, told = (
            (row.photo, row.importance)
            if isinstance(row, TestRow)
            else (row.hr_photo, row.hr_importance)
        )
        assert told == scores.get(f"{album}/{photo.removesuffix('.jpg')}")


def test_labels_change_nothing_but_their_columns(cufed, original, build_params, copy_of, tmp_path):
    bare = copy_of(cufed)
    for path in bare.glob("*.json"):
        path.unlink()
    shutil.copytree(original, tmp_path / "out")
    build_cufed5(bare, tmp_path / "out", build_params, workers=1)
    for file in (original / "train").rglob("*.png"):
        assert (tmp_path / "out" / file.relative_to(original)).read_bytes() == file.read_bytes()
