import csv
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srntt_pipeline.albums.manifest import make_manifest, read_manifests
from srntt_pipeline.albums.stats import manifest_stats, stats, union_area
from srntt_pipeline.errors import InputError

BOX = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 12))


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@given(st.lists(BOX, min_size=1, max_size=6))
def test_area_of_a_union_is_that_of_its_pixels(boxes):
    pixels = {(x + i, y + j) for x, y, side in boxes for i in range(side) for j in range(side)}
    assert union_area(boxes) == len(pixels)


@pytest.fixture(scope="module")
def told(original, tmp_path_factory):
    """The text, and the rows of the CSV."""
    path = tmp_path_factory.mktemp("stats") / "stats.csv"
    return manifest_stats(original / "manifests", path), rows(path)


def test_numbers_of_levels_are_those_of_the_tables(told, original):
    train = rows(original / "manifests" / "train.csv")
    test = rows(original / "manifests" / "test.csv")
    lines = {line["level"]: line for line in told[1] if line["by"] == "level"}
    assert set(lines) == {"L1", "L2"}
    for level, line in lines.items():
        pairs = [row for row in train if row["level"] == level]
        refs = [row for row in test if row["level"] == level]
        assert (int(line["train_pairs"]), int(line["test_references"])) == (len(pairs), len(refs))
        matches = [int(row["matches"]) for row in [*pairs, *refs]]
        assert float(line["matches_mean"]) == pytest.approx(statistics.mean(matches))
        assert float(line["matches_median"]) == statistics.median(matches)


def test_coverage_is_that_of_masks(told, original):
    masks, crops = {}, 0
    for row in rows(original / "manifests" / "train.csv"):
        for side in ("hr", "ref"):
            x, y = int(row[f"{side}_x_px"]), int(row[f"{side}_y_px"])
            mask = masks.setdefault((row["album"], row[f"{side}_photo"]), np.zeros((160, 160), int))
            mask[y : y + 64, x : x + 64] = 1
            crops += 1
    (line,) = [line for line in told[1] if line["by"] == "all"]
    assert (int(line["photos"]), int(line["crops"])) == (len(masks), crops)
    assert float(line["crops_per_photo"]) == pytest.approx(crops / len(masks))
    area = sum(int(mask.sum()) for mask in masks.values())
    assert float(line["distinct_area"]) == pytest.approx(area / (crops * 64 * 64))


def test_an_album_of_two_events_counts_for_each(told, original):
    train = rows(original / "manifests" / "train.csv")
    test = [row for row in rows(original / "manifests" / "test.csv") if row["k"] != "0"]
    expected = {}
    for row in train + test:
        for event in row["event"].split("; ") if row["event"] else ["unknown"]:
            expected[event] = expected.get(event, 0) + 1
    lines = [line for line in told[1] if line["by"] == "event"]
    counted = {
        line["event"]: int(line["train_pairs"]) + int(line["test_references"]) for line in lines
    }
    assert counted == expected
    assert len(counted) > 1
    by_both = [line for line in told[1] if line["by"] == "event and level"]
    for event, number in expected.items():
        of = [line for line in by_both if line["event"] == event]
        assert sum(int(o["train_pairs"]) + int(o["test_references"]) for o in of) == number


def test_albums_of_tests_have_no_crops(told, original):
    lines = {line["album"]: line for line in told[1] if line["by"] == "album"}
    assert set(lines) == {
        row["album"]
        for table in ("train.csv", "test.csv")
        for row in rows(original / "manifests" / table)
    }
    test_albums = {row["album"] for row in rows(original / "manifests" / "test.csv")}
    for album, line in lines.items():
        assert (line["crops"] == "0") == (album in test_albums)
        assert (line["distinct_area"] == "") == (album in test_albums)


def test_the_text_has_a_block_for_each(told):
    for head in ("In all", "By level", "By event", "By event and level", "By album"):
        assert f"{head}\n" in told[0]
    assert "images/0_cat@N01" in told[0]


@pytest.mark.parametrize("kept", ["train", "test", "nothing"])
def test_a_manifest_may_lack_training_pairs_or_groups(original, kept):
    old = read_manifests(original)
    train, test = (old.train if kept == "train" else []), (old.test if kept == "test" else [])
    table = stats(make_manifest(train, test, [], old.origin))
    whole = table[table["by"] == "all"]
    refs = sum(row.k > 0 for row in test)
    assert whole[["train_pairs", "test_references"]].to_numpy().tolist() == (
        [] if kept == "nothing" else [[len(train), refs]]
    )


def test_a_folder_is_no_file_to_write(original, tmp_path):
    with pytest.raises(InputError, match=r"give a file name that ends in \.csv"):
        manifest_stats(original, tmp_path)
