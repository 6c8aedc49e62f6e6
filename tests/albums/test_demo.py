import shutil

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.albums.counts import count_matches
from srntt_pipeline.albums.demo import (
    SCENES,
    DemoAlbumJob,
    demo_albums,
    virtual_photo,
    write_album,
)
from srntt_pipeline.config import DemoAlbumsParams, Matching
from srntt_pipeline.errors import InputError

SMALL = DemoAlbumsParams(long_side_px=64)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "albums"
    return out, demo_albums(out, SMALL, workers=1)


@pytest.fixture
def copy(demo, tmp_path):
    """A copy of the demo albums to spoil."""
    return shutil.copytree(demo[0], tmp_path / "albums")


def test_each_scene_has_an_album_of_8_to_12_photographs(demo):
    out, photos = demo
    counts = {scene: len(list((out / scene).iterdir())) for scene in SCENES}
    assert sorted(counts) == sorted(SCENES)
    assert set(counts.values()) <= set(range(8, 13))
    assert len(set(counts.values())) > 1
    assert sum(counts.values()) == photos


def test_photographs_are_whole_colour_jpegs_of_the_size_asked_for(demo):
    for path in demo[0].rglob("*.jpg"):
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.mode, max(image.size)) == ("JPEG", "RGB", 64)


def test_no_scene_needs_a_download():
    assert all(len(files) for files in SCENES.values())
    assert len(SCENES) >= 8


def test_same_seed_same_bytes_whatever_the_workers(demo, tmp_path, contents):
    demo_albums(tmp_path / "again", SMALL, workers=2)
    assert contents(tmp_path / "again") == contents(demo[0])


def test_another_seed_gives_other_photographs(demo, tmp_path):
    params = SMALL.model_copy(update={"seed": 1})
    write_album(DemoAlbumJob("cat", tmp_path / "cat", params))
    assert (tmp_path / "cat" / "00.jpg").read_bytes() != (demo[0] / "cat" / "00.jpg").read_bytes()


def test_number_of_photographs_is_a_parameter(tmp_path):
    params = DemoAlbumsParams(long_side_px=64, photos_min=3, photos_max=3)
    for scene in ("cat", "rocket"):
        write_album(DemoAlbumJob(scene, tmp_path / scene, params))
        assert len(list((tmp_path / scene).iterdir())) == 3


def test_similarity_goes_from_near_identical_to_unrelated(tmp_path):
    params = DemoAlbumsParams(long_side_px=300)
    write_album(DemoAlbumJob("temple", tmp_path / "temple", params))
    first, *others = sorted((tmp_path / "temple").iterdir())
    counts = [count_matches(first, other, Matching()) for other in others]
    assert counts[0] > 200
    assert counts[-1] < 20  # a stranger
    assert counts[0] > np.median(counts) > counts[-1]


# What is in the folder already


def test_foreign_folder_is_refused_and_left_as_it_is(tmp_path, contents):
    for name in ("thesis.tex", ".film.partial", ".draft-1.partial.png"):
        (tmp_path / name).write_text(name)
    before = contents(tmp_path)
    with pytest.raises(
        InputError, match=r"is not empty, and .* did not write what is in it \(\.draft"
    ):
        demo_albums(tmp_path, SMALL, workers=1)
    assert contents(tmp_path) == before


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="out is a file"):
        demo_albums(tmp_path / "out", SMALL, workers=1)


def test_missing_album_is_made_again_the_others_are_left_alone(copy, demo, contents):
    for path in (copy / "cat").iterdir():
        path.unlink()
    (copy / "cat").rmdir()
    kept = {path: path.stat().st_mtime_ns for path in copy.rglob("*.jpg")}
    demo_albums(copy, SMALL, workers=1)
    assert contents(copy) == contents(demo[0])
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_damaged_and_foreign_photographs_are_made_again(copy, demo, contents):
    (copy / "rocket" / "00.jpg").write_bytes(b"")
    (copy / "cat" / "01.jpg").write_bytes((copy / "cat" / "00.jpg").read_bytes())
    demo_albums(copy, SMALL, workers=1)
    assert contents(copy) == contents(demo[0])


def test_a_photo_that_somebody_put_there_is_left_alone(copy, demo, save_view):
    foreign = save_view(copy / "cat" / "holiday.jpg").read_bytes()
    demo_albums(copy, DemoAlbumsParams(long_side_px=80), workers=1)
    assert (copy / "cat" / "holiday.jpg").read_bytes() == foreign
    save_view(copy / "cat" / "12.jpg")
    with pytest.raises(InputError, match=r"cat/12\.jpg was not written by srntt-pipeline"):
        demo_albums(copy, DemoAlbumsParams(photos_min=13, photos_max=13), workers=1)


def test_other_parameters_replace_the_albums(copy):
    params = DemoAlbumsParams(long_side_px=80, photos_min=2, photos_max=2)
    assert demo_albums(copy, params, workers=1) == 2 * len(SCENES)
    sizes = {max(Image.open(path).size) for path in copy.rglob("*.jpg")}
    assert sizes == {80}


# One photograph


def test_strength_0_hardly_changes_the_scene(photograph):
    photo = virtual_photo(photograph, 128, 0, np.random.default_rng(0))
    reference = np.asarray(Image.fromarray(photograph).resize((128, 128)))
    assert photo.shape == (128, 128, 3)
    assert photo.dtype == np.uint8
    assert np.corrcoef(photo.ravel(), reference.ravel())[0, 1] > 0.6


def test_photograph_depends_on_the_generator_alone(photograph):
    def photos(seed):
        return virtual_photo(photograph, 64, 0.7, np.random.default_rng(seed))

    np.testing.assert_array_equal(photos(1), photos(1))
    assert (photos(1) != photos(2)).any()
