import hashlib
import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.albums.photos import Album, PhotoChecks, find_albums, read_photo
from srntt_pipeline.errors import InputError, UnusableImage

CHECKS = PhotoChecks(long_side_px=80, min_side_px=16, max_megapixels=1)


@pytest.fixture
def touch(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return make


def found(root):
    return {album.name: album.photos for album in find_albums(root)[0]}


# Finding albums


def test_each_folder_of_photos_is_an_album(tmp_path, touch):
    touch("lund/b.jpg", "lund/a.JPG", "berlin/1.png", "berlin/2.webp", "berlin/3.TIFF")
    assert found(tmp_path) == {
        "berlin": ("1.png", "2.webp", "3.TIFF"),
        "lund": ("a.JPG", "b.jpg"),
    }


def test_nested_albums_are_named_by_their_path(tmp_path, touch):
    touch("2012/summer/a.jpg", "2012/winter/a.jpg", "2012/winter/best/b.jpg")
    assert list(found(tmp_path)) == ["2012/summer", "2012/winter", "2012/winter/best"]


def test_albums_know_their_folder(tmp_path, touch):
    touch("2012/summer/a.jpg")
    (album,), _ = find_albums(tmp_path)
    assert album.folder == tmp_path / "2012" / "summer"


def test_folder_of_photos_is_itself_an_album(tmp_path, touch):
    touch("lund/a.jpg", "lund/b.jpg")
    assert found(tmp_path / "lund") == {"lund": ("a.jpg", "b.jpg")}


def test_current_folder_as_an_album_has_a_name(tmp_path, touch, monkeypatch):
    touch("lund/a.jpg")
    monkeypatch.chdir(tmp_path / "lund")
    assert list(found(type(tmp_path)("."))) == ["lund"]


def test_folder_and_subfolder_of_one_name_are_two_albums(tmp_path, touch):
    """Their features are kept by name: one name for two would mix them up."""
    touch("lund/a.jpg", "lund/lund/b.jpg")
    albums, _ = find_albums(tmp_path / "lund")
    assert len(albums) == 2
    assert len({album.name for album in albums}) == 2


def test_hidden_files_and_folders_are_passed_over(tmp_path, touch):
    touch("lund/a.jpg", "lund/.a.jpg", ".trash/b.jpg", "lund/.thumbnails/a.jpg")
    albums, rejected = find_albums(tmp_path)
    assert [(album.name, album.photos) for album in albums] == [("lund", ("a.jpg",))]
    assert rejected == []


def test_file_of_another_type_is_rejected_by_name(tmp_path, touch):
    touch("lund/a.jpg", "lund/film.mp4", "lund/raw.CR2", "lund/Makefile")
    _, rejected = find_albums(tmp_path)
    assert {(row.album, row.photo): row.reason for row in rejected} == {
        ("lund", "Makefile"): "not a photo's file type (no suffix)",
        ("lund", "film.mp4"): "not a photo's file type (.mp4)",
        ("lund", "raw.CR2"): "not a photo's file type (.cr2)",
    }


def test_name_that_is_not_utf8_is_rejected(tmp_path, touch):
    touch("lund/a.jpg")
    (tmp_path / "lund" / os.fsdecode(b"b\xff.jpg")).touch()
    albums, (row,) = find_albums(tmp_path)
    assert albums[0].photos == ("a.jpg",)
    assert row.photo == "b�.jpg"
    assert row.reason == "the name is not valid UTF-8; rename it"


def test_album_name_that_is_not_utf8_is_rejected(tmp_path, touch):
    touch("lund/a.jpg")
    folder = tmp_path / os.fsdecode(b"m\xfcnchen")
    folder.mkdir()
    (folder / "a.jpg").touch()
    albums, (row,) = find_albums(tmp_path)
    assert [album.name for album in albums] == ["lund"]
    assert (row.album, row.photo) == ("m�nchen", "a.jpg")


def test_folder_named_like_a_photo_is_no_photo(tmp_path, touch):
    touch("lund/a.jpg", "lund/b.jpg/c.jpg")
    assert found(tmp_path) == {"lund": ("a.jpg",), "lund/b.jpg": ("c.jpg",)}


def test_linked_album_is_an_album_and_a_linked_circle_ends(tmp_path, touch):
    touch("elsewhere/a.jpg", "albums/lund/b.jpg")
    (tmp_path / "albums" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "albums" / "lund" / "circle").symlink_to(tmp_path / "albums")
    assert found(tmp_path / "albums") == {"linked": ("a.jpg",), "lund": ("b.jpg",)}


@pytest.mark.parametrize("names", [[], ["lund/readme.txt"], [".hidden/a.jpg"]])
def test_no_albums_is_an_error_that_says_what_is_expected(tmp_path, touch, names):
    touch(*names)
    with pytest.raises(InputError) as error:
        find_albums(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}: no albums found; put each album's photos in")
    assert ".jpg" in str(error.value)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"albums: no such folder"):
        find_albums(tmp_path / "albums")


def test_file_instead_of_a_folder_is_named(tmp_path, touch):
    touch("a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg: no such folder"):
        find_albums(tmp_path / "a.jpg")


def test_real_albums_are_found_whole(real_albums):
    assert {name: len(photos) for name, photos in found(real_albums).items()} == {
        "berlin": 3,
        "lund": 29,
        "sceaux_castle": 11,
    }


# Slugs


def slug(name, tmp_path):
    return Album(name, tmp_path, ()).slug


def test_slug_is_readable_and_safe_for_files(tmp_path):
    assert slug("0_7595161@N07", tmp_path).startswith("0_7595161@N07-")
    for name in ("2012/Fête à Lund", "a b", "..", "x" * 500, "写真"):
        assert "/" not in slug(name, tmp_path)
        assert slug(name, tmp_path).isascii()
        assert len(slug(name, tmp_path)) < 60


def test_names_that_differ_by_odd_letters_have_slugs_of_their_own(tmp_path):
    accent = "Fête"
    names = ["a/b", "a_b", "a b", "写真", "冩真", accent, unicodedata.normalize("NFD", accent)]
    assert len({slug(name, tmp_path) for name in names}) == len(names)


# Reading photos


def test_photo_is_read_at_working_size_with_its_hash(tmp_path, photograph):
    Image.fromarray(photograph[:120, :160]).save(tmp_path / "a.png")
    photo, digest = read_photo(tmp_path / "a.png", CHECKS)
    reference = Image.open(tmp_path / "a.png").resize((80, 60), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(photo, np.asarray(reference))
    assert digest == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()


def test_small_photo_is_not_enlarged(tmp_path, photograph):
    Image.fromarray(photograph[:20, :30]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png", CHECKS)[0], photograph[:20, :30])


@pytest.mark.parametrize(
    ("height", "width", "reason"),
    [
        (15, 40, "too small: 40×15 px, 16 px needed on the short side"),
        (20, 200, "too narrow: 80×8 px once its long side is 80 px, 16 px needed on the short"),
        (1001, 1000, "1 megapixels, over the limit of 1"),
    ],
)
def test_photo_of_unfit_size_is_refused(tmp_path, height, width, reason):
    Image.new("RGB", (width, height)).save(tmp_path / "a.png")
    with pytest.raises(UnusableImage) as error:
        read_photo(tmp_path / "a.png", CHECKS)
    assert error.value.reason.startswith(reason)
