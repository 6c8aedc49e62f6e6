import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from srntt_pipeline.albums.near_duplicates import find_near_duplicates, hamming
from srntt_pipeline.albums.survey import CountedAlbum
from srntt_pipeline.config import BuildParams

PARAMS = BuildParams(long_side_px=256, crop_px=64)


@pytest.fixture
def count(tmp_path, count_folder):
    return lambda name: count_folder(tmp_path / name, PARAMS, tmp_path)


@pytest.fixture
def albums(tmp_path, photograph, count):
    """A test album of one view; a training album of copies of it, and of other views."""
    view = Image.fromarray(photograph[:256, 100:356])
    for name in ("test", "training"):
        (tmp_path / name).mkdir()
    view.save(tmp_path / "test" / "original.png")
    training = tmp_path / "training"
    view.save(training / "recompressed.jpg", quality=40)
    view.resize((192, 192), Image.Resampling.LANCZOS).save(training / "smaller.png")
    Image.fromarray((np.asarray(view) * 0.8).astype(np.uint8)).save(training / "darker.png")
    Image.fromarray(photograph[250:506, 250:506]).save(training / "elsewhere.png")
    for turn in Image.Transpose:
        view.transpose(turn).save(training / f"{turn.name.lower()}.jpg", quality=85)
    return count("test"), count("training")


def find(test, training, workers=1, **changes):
    params = BuildParams(**(PARAMS.model_dump() | changes))
    photos = [(test, photo) for photo in test.index().photos]
    return find_near_duplicates(photos, [training], params, workers)


UPRIGHT = ["darker.png", "recompressed.jpg", "smaller.png"]
TURNED = [f"{turn.name.lower()}.jpg" for turn in Image.Transpose]


def test_copies_are_found_and_other_views_are_not(albums):
    found = find(*albums)
    assert [leak.photo for leak in found] == sorted(UPRIGHT + TURNED)
    for leak in found:
        assert (leak.album, leak.test_album, leak.test_photo) == (
            "training", "test", "original.png",
        )  # fmt: skip
        assert leak.bits <= 16
        assert 0.3 <= leak.share <= 1
        assert "near-duplicate of test photo test/original.png" in str(leak)
        flipped = "flip" in leak.photo or leak.photo.startswith("trans")
        assert leak.mirrored == flipped
        assert ("mirrored" in str(leak)) == flipped
        assert ("turned" in str(leak)) == leak.photo.startswith("rotate")


def test_matches_decide_among_photos_of_near_hashes(albums):
    assert find(*albums, near_duplicate_bits=64, near_duplicate_share=1.0) == []
    by_matches = {leak.photo for leak in find(*albums, near_duplicate_bits=64)}
    assert by_matches >= {"darker.png", "recompressed.jpg", "smaller.png"}
    assert "elsewhere.png" not in by_matches


def test_hash_decides_which_photos_are_compared(albums):
    bits = [leak.bits for leak in find(*albums)]
    assert len(find(*albums, near_duplicate_bits=max(bits) - 1)) < len(bits)


def test_unused_photos_are_passed_over(albums):
    test, training = albums
    unused = frozenset({"darker.png", "smaller.png"})
    training = CountedAlbum(training.name, training.features, training.counts, unused)
    found = [leak.photo for leak in find(test, training)]
    assert found == sorted(["recompressed.jpg", *TURNED])


def test_workers_change_nothing(albums):
    assert find(*albums, workers=2) == find(*albums)


def test_without_test_photos_there_are_none(albums):
    assert find_near_duplicates([], [albums[1]], PARAMS, 1) == []


def test_an_album_without_usable_photos_has_none(albums):
    test, training = albums
    unused = frozenset(photo.name for photo in training.index().photos)
    assert find(test, CountedAlbum("training", training.features, training.counts, unused)) == []


HASHES = npst.arrays(np.uint8, st.tuples(st.integers(0, 5), st.just(8)))


@given(HASHES, HASHES)
def test_hamming_distance_is_the_number_of_bits(a, b):
    expected = [
        [
            (int.from_bytes(x.tobytes(), "big") ^ int.from_bytes(y.tobytes(), "big")).bit_count()
            for y in b
        ]
        for x in a
    ]
    assert hamming(a, b).tolist() == expected or not a.size or not b.size
    assert hamming(a, b).shape == (len(a), len(b))
