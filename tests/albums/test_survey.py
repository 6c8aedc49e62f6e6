import shutil
from collections import Counter

import numpy as np
import pytest

from srntt_pipeline.albums.counts import read_counts
from srntt_pipeline.albums.levels import levels_by_bands, levels_by_quantiles
from srntt_pipeline.albums.survey import count_histogram, survey
from srntt_pipeline.config import BuildParams

PARAMS = BuildParams(long_side_px=160, crop_px=64, levels=2, bands=(20, 5))


@pytest.fixture
def count(tmp_path, count_folder):
    """Extract and count the photos in a folder."""
    return lambda name: count_folder(tmp_path / name, PARAMS, tmp_path)


def pairs_of(album):
    """The ordered pairs of an album: the places of HR, and match counts."""
    names = [photo.name for photo in album.index().photos]
    hr, ref = np.nonzero(~np.eye(len(names), dtype=bool))
    return hr, read_counts(album.counts, names)[hr, ref]


@pytest.fixture
def collection(tmp_path, save_view, count):
    for i in range(4):
        save_view(tmp_path / "a" / f"{i}.png", x=25 * i)
    for i in range(3):
        save_view(tmp_path / "b" / f"{i}.png", x=100 + 50 * i)
    (tmp_path / "b" / "none.png").touch()
    return [count("a"), count("b")]


@pytest.mark.parametrize("by", ["bands", "quantiles"])
def test_numbers_are_those_of_the_pairs(collection, by):
    params = PARAMS.model_copy(update={"levels_by": by})
    found = survey(collection, params)
    assert found.photos.tolist() == [4, 3]
    for row, album in enumerate(collection):
        hr, counts = pairs_of(album)
        levels = (
            levels_by_bands(counts, (20, 5)) if by == "bands" else levels_by_quantiles(counts, 2)
        )
        expected = Counter(levels.tolist())
        assert found.pairs[row].tolist() == [expected[k] for k in range(3)]
        complete = [
            photo for photo in range(found.photos[row]) if {1, 2} <= set(levels[hr == photo])
        ]
        assert found.complete[row] == len(complete)


def test_histogram_holds_every_pair_at_its_level_and_count(collection):
    found = survey(collection, PARAMS)
    pairs = Counter()
    for album in collection:
        for matches in pairs_of(album)[1]:
            pairs[1 if matches >= 20 else 2 if matches >= 5 else 0, matches] += 1
    places = {(k, n): int(found.histogram[k, n]) for k, n in np.argwhere(found.histogram)}
    assert places == pairs
    np.testing.assert_array_equal(count_histogram(collection, PARAMS), found.histogram)


def test_rejected_photos_of_all_albums_are_listed(collection):
    (row,) = survey(collection, PARAMS).rejected
    assert (row.album, row.photo) == ("b", "none.png")


def test_copies_are_used_once(tmp_path, collection, count):
    shutil.copy(tmp_path / "a" / "1.png", tmp_path / "b" / "copy.png")
    shutil.copy(tmp_path / "a" / "1.png", tmp_path / "a" / "9.png")
    found = survey([count("a"), count("b")], PARAMS)
    assert found.photos.tolist() == [4, 3]
    assert [album.unused for album in found.albums] == [{"9.png"}, {"copy.png"}]
    reasons = {(row.album, row.photo): row.reason for row in found.rejected}
    assert reasons["a", "9.png"] == reasons["b", "copy.png"] == "the same file as a/1.png"
    for album in found.albums:
        pairs = album.pairs(PARAMS)
        assert set(pairs.names).isdisjoint(album.unused)
        assert pairs.matches.shape == pairs.level.shape == (len(pairs.names),) * 2


def test_photo_left_alone_is_rejected(tmp_path, save_view, count):
    save_view(tmp_path / "a" / "1.png")
    save_view(tmp_path / "b" / "1.png", x=50)
    shutil.copy(tmp_path / "a" / "1.png", tmp_path / "b" / "2.png")
    found = survey([count("a"), count("b")], PARAMS)
    assert not found.pairs.any()
    assert [row.reason.split(":")[0] for row in found.rejected] == [
        "the album's only usable photo",
        "the same file as a/1.png",
        "the album's only usable photo",
    ]


def test_empty_collection_is_no_error():
    found = survey([], PARAMS)
    assert found.pairs.shape == (0, 3)
    assert not found.histogram.any()
