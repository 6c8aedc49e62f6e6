"""Damaged shards: noticed, named, made again, never read as data."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.errors import InputError
from srntt_pipeline.hdf5 import is_intact
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.shards import Shards

Contents = Callable[[Path], dict[str, bytes]]
STORES = {"tiny_swaps": "correspondence", "tiny_maps": "maps"}
JOB = {"workers": 1, "device": "cpu"}


@pytest.fixture(params=STORES)
def whole(request: pytest.FixtureRequest) -> Path:
    """Undamaged shards of either kind."""
    return request.getfixturevalue(request.param)


def assert_named(folder: Path, path: Path) -> None:
    """The damaged shard at `path` is named in one line; the other one is read."""
    shards = Shards(folder)
    assert not is_intact(path)
    for name in shards.names:
        if name not in shards.names_in(path):
            shards[name]
            continue
        for read in (shards.__getitem__, shards.maps) if shards.has_maps else (shards.__getitem__,):
            with pytest.raises(InputError) as caught:
                read(name)
            line = str(caught.value)
            assert line.startswith(f"{path} is damaged or foreign (")
            assert "run precompute-swaps again: it remakes this shard only" in line
            assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), store=st.sampled_from([*STORES])
)
def test_any_flipped_bit_is_noticed_and_named(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, place: float,
    bit: int, store: str,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("flipped") / "swaps"
    shutil.copytree(request.getfixturevalue(store), folder)
    path = folder / "shard-00000.h5"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    assert_named(folder, path)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(part=st.floats(0, 1, exclude_max=True), store=st.sampled_from([*STORES]))
def test_any_cut_is_noticed_and_named(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, part: float,
    store: str,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("cut") / "swaps"
    shutil.copytree(request.getfixturevalue(store), folder)
    path = folder / "shard-00001.h5"
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    assert_named(folder, path)


def test_damage_is_made_good_by_another_run(
    whole: Path, tiny_dataset: Path, tmp_path: Path, contents: Contents
) -> None:
    out = shutil.copytree(whole, tmp_path / "swaps")
    params = Shards(whole).params
    rng = random.Random(0)
    for _ in range(6):
        path = rng.choice(sorted(out.glob("shard-*.h5")))
        content = bytearray(path.read_bytes())
        place = rng.randrange(len(content))
        if rng.random() < 0.5:
            content[place] ^= 1 << rng.randrange(8)
        else:
            del content[place:]
        path.write_bytes(content)
        kept = {file: file.stat().st_mtime_ns for file in out.glob("*.h5") if file != path}
        precompute_swaps(tiny_dataset, out, params, **JOB)  # type: ignore[arg-type]
        assert contents(out) == contents(whole)
        assert {file: file.stat().st_mtime_ns for file in kept} == kept
