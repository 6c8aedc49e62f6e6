from collections import Counter

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.albums import train_pairs as train_pairs_module
from srntt_pipeline.albums.matching import best_matches
from srntt_pipeline.albums.sift import detect
from srntt_pipeline.albums.survey import survey
from srntt_pipeline.albums.train_pairs import CropJob, Want, choose_train_pairs, crop_album
from srntt_pipeline.config import BuildParams, Matching

PARAMS = BuildParams(
    long_side_px=160, crop_px=64, levels=2, levels_by="quantiles", crop_matches=3, train_pairs=12
)


@pytest.fixture(scope="module")
def counted(tmp_path_factory, photograph, count_folder):
    """Four albums of five views that pan over a photograph."""
    root = tmp_path_factory.mktemp("train pairs")
    albums = []
    for number in range(4):
        folder = root / f"album {number}"
        folder.mkdir()
        for i in range(5):
            x, y = 100 + 12 * i, 60 * number
            Image.fromarray(photograph[y : y + 120, x : x + 160]).save(folder / f"{i}.png")
        albums.append(count_folder(folder, PARAMS, root))
    return albums


def with_params(**changes):
    return BuildParams(**(PARAMS.model_dump() | changes))


def choose(albums, params=PARAMS, left_out=None, workers=1):
    available = survey(albums, params).pairs[:, 1:]
    return choose_train_pairs(albums, available, left_out or {}, params, workers)


def test_as_many_pairs_as_asked_for_are_spread_over_levels_and_albums(counted):
    rows = choose(counted, with_params(train_pairs=16))
    assert len(rows) == 16
    assert Counter(row.level for row in rows) == {"L1": 8, "L2": 8}
    assert set(Counter((row.album, row.level) for row in rows).values()) == {2}


def test_pairs_are_named_in_the_order_of_their_places(counted):
    rows = choose(counted)
    places = [(r.album, r.hr_photo, r.ref_photo, r.hr_x_px, r.hr_y_px) for r in rows]
    assert places == sorted(places)
    assert [row.name for row in rows] == [f"{i:05d}" for i in range(12)]


def test_all_pairs_there_are_when_more_are_asked_for(counted):
    params = with_params(train_pairs=10_000, crops_per_pair=1)
    rows = choose(counted, params)
    assert 40 < len(rows) <= 4 * 5 * 4
    photo_pairs = {(row.album, row.hr_photo, row.ref_photo) for row in rows}
    assert len(photo_pairs) == len(rows)
    # No pair was passed over: each of the others has no crop even when it is tried alone.
    for album in counted:
        tried = sum(len(crop_album(_all_of(album, params, level))[0].rows) for level in (1, 2))
        assert tried == sum(row.album == album.name for row in rows)


def _all_of(album, params, level):
    return CropJob(album, params, frozenset(), (Want(level, 0, 10_000, 10_000),))


def test_starved_level_leaves_its_share_to_the_others(counted):
    params = with_params(levels_by="bands", bands=(60, 0), train_pairs=30)
    rows = choose(counted, params)
    levels = Counter(row.level for row in rows)
    available = survey(counted, params).pairs[:, 1:].sum(axis=0) * params.crops_per_pair
    assert len(rows) == 30
    assert levels["L1"] <= available[0]


def test_photos_left_out_are_not_used(counted):
    left_out = {"album 0": frozenset({"1.png", "3.png"})}
    rows = choose(counted, with_params(train_pairs=200), left_out)
    used = {(r.album, photo) for r in rows for photo in (r.hr_photo, r.ref_photo)}
    assert used.isdisjoint({("album 0", "1.png"), ("album 0", "3.png")})
    assert {("album 0", "0.png"), ("album 1", "1.png")} <= used


def test_workers_change_nothing_and_the_seed_does(counted):
    assert choose(counted) == choose(counted, workers=2)
    assert choose(counted) != choose(counted, with_params(seed=1))


@pytest.mark.parametrize("crops_per_pair", [1, 2, 3])
@pytest.mark.parametrize("train_pairs", [5, 31, 10_000])
def test_pieces_of_the_work_change_no_row(counted, monkeypatch, crops_per_pair, train_pairs):
    """Of one album, so that much is wanted of it; some photos are left out."""
    params = with_params(crops_per_pair=crops_per_pair, train_pairs=train_pairs)
    left_out = {"album 1": frozenset({"2.png"})}
    whole = choose(counted[1:2], params, left_out)
    jobs = []

    def crop(job):
        jobs.append(job)
        return crop_album(job)

    monkeypatch.setattr(train_pairs_module, "crop_album", crop)
    monkeypatch.setattr(train_pairs_module, "PIECE", 2)
    assert choose(counted[1:2], params, left_out) == whole
    assert len(jobs) > 1 or train_pairs == 5
    for job in jobs:
        assert sum(want.stop - want.start for want in job.wants) <= 2 * PARAMS.levels


def test_no_pairs_give_no_rows(counted):
    assert choose(counted, with_params(train_pairs=0)) == []
    assert choose([], PARAMS) == []
    assert choose(counted, with_params(levels_by="bands", bands=(9000, 8000))) == []


def test_crops_wanted_in_two_helpings_are_those_of_one(counted):
    """Where a round stopped, the next goes on."""
    whole = crop_album(CropJob(counted[0], PARAMS, frozenset(), (Want(1, 0, 8, 100),)))[0].rows
    first = crop_album(CropJob(counted[0], PARAMS, frozenset(), (Want(1, 0, 2, 100),)))[0]
    assert first.rows == whole[:2]
    rest = crop_album(CropJob(counted[0], PARAMS, frozenset(), (Want(1, first.start, 100, 100),)))[
        0
    ]
    assert rest.start == rest.end
    assert [row for row in whole if row in first.rows + rest.rows] == whole


# A real pair


@pytest.fixture(scope="module")
def real_pair(real_albums, tmp_path_factory, count_folder):
    """Photos of a real album at 500 px, cut independently of ours, and the rows of their crops."""
    names = ("100_7100.jpg", "100_7101.jpg")
    folder, params = real_albums / "sceaux_castle", BuildParams(levels=1, bands=(1,))
    album = count_folder(folder, params, tmp_path_factory.mktemp("crops"), names)
    photos = {}
    for name in names:
        image = Image.open(folder / name)
        size = 500, round(image.height * 500 / image.width)
        photos[name] = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    return photos, choose([album], params)


def count(a, b):
    return len(best_matches(detect(a), detect(b), Matching()))


def cut(photo, corner):
    x, y = corner
    return photo[y : y + 160, x : x + 160]


def test_real_reference_crop_shows_what_the_hr_crop_shows(real_pair):
    photos, rows = real_pair
    assert Counter(row.hr_photo for row in rows) == dict.fromkeys(photos, 2)
    rng = np.random.default_rng(0)
    for row in rows:
        hr_crop = cut(photos[row.hr_photo], (row.hr_x_px, row.hr_y_px))
        ref = photos[row.ref_photo]
        height, width = ref.shape[:2]
        elsewhere = [
            count(hr_crop, cut(ref, rng.integers(0, [width - 159, height - 159]))) for _ in range(6)
        ]
        assert count(hr_crop, cut(ref, (row.ref_x_px, row.ref_y_px))) > np.median(elsewhere)
