"""A large album: its work is cut into blocks, and no byte of what is made depends on them."""

import multiprocessing
import random
import time
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline import parallel
from srntt_pipeline.albums import contact_sheet, count_plot, counts, prepare, sift
from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.photos import find_albums
from srntt_pipeline.albums.prepare import album_jobs, prepare_part
from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK
from srntt_pipeline.outputs import open_output

PARAMS = BuildParams(
    long_side_px=96, crop_px=32, levels=2, levels_by="quantiles", train_pairs=20, test_groups=0,
    crop_matches=2,
)  # fmt: skip
PHOTOS, SMALL = 40, 7  # six blocks, the last of five photos


@pytest.fixture(scope="module")
def albums(tmp_path_factory, photograph):
    """One album of forty small photos that pan over a photograph, and one of three."""
    root = tmp_path_factory.mktemp("large") / "albums"
    for name, photos in (("large", PHOTOS), ("small", 3)):
        (root / name).mkdir(parents=True)
        for i in range(photos):
            view = photograph[8 * (i % 4) : 8 * (i % 4) + 64, 100 + 6 * i : 196 + 6 * i]
            Image.fromarray(view).save(root / name / f"{i:02d}.png")
    (root / "large" / "07.png").write_text("no photo")
    return root


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(prepare, "BLOCK", SMALL)


@pytest.fixture(scope="module")
def prepared(albums, tmp_path_factory):
    """The work of an undisturbed run, in small blocks."""
    out = tmp_path_factory.mktemp("large") / "out"
    run(albums, out)
    return out


def run(albums, out, workers=1):
    before, prepare.BLOCK = prepare.BLOCK, SMALL
    try:
        found, _ = find_albums(albums)
        jobs = album_jobs(found, out, PARAMS, "cpu")
        with open_output(out, "dataset") as output:
            output.claim(prepare.work_files(jobs))
            prepare.prepare(jobs, workers)
    finally:
        prepare.BLOCK = before


def states(out):
    """Which files there are, and which of them is which."""
    while True:
        files = (path for path in out.rglob("*") if path.is_file() and MARK not in path.parts)
        try:
            return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}
        except FileNotFoundError:  # a running command has just removed a file of its own: look anew
            continue


def images_and_manifests(contents):
    return {name: content for name, content in contents.items() if not name.startswith("work/")}


def test_blocks_change_no_byte_of_the_data_set(albums, tmp_path, contents, monkeypatch):
    for picture in (count_plot, contact_sheet):
        monkeypatch.setattr(picture, "draw", lambda *_: None)
    for block in (64, SMALL):
        monkeypatch.setattr(prepare, "BLOCK", block)
        build_cufed5(albums, tmp_path / str(block), PARAMS, workers=1)
    one, many = (contents(tmp_path / str(block)) for block in (64, SMALL))
    assert images_and_manifests(one) == images_and_manifests(many)
    assert len([name for name in one if name.startswith("work/")]) == 2 + 2
    assert len([name for name in many if name.startswith("work/")]) == (6 + 21) + 2


def test_small_album_is_one_block(albums):
    large, small = album_jobs(find_albums(albums)[0], albums, PARAMS, "cpu")
    assert prepare.BLOCK == 32
    assert (len(large.features), len(large.counts)) == (2, 3)
    assert (len(small.features), len(small.counts)) == (1, 1)
    assert [len(job.album.photos) for job in large.features] == [32, 8]


def test_two_workers_make_the_same_files_as_one(albums, prepared, tmp_path, contents):
    run(albums, tmp_path, workers=2)
    assert contents(tmp_path) == contents(prepared)


def test_bars_go_by_photos_and_pairs_and_move_with_every_block(albums, tmp_path, monkeypatch):
    bars = []

    def progress(description, unit, total):
        bars.append(MagicMock(description=description, unit=unit, total=total))
        bars[-1].__enter__.return_value = bars[-1]
        return bars[-1]

    monkeypatch.setattr(parallel, "progress", progress)
    run(albums, tmp_path)
    pairs = (PHOTOS - 1) * (PHOTOS - 2) // 2 + 3  # one file is no photo
    assert [(bar.unit, bar.total) for bar in bars] == [("photos", PHOTOS + 3), ("pairs", pairs)]
    for bar, blocks in zip(bars, (6 + 1, 21 + 1), strict=True):
        steps = [call.args[0] for call in bar.update.call_args_list]
        assert len(steps) == blocks
        assert sum(steps) == bar.total
        assert max(steps) <= SMALL**2
    assert bars[0].set_postfix_str.call_args.args == ("1 rejected",)


def test_a_job_holds_no_more_photos_than_two_blocks(albums, tmp_path, small_blocks, monkeypatch):
    read = []

    def counting(photos):
        read.append(len(photos))
        return sift.read_features(photos)

    monkeypatch.setattr(counts, "read_features", counting)
    run(albums, tmp_path)
    assert len(read) == 21 + 1
    assert max(read) == 2 * SMALL


KILLS = 9


def test_kills_lose_the_blocks_in_hand_and_no_others(albums, prepared, tmp_path, contents):
    """A run is killed and started again until it gets through; what was done is not done again."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "srntt_pipeline.albums.build"])
    rng = random.Random(0)
    files = len(contents(prepared))
    ended_in_the_middle = 0
    for turn in range(KILLS):
        out = tmp_path / f"out {turn % 3}"
        before = states(out)
        process = context.Process(target=run, args=(albums, out))
        process.start()
        wanted = len(before) + rng.randrange(1, files // 3)
        while process.is_alive() and len(states(out)) < wanted:
            time.sleep(0.001)
        time.sleep(0.02 * rng.random())
        process.kill()
        process.join()
        after = states(out)
        assert {path: after.get(path) for path in before} == before
        ended_in_the_middle += len(before) < len(after) < files
    assert ended_in_the_middle > KILLS // 2
    for turn in range(3):
        out = tmp_path / f"out {turn}"
        before = states(out)
        run(albums, out)
        after = states(out)
        assert {path: after.get(path) for path in before} == before
        made = {k: v for k, v in contents(out).items() if ".partial" not in k}
        assert made == {name: c for name, c in contents(prepared).items() if MARK not in name}


def test_changed_photo_is_extracted_and_counted_with_its_block_alone(
    albums, prepared, tmp_path, copy_of, contents
):
    changed, out = copy_of(albums), copy_of(prepared)
    before = states(out)
    Image.fromarray(np.asarray(Image.open(changed / "large" / "20.png"))[:, ::-1]).save(
        changed / "large" / "20.png"
    )
    run(changed, out)
    after = states(out)
    remade = {path.name.split(".", 1)[1] for path in before if after[path] != before[path]}
    pairs = ("000-002", "001-002", "002-002", "002-003", "002-004", "002-005")
    assert remade == {"002.h5", *(f"{pair}.parquet" for pair in pairs)}
    run(changed, tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


# In shards


def test_large_album_is_shared_out_over_shards(albums, prepared, tmp_path, contents, small_blocks):
    """In any order; each makes a part, and the features that it lacks."""
    made, shards = set(), ("3/4", "1/4", "4/4", "2/4")
    for shard in shards:
        prepare_part(albums, tmp_path, PARAMS, ArrayPart.parse(shard), workers=1)
        now = set(contents(tmp_path))
        counted = {name for name in now - made if "/counts/large" in name}
        assert 5 <= len(counted) <= 6
        made = now
    made = {name: content for name, content in contents(tmp_path).items() if MARK not in name}
    assert made == contents(prepared)


def test_shard_extracts_its_own_blocks_first(albums, tmp_path, small_blocks, monkeypatch):
    """What other shards make is theirs until it is wanted: mostly it is there then."""
    order = []

    def extract(job):
        order.append(job.path.stem)
        return sift.extract(job)

    monkeypatch.setattr(prepare, "extract", extract)
    prepare_part(albums, tmp_path, PARAMS, ArrayPart(2, 4), workers=1)
    assert [name[-4:] for name in order[:2]] == [".001", ".005"]
    assert len(order) == len(set(order)) == 6 + 1


def test_merge_names_an_album_that_lacks_a_pair_of_blocks(
    albums, prepared, copy_of, small_blocks, tmp_path
):
    out = copy_of(prepared)
    (lost,) = out.glob("work/counts/large-*.001-003.parquet")
    lost.unlink()
    with pytest.raises(InputError) as error:
        build_cufed5(albums, out, PARAMS, workers=1, merge=True)
    assert "1 of 2 albums lack features or counts" in str(error.value)
    assert "large the first: run the parts again" in str(error.value)
    assert "(or --shard 9/22, the first of it alone)" in str(error.value)
    prepare_part(albums, out, PARAMS, ArrayPart(9, 22), workers=1)
    prepare.check_prepared(album_jobs(find_albums(albums)[0], out, PARAMS, "cpu"), 1)
