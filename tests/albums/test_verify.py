import csv
import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.albums.verify import verify
from srntt_pipeline.errors import InputError


@pytest.fixture
def dataset(original, copy_of):
    return copy_of(original)


@pytest.fixture
def findings():
    """Verify; return the findings, none when all is well."""

    def run(path, albums=None, workers=1):
        said, verdict = [], None
        try:
            verdict = verify(path, albums=albums, workers=workers, say=said.append)
        except InputError as error:
            verdict = str(error)
        expected = f"{path}: {len(said)} finding" if said else f"OK: {path}: 12 training pairs and"
        assert verdict.startswith(expected)
        return said

    return run


def edit(dataset, table, change, vouched=True):
    """Let `change` edit the rows of a table; `vouched`: origin.json is told."""
    path, origin = dataset / "manifests" / table, dataset / "manifests" / "origin.json"
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    columns = list(rows[0])
    change(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())
    if vouched:
        content = json.loads(origin.read_text())
        content["sha256"][table] = hashlib.sha256(path.read_bytes()).hexdigest()
        origin.write_text(json.dumps(content))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_data_set_as_built_is_well(original, cufed, findings, workers):
    assert findings(original, cufed, workers) == []
    assert findings(original, workers=workers) == []
    assert findings(original / "manifests") == []


# The manifest


@pytest.mark.parametrize("table", ["train.csv", "test.csv"])
def test_an_edited_table_is_told(dataset, findings, table):
    edit(dataset, table, lambda rows: rows.pop(), vouched=False)
    (finding,) = findings(dataset / "manifests")
    assert f"{table} is not the table" in finding


def test_a_table_that_does_not_parse_is_told_with_line_and_column(dataset, findings):
    edit(dataset, "train.csv", lambda rows: rows[3].update(hr_x_px="left"))
    (finding,) = findings(dataset)
    assert "train.csv: line 5" in finding
    assert "hr_x_px" in finding


def test_every_damaged_file_is_told(dataset, findings):
    for name in ("train.csv", "test.csv", "origin.json"):
        (dataset / "manifests" / name).write_text("nothing\n")
    told = findings(dataset)
    assert all(any(name in line for line in told) for name in ("train.csv", "test.csv", "origin"))


EDITS = {
    "two pairs are named 00000": (
        "train.csv",
        lambda rows: rows[1].update(name="00000"),
        "2 pairs are named 00000",
    ),
    "box": ("train.csv", lambda rows: rows[2].update(ref_x_px="97"), "00002: the Ref box at (97"),
    "own reference": (
        "train.csv",
        lambda rows: rows[2].update(ref_photo=rows[2]["hr_photo"]),
        "is its own reference",
    ),
    "missing reference": (
        "test.csv",
        lambda rows: rows.pop(),
        "group 001 has the images 0, 1; 0 to 2 make a group",
    ),
    "repeated image": (
        "test.csv",
        lambda rows: rows[2].update(k="1"),
        "group 000 has the images 0, 1, 1",
    ),
    "level": ("test.csv", lambda rows: rows[1].update(level="L2"), "image 1 has the level L2"),
    "no matches": ("test.csv", lambda rows: rows[1].update(matches=""), "image 1 has no matches"),
    "matches": ("test.csv", lambda rows: rows[0].update(matches="3"), "image 0 has 3 matches"),
    "two albums": (
        "test.csv",
        lambda rows: rows[1].update(album="images/9"),
        "group 000 is of more than one album",
    ),
    "photo twice": (
        "test.csv",
        lambda rows: rows[1].update(photo=rows[0]["photo"]),
        "group 000 has a photo twice",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_rows_that_disagree_are_told(dataset, findings, name):
    table, change, expected = EDITS[name]
    edit(dataset, table, change)
    told = findings(dataset / "manifests")
    assert any(expected in line and line.startswith(table) for line in told)


def test_a_test_album_in_training_is_told(dataset, findings):
    test_album = json.loads((dataset / "summary.json").read_text())["test_albums"][0]
    edit(dataset, "train.csv", lambda rows: rows[0].update(album=test_album))
    assert findings(dataset / "manifests") == [
        f"train.csv: the test album {test_album} is in training"
    ]


def test_a_test_photo_in_training_is_told_whatever_its_album(dataset, findings):
    text = (dataset / "manifests" / "test.csv").read_text()
    row = next(csv.DictReader(io.StringIO(text)))
    edit(dataset, "train.csv", lambda rows: rows[0].update(ref_sha256=row["sha256"]))
    (finding,) = findings(dataset / "manifests")
    assert finding.endswith(f"is the test photo {row['album']}/{row['photo']}")


def test_a_level_that_bands_would_not_give_is_told(dataset, findings):
    origin = dataset / "manifests" / "origin.json"
    content = json.loads(origin.read_text())
    content["level_bands"] = {"L1": 10**6, "L2": 0}
    origin.write_text(json.dumps(content))
    told = findings(dataset / "manifests")
    assert told
    assert all(line.endswith("matches are not of level L1") for line in told)


# Images


def test_missing_and_further_images_are_told(dataset, findings):
    (dataset / "train" / "ref" / "00003.png").unlink()
    (dataset / "test" / "CUFED5" / "000_1.png").rename(dataset / "test" / "CUFED5" / "007_0.png")
    told = findings(dataset)
    assert len(told) == 3
    for name, what in (("00003.png", "missing"), ("000_1.png", "missing"), ("007_0", "not in")):
        assert any(name in line and what in line for line in told)
    assert findings(dataset / "manifests") == []


def test_images_of_another_size_or_cut_short_are_told(dataset, findings):
    Image.new("RGB", (64, 60)).save(dataset / "train" / "input" / "00001.png")
    Image.new("RGB", (161, 60)).save(dataset / "test" / "CUFED5" / "001_2.png")
    short = dataset / "train" / "ref" / "00002.png"
    short.write_bytes(short.read_bytes()[:900])
    told = "\n".join(sorted(findings(dataset)))
    assert "001_2.png: 161×60 px; the manifest's photos have 160 at most" in told
    assert "00001.png: 64×60 px; the manifest says 64×64" in told
    assert "00002.png: corrupt or truncated" in told
    assert len(told.splitlines()) == 3


def test_one_wrong_pixel_is_told_with_the_photos_alone(dataset, cufed, findings):
    for path in (dataset / "train" / "ref" / "00004.png", dataset / "test/CUFED5/001_0.png"):
        pixels = np.array(Image.open(path))
        pixels[-1, -1, 2] ^= 1
        Image.fromarray(pixels).save(path)
    assert findings(dataset) == []
    told = findings(dataset, cufed)
    assert len(told) == 2
    assert all("not what the manifest cuts from" in line for line in told)
    assert {line.split(":")[0].split("/")[-1] for line in told} == {"00004.png", "001_0.png"}


# Photos


@pytest.mark.parametrize("images", [True, False])
def test_changed_and_missing_photos_are_told(original, cufed, copy_of, findings, images):
    photos = copy_of(cufed)
    text = (original / "manifests" / "train.csv").read_text()
    row = next(csv.DictReader(io.StringIO(text)))
    (photos / row["album"] / row["hr_photo"]).unlink()
    with (photos / row["album"] / row["ref_photo"]).open("ab") as file:
        file.write(b"\0")
    told = findings(original if images else original / "manifests", photos)
    assert len(told) == 2
    assert any(f"{row['hr_photo']}: missing (" in line for line in told)
    assert any(f"{row['ref_photo']}: changed (" in line for line in told)


def test_a_box_outside_its_photo_is_told(dataset, cufed, findings):
    """Photos are 160 px long, so only the photo itself tells that 96 px are too far down."""
    edit(dataset, "train.csv", lambda rows: rows[0].update(hr_y_px="96"))
    told = findings(dataset / "manifests", cufed)
    assert len(told) == 1
    assert "is not inside the photo" in told[0]


# What cannot be verified


def test_a_folder_without_a_manifest_is_refused(tmp_path, original, findings):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="no manifest"):
            verify(path, albums=None, workers=1, say=print)
    with pytest.raises(InputError, match="none: no such folder"):
        verify(original, albums=tmp_path / "none", workers=1, say=print)
