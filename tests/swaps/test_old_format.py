"""Shards of older versions of the format are of use as before: their matches are on the grid."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
import torch
from old_format import COSINE, as_version, shard_as_version

from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.config import MatchParams, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.hdf5 import sealed_file
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.swaps.convert import convert_shards
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.info import shards_info
from srntt_pipeline.swaps.matcher import Matcher
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.show import show_match
from srntt_pipeline.swaps.verify import verify_shards

Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture(params=["grid_swaps", "grid_maps"])
def today(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=[2, 3], ids=["version 2", "version 3"])
def version(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def old(today: Path, tmp_path: Path, version: int) -> Path:
    """The same swaps as that version, in a folder of ours."""
    return as_version(version, shutil.copytree(today, tmp_path / "old"))


@pytest.fixture
def no_matching(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("matched again")

    monkeypatch.setattr(Matcher, "match", refuse)


def params_of(folder: Path) -> SwapParams:
    return Shards(folder).params


def run(dataset: Path, out: Path, params: SwapParams, **how: object) -> int:
    return precompute_swaps(dataset, out, params, workers=1, device="cpu", **how)  # type: ignore[arg-type]


def cosine_names(folder: Path) -> set[str]:
    """What the data sets of cosines are called in the shards of a folder, with their version."""
    found = set()
    for path in folder.glob("shard-*.h5"):
        with h5py.File(path) as file:
            for pair in file["pairs"].values():
                names = {"score", "cosine"} & set(pair)
                found.add(f"{file.attrs['version']} {' '.join(names)}")
    return found


def as_was(version: int) -> str:
    return f"{version} {COSINE[version]}"


def test_old_versions_are_what_they_were(old: Path, today: Path, version: int) -> None:
    assert cosine_names(today) == {"4 cosine"}
    assert cosine_names(old) == {as_was(version)}
    index = json.loads((old / "index.json").read_text())
    assert index["version"] == version
    assert "refine" not in index["params"]


def test_an_index_that_names_no_refinement_means_none(old: Path, today: Path) -> None:
    assert params_of(old).refine == "none"
    assert params_of(old) == params_of(today)
    assert Shards(old)["1"].correspondence.phase is None


def test_fingerprints_of_matches_on_the_grid_are_those_of_before(grid_swaps: Path) -> None:
    """What decided a shard before there was anything to refine."""
    assert params_of(grid_swaps).matched_by == {
        "scales": [1.0, 0.7], "rotations_deg": [0.0], "shifts_px": [0], "precision": "float32",
    }  # fmt: skip
    with h5py.File(grid_swaps / "shard-00000.h5") as file:
        assert json.loads(file.attrs["augmentations"]) == params_of(grid_swaps).matched_by


def test_swaps_to_the_pixel_are_made_anew(
    grid_swaps: Path, tiny_swaps: Path, tiny_dataset: Path, tmp_path: Path, contents: Contents,
    version: int,
) -> None:  # fmt: skip
    old = as_version(version, shutil.copytree(grid_swaps, tmp_path / "old"))
    run(tiny_dataset, old, params_of(tiny_swaps))
    assert contents(old) == contents(tiny_swaps)


def test_they_are_read_alike(old: Path, today: Path, tiny_dataset: Path) -> None:
    before, now = Shards(old), Shards(today)
    for name in now.names:
        assert torch.equal(before[name].correspondence.index, now[name].correspondence.index)
        assert torch.equal(before[name].correspondence.cosine, now[name].correspondence.cosine)
    encoder = load_encoder("random", 0, torch.device("cpu"))
    pairs = read_train_pairs(tiny_dataset)
    for one, other in zip(
        SwappedPairs(pairs, before, encoder), SwappedPairs(pairs, now, encoder), strict=True
    ):
        assert torch.equal(one["weight"], other["weight"])
        assert all(torch.equal(one["maps"][layer], other["maps"][layer]) for layer in one["maps"])


def test_they_are_described_verified_and_drawn(
    old: Path, today: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    lines, expected = (shards_info(folder).splitlines()[1:] for folder in (old, today))
    size = [line.startswith(("size", "maps in")) for line in expected]
    assert [line for line, skip in zip(lines, size, strict=True) if not skip] == [
        line for line, skip in zip(expected, size, strict=True) if not skip
    ]
    assert verify_shards(old, dataset=tiny_dataset).startswith("OK: 3 pairs in 2 shards")
    show_match("1", tmp_path / "match.png", MatchParams(), swaps=old, dataset=tiny_dataset,
               device="cpu")  # fmt: skip
    assert (tmp_path / "match.png").stat().st_size > 10_000


def test_they_are_converted_to_todays_format(
    old: Path, today: Path, tiny_dataset: Path, tmp_path: Path, contents: Contents
) -> None:
    out = tmp_path / "out"
    store = params_of(today).store
    convert_shards(old, out, tiny_dataset, store=store, workers=1, device="cpu")
    assert contents(out) == contents(today)


def test_the_same_command_rewrites_them_and_matches_nothing_again(
    old: Path, today: Path, tiny_dataset: Path, contents: Contents, no_matching: None
) -> None:
    run(tiny_dataset, old, params_of(today))
    assert contents(old) == contents(today)


def test_parts_of_an_array_job_in_their_folder(
    old: Path, today: Path, tiny_dataset: Path, contents: Contents, no_matching: None,
    version: int,
) -> None:  # fmt: skip
    params = params_of(today)
    run(tiny_dataset, old, params, part=ArrayPart(2, 2))
    assert cosine_names(old) == {as_was(version), "4 cosine"}
    # Until they are merged the index is of shards that are no more, and says so.
    with pytest.raises(InputError, match=r"shard-00001\.h5 is damaged or foreign .*again"):
        [Shards(old)[name] for name in ("0", "1", "2")]
    run(tiny_dataset, old, params, merge=True)  # which brings the first one into today's format
    assert contents(old) == contents(today)


def test_shards_of_both_formats_without_an_index_are_merged(
    today: Path, tiny_dataset: Path, tmp_path: Path, contents: Contents, no_matching: None,
    version: int,
) -> None:  # fmt: skip
    folder = shutil.copytree(today, tmp_path / "both")
    (folder / "index.json").unlink()
    shard_as_version(version, folder / "shard-00000.h5")
    run(tiny_dataset, folder, params_of(today), merge=True)
    assert contents(folder) == contents(today)


def test_old_shards_of_other_parameters_are_not_kept(
    grid_swaps: Path, tiny_dataset: Path, tmp_path: Path, contents: Contents, version: int
) -> None:
    old = as_version(version, shutil.copytree(grid_swaps, tmp_path / "old"))
    other = params_of(grid_swaps).model_copy(update={"scales": (1.0, 0.5)})
    with pytest.raises(InputError, match="2 of 2 shards are missing, damaged or of other"):
        run(tiny_dataset, old, other, merge=True)
    assert cosine_names(old) == {as_was(version)}  # untouched
    run(tiny_dataset, old, other)
    run(tiny_dataset, tmp_path / "fresh", other)
    assert contents(old) == contents(tmp_path / "fresh")


def test_an_old_shard_that_is_sealed_but_makes_no_sense_is_made_anew(
    grid_swaps: Path, tiny_dataset: Path, tmp_path: Path, contents: Contents, version: int
) -> None:
    old = as_version(version, shutil.copytree(grid_swaps, tmp_path / "old"))
    path = old / "shard-00000.h5"
    whole = path.rename(path.with_suffix(".old"))
    with h5py.File(whole) as before, sealed_file(path) as after:
        before.copy("pairs", after)
        after.attrs.update(before.attrs)
        after["pairs"]["1"][COSINE[version]][0, 0] = 1.5
    whole.unlink()
    run(tiny_dataset, old, params_of(grid_swaps))
    assert contents(old) == contents(grid_swaps)
