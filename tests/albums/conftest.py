"""A small data set with its photos, for the tests of what is done with a manifest."""

import json
import shutil

import pytest

from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.demo import DemoAlbumJob, write_album
from srntt_pipeline.albums.photos import Album
from srntt_pipeline.albums.prepare import album_jobs, prepare
from srntt_pipeline.config import BuildParams, DemoAlbumsParams

PARAMS = BuildParams(
    name="ours", long_side_px=160, crop_px=64, levels=2, levels_by="quantiles", train_pairs=12,
    test_groups=2, test_albums=0.3,
)  # fmt: skip
EVENTS = {"0_cat@N01": ["PersonalSports", "Birthday"], "1_coffee@N02": ["Wedding"]}


@pytest.fixture(scope="session")
def cufed(tmp_path_factory):
    """A tree as CUFED is distributed: three albums of five photos, JSON files that know two."""
    root = tmp_path_factory.mktemp("given") / "CUFED"
    params = DemoAlbumsParams(photos_min=5, photos_max=5, long_side_px=200)
    for scene, album in (("cat", "0_cat@N01"), ("coffee", "1_coffee@N02"), ("temple", "2_t@N03")):
        write_album(DemoAlbumJob(scene, root / "images" / album, params))
    scores = {
        album: [[i, f"{album}/{photo.stem}", i / 4 - 0.5] for i, photo in enumerate(photos)]
        for album in EVENTS
        if (photos := sorted((root / "images" / album).glob("*.jpg")))
    }
    assert len(scores) == 2
    (root / "event_type.json").write_text(json.dumps(EVENTS))
    (root / "image_importance.json").write_text(json.dumps(scores))
    return root


@pytest.fixture(scope="session")
def count_folder():
    """Extract and count the photos in a folder, all or those named, into `out`."""

    def count(folder, params, out, names=None):
        photos = names or tuple(sorted(path.name for path in folder.iterdir()))
        (jobs,) = album_jobs([Album(folder.name, folder, photos)], out, params, "cpu")
        prepare([jobs], workers=1)
        return jobs.counted

    return count


@pytest.fixture(scope="session")
def build_params():
    """The parameters of `original`."""
    return PARAMS


@pytest.fixture(scope="session")
def original(cufed, tmp_path_factory):
    """The data set of a build from `cufed`; not to be changed."""
    out = tmp_path_factory.mktemp("original") / "dataset"
    build_cufed5(cufed, out, PARAMS, workers=1)
    return out


@pytest.fixture
def copy_of(tmp_path):
    """Copy a folder, to spoil it."""

    def copy(folder, name=None):
        return shutil.copytree(folder, tmp_path / (name or folder.name))

    return copy
