"""Validation pairs show no photo that is trained on, and none is dropped that need not be."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import PairOrigin, TrainPair, read_train_pairs
from srntt_pipeline.recipes.sisr import SisrRecipe
from srntt_pipeline.training import split as module
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.split import Split, split_validation

Photos = list[tuple[str, int, int]]  # of each pair: album, and the photos of HR and reference

albums = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 5), st.integers(0, 5)),
    min_size=2, max_size=40,
)  # fmt: skip
# Pairs of any photos, and of such as are connected in small groups.
any_photos = st.one_of(
    albums,
    st.lists(st.integers(0, 60).map(lambda n: ("a", n, n + n % 2)), min_size=2, max_size=40),
)


def origins(photos: Photos) -> dict[str, PairOrigin]:
    return {
        f"{number:03d}": PairOrigin(album, (f"{album}{hr}", f"{album}{ref}"))
        for number, (album, hr, ref) in enumerate(photos)
    }


def split(photos: Photos, wanted: int = 32, seed: int = 0) -> Split:
    pairs = [TrainPair(name, Path("hr"), Path("ref")) for name in origins(photos)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(module, "read_origins", lambda _: origins(photos))
        return split_validation(Path("set"), pairs, SisrRecipe(validation_pairs=wanted, seed=seed))


def photos_of(pairs: list[TrainPair], photos: Photos) -> set[str]:
    return {photo for pair in pairs for photo in origins(photos)[pair.name].photos}


@settings(max_examples=200, deadline=None)
@given(any_photos, st.integers(1, 12), st.integers(0, 5))
def test_no_photo_is_on_both_sides(photos: Photos, wanted: int, seed: int) -> None:
    found = split(photos, wanted, seed)
    assert found == split(photos, wanted, seed)
    every = sorted([*found.training, *found.validation, *found.dropped], key=lambda p: p.name)
    assert [pair.name for pair in every] == list(origins(photos))
    assert found.training
    assert found.validation
    shown, trained = (photos_of(side, photos) for side in (found.validation, found.training))
    if found.told.startswith("at random"):
        assert cannot_be_cut(photos)
        return
    assert not shown & trained
    for pair in found.dropped:  # each had to be
        assert photos_of([pair], photos) & shown
    if found.albums:
        held = {album for name, (album, *_) in zip(origins(photos), photos, strict=True)
                if name in {pair.name for pair in found.validation}}  # fmt: skip
        assert found.albums == tuple(sorted(held))
        assert held.isdisjoint(origins(photos)[pair.name].album for pair in found.training)
        assert len(found.validation) <= max(1, len(photos) // 5)


def cannot_be_cut(photos: Photos) -> bool:
    """Tell by trying all whether each set of photos with a pair inside leaves none outside."""
    ends = [{f"{album}{hr}", f"{album}{ref}"} for album, hr, ref in photos]
    # What a set must hold at least is the photos of one pair.
    return all(not any(both.isdisjoint(one) for both in ends) for one in ends)


def test_whole_albums_are_kept() -> None:
    photos = [(album, n % 6, (n + 1) % 6) for album in "abcdefghij" for n in range(6)]
    seen = set()
    for seed in range(8):
        found = split(photos, 12, seed)
        assert len(found.albums) == 2
        assert len(found.validation) == 12
        assert not found.dropped
        assert found.told == "by album: all pairs of 2 albums"
        assert found.card["validation_albums"] == list(found.albums)
        seen.add(found.albums)
    assert len(seen) > 4


def test_albums_that_share_a_photo_are_kept_together() -> None:
    photos = [(album, n, n + 1) for album in "abcdefghij" for n in range(4)]
    shared = {"a": "b", "c": "d", "e": "f", "g": "h", "i": "j"}

    def of(album: str, photo: int) -> str:  # the last photo of one is the first of the other
        return f"{shared[album]}0" if album in shared and photo == 4 else f"{album}{photo}"

    told = {
        f"{number:03d}": PairOrigin(album, (of(album, hr), of(album, ref)))
        for number, (album, hr, ref) in enumerate(photos)
    }
    pairs = [TrainPair(name, Path("hr"), Path("ref")) for name in told]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(module, "read_origins", lambda _: told)
        found = split_validation(Path("set"), pairs, SisrRecipe(validation_pairs=8))
    assert len(found.albums) == 2
    assert shared[found.albums[0]] == found.albums[1]


def test_an_album_that_is_too_large_is_split_by_its_photos() -> None:
    photos = [("a", 10 * n, 10 * n + 1) for n in range(40)] + [("b", 0, 1)] * 15
    found = split(photos, 8)
    assert len(found.validation) == 8
    assert not found.dropped
    assert not found.albums
    assert found.told.startswith("by photos: pairs that share no photo")


def test_an_album_is_kept_though_half_of_the_pairs_wanted_are_not_in_it() -> None:
    """Sceaux and Berlin: no cut of the large one gives more without dropping pairs."""
    large = [("a", hr, ref) for hr, ref in itertools.permutations(range(11), 2)]
    found = split([*large, *[("b", hr, ref) for hr, ref in itertools.permutations(range(3), 2)]])
    assert found.albums == ("b",)
    assert len(found.validation) == 6
    assert not found.dropped


def test_of_one_piece_the_thinnest_place_is_cut() -> None:
    """Two groups of photos that are all paired, 30 and 6 pairs, and one pair between them."""
    big = [("a", hr, ref) for hr, ref in itertools.permutations(range(6), 2)]
    small = [("a", hr, ref) for hr, ref in itertools.permutations(range(10, 13), 2)]
    for seed in range(5):
        found = split([*big, ("a", 5, 10), *small], 6, seed)
        assert [pair.name for pair in found.validation] == [f"{n:03d}" for n in range(31, 37)]
        assert [pair.name for pair in found.dropped] == ["030"]
        assert "left out of training" in found.told
        assert found.card["dropped_pairs"] == 1


def test_of_photos_that_are_all_paired_half_stay_in_training() -> None:
    photos = [("a", hr, ref) for hr, ref in itertools.permutations(range(11), 2)]
    found = split(photos, 22)
    assert len(found.training) == 56  # of 8 photos; the next photo would leave 42 of 110
    assert len(found.validation) == 6
    assert len(found.dropped) == 48


def test_what_cannot_be_cut_is_drawn_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    photos = [("a", 0, n) for n in range(1, 12)]
    found = split(photos, 2)
    assert len(found.validation) == 2
    assert not found.dropped
    assert found.told.startswith("at random: all pairs share photos")
    assert "its pairs share photos" in caplog.text


def pictures(folder: Path, of: list[tuple[int, int]]) -> Path:
    """Save pairs of plain pictures, equal for equal numbers."""
    for side in (0, 1):
        place = folder / "train" / ("input", "ref")[side]
        place.mkdir(parents=True)
        for number, both in enumerate(of):
            Image.new("RGB", (16, 16), (both[side], 0, 0)).save(place / f"{number:03d}.png")
    return folder


def test_without_a_manifest_equal_files_are_kept_together(tmp_path: Path) -> None:
    folder = pictures(tmp_path, [(n // 2, 100 + n) for n in range(20)])
    pairs = read_train_pairs(folder)
    for seed in range(5):
        found = split_validation(folder, pairs, SisrRecipe(validation_pairs=4, seed=seed))
        held = [int(pair.name) for pair in found.validation]
        assert len(held) == 4
        assert {n ^ 1 for n in held} == set(held)
        assert found.told.startswith("at random: no manifest tells the photos")


@pytest.mark.parametrize("header", ["name,album,hr_sha256,ref_sha256", "name,album"])
def test_the_card_says_how_it_was_split(tmp_path: Path, header: str) -> None:
    folder = pictures(tmp_path / "set", [(n, 100 + n) for n in range(20)])
    rows = [f"{n:03d},{'xyz'[n // 8]},{n:064x},{n + 99:064x}" for n in range(20)]
    lines = [",".join(row.split(",")[: header.count(",") + 1]) for row in rows]
    (folder / "manifests").mkdir()
    (folder / "manifests" / "train.csv").write_text("\n".join([header, *lines]) + "\n")
    params = SisrRecipe(
        channels=4, blocks=0, steps=1, batch_size=2, patch_px=16, validation_pairs=4
    )
    train(params, folder, tmp_path / "out", device="cpu")
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    counts = [card[f"{kind}_pairs"] for kind in ("training", "validation", "dropped")]
    assert counts == [16, 4, 0]
    by_album = header.count(",") > 1
    assert card["validation_albums"] == (["z"] if by_album else [])
    told = "by album: all pairs of 1 album" if by_album else "at random: no manifest"
    assert card["validation_split"].startswith(told)
    assert told in (tmp_path / "out" / "card.md").read_text()


def test_a_split_of_another_manifest_is_another_run(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", [(n, 100 + n) for n in range(20)])
    params = SisrRecipe(
        channels=4, blocks=0, steps=1, batch_size=2, patch_px=16, validation_pairs=4
    )
    (folder / "manifests").mkdir()
    for names in ("xyz", "yzx"):
        rows = [f"{n:03d},{names[n // 8]},{n:064x},{n + 99:064x}\n" for n in range(20)]
        table = "name,album,hr_sha256,ref_sha256\n" + "".join(rows)
        (folder / "manifests" / "train.csv").write_text(table)
        train(params, folder, tmp_path / "out", device="cpu")  # the same pairs, called otherwise
    rows = [f"{n:03d},{n // 4},{n:064x},{n + 99:064x}\n" for n in range(20)]
    (folder / "manifests" / "train.csv").write_text(table.splitlines()[0] + "\n" + "".join(rows))
    with pytest.raises(InputError, match=r"another run: validation pairs: \d gone .*, \d new"):
        train(params.model_copy(update={"seed": 0}), folder, tmp_path / "out", device="cpu")


def test_a_single_pair_is_too_few() -> None:
    with pytest.raises(InputError, match="at least two pairs"):
        split([("a", 0, 1)])
