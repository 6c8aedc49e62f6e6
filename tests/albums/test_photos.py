import hashlib
import os
import socket
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from srntt_pipeline.albums.photos import Album, PhotoChecks, find_albums, read_photo, take_photo
from srntt_pipeline.colour import BROKEN, convert
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
    assert [(row.album, row.photo, row.reason) for row in rejected] == [
        (tmp_path.name, ".trash", "hidden: 1 photo in it passed over"),
        ("lund", ".thumbnails", "hidden: 1 photo in it passed over"),
    ]


def test_file_of_another_type_is_rejected_by_name(tmp_path, touch):
    touch("lund/a.jpg", "lund/film.mp4", "lund/raw.CR2", "lund/Makefile")
    _, rejected = find_albums(tmp_path)
    assert {(row.album, row.photo): row.reason for row in rejected} == {
        ("lund", "Makefile"): "not a photo's file type (no suffix)",
        ("lund", "film.mp4"): "not a photo's file type (.mp4)",
        ("lund", "raw.CR2"): "a camera's raw file: export it as JPEG or PNG (.cr2)",
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


def reasons(root):
    return {f"{row.album}/{row.photo}": row.reason for row in find_albums(root)[1]}


def save(path, kind="JPEG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, kind)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG", ".bmp"])
def test_folder_of_photos_of_rarer_suffixes_is_an_album(tmp_path, touch, suffix):
    touch(f"lund/a{suffix}", f"lund/b{suffix}")
    assert found(tmp_path) == {"lund": (f"a{suffix}", f"b{suffix}")}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.CR3", "a camera's raw file: export it as JPEG or PNG (.cr3)"),
        ("a.jxl", "JPEG XL: not read; convert it to PNG (.jxl)"),
        ("a.gif", "not a photo's file type; export it as JPEG or PNG (.gif)"),
    ],
)
def test_folder_of_photos_no_one_reads_does_not_vanish(tmp_path, touch, name, reason):
    touch("lund/a.jpg", f"berlin/{name}", "notes/readme.txt")
    assert reasons(tmp_path) == {f"berlin/{name}": reason}


def test_with_no_album_the_error_says_what_was_found(tmp_path, touch):
    touch("berlin/a.CR3", "berlin/b.CR3")
    with pytest.raises(
        InputError, match=r"2 cannot be used, such as berlin/a\.CR3: a camera's raw"
    ):
        find_albums(tmp_path)


def test_photo_without_suffix_is_known_by_its_bytes(tmp_path, touch):
    save(tmp_path / "lund" / "0012af")
    touch("lund/Makefile")
    assert found(tmp_path) == {"lund": ("0012af",)}
    assert reasons(tmp_path) == {"lund/Makefile": "not a photo's file type (no suffix)"}


def test_photo_of_an_odd_suffix_is_told(tmp_path, touch):
    touch("lund/a.jpg")
    save(tmp_path / "berlin" / "a.jpg_large")
    reason = "not a photo's file type (.jpg_large): it seems to be JPEG"
    assert reasons(tmp_path) == {"berlin/a.jpg_large": reason}


SYSTEM = (
    "@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "lost+found", "@Recycle",
    "@Recently-Snapshot", "System Volume Information", ".thumbnails",
)  # fmt: skip


def test_folders_of_the_system_are_no_albums_and_that_is_said_once(tmp_path, touch):
    for name in SYSTEM:
        touch(f"lund/{name}/a.jpg/SYNOPHOTO_THUMB_XL.jpg", f"lund/{name}/a.jpg/M.jpg")
    touch("lund/a.jpg", "lost+found/empty.txt")
    assert found(tmp_path) == {"lund": ("a.jpg",)}
    told = reasons(tmp_path)
    assert set(told) == {f"lund/{name}" for name in SYSTEM}
    assert told["lund/@eaDir"] == "a folder of the system, no album: 2 photos in it passed over"


def test_pipes_devices_sockets_and_links_to_nothing_are_told(tmp_path, touch, monkeypatch):
    touch("lund/a.jpg")
    os.mkfifo(tmp_path / "lund" / "pipe.jpg")
    (tmp_path / "lund" / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "lund" / "gone.jpg").symlink_to(tmp_path / "nothing")
    monkeypatch.chdir(tmp_path / "lund")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        assert found(tmp_path) == {"lund": ("a.jpg",)}
        assert reasons(tmp_path) == {
            "lund/gone.jpg": "a link to nothing",
            "lund/pipe.jpg": "a pipe, not a file",
            "lund/socket.jpg": "a socket, not a file",
            "lund/zero.jpg": "a device, not a file",
        }


def test_folder_that_cannot_be_read_is_told_and_the_walk_goes_on(tmp_path, touch, monkeypatch):
    touch("berlin/a.jpg", "lund/a.jpg", "paris/a.jpg")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("lund"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list(found(tmp_path)) == ["berlin", "paris"]
    assert reasons(tmp_path) == {
        f"{tmp_path.name}/lund": "a folder that cannot be read (Permission denied)"
    }


def test_links_are_followed_once_and_never_upwards(tmp_path, touch):
    touch("elsewhere/more/a.jpg", "top/albums/lund/b.jpg")
    albums = tmp_path / "top" / "albums"
    for name, target in {
        "a link": tmp_path / "elsewhere",
        "again": tmp_path / "elsewhere" / "more",
        "lund/circle": albums,
        "up": tmp_path / "top",
        "0 twin": albums / "lund",
    }.items():
        (albums / name).symlink_to(target)
    assert found(albums) == {"a link/more": ("a.jpg",), "lund": ("b.jpg",)}
    told = reasons(albums)
    assert told["albums/again"] == "the same folder as a link/more, which is read once"
    assert told["albums/0 twin"] == "the same folder as lund, which is read once"
    assert told["albums/up"] == "the same folder as the albums' own folder, which is read once"
    assert told["lund/circle"] == "the same folder as the albums' own folder, which is read once"


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


def test_colours_become_srgb_on_intake(tmp_path, photograph, other_profile):
    image = Image.fromarray(photograph[:60, :80])
    image.save(tmp_path / "a.png", icc_profile=other_profile)
    photo = take_photo(tmp_path / "a.png", CHECKS)
    np.testing.assert_array_equal(photo.pixels, convert(np.asarray(image), other_profile, None))
    assert photo.profile == "Colours turned"
    raw = take_photo(tmp_path / "a.png", replace(CHECKS, to_srgb=False))
    np.testing.assert_array_equal(raw.pixels, np.asarray(image))


def test_srgb_and_broken_profiles_leave_colours_as_they_are(tmp_path, photograph):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(photograph[:60, :80])
    for name, profile in {"": srgb, BROKEN: b"no profile" * 20}.items():
        image.save(tmp_path / "a.png", icc_profile=profile)
        photo = take_photo(tmp_path / "a.png", CHECKS)
        np.testing.assert_array_equal(photo.pixels, np.asarray(image))
        assert photo.profile == name
