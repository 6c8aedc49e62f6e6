"""Damaged shards and killed writers: noticed, named, made again, never read as data."""

import multiprocessing
import random
import shutil
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.hdf5 import is_intact
from srntt_pipeline.shard import Shard
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.shards import Shards

Contents = Callable[[Path], dict[str, bytes]]
STORES = {"tiny_swaps": "correspondence", "tiny_maps": "maps"}
PARAMS = SwapParams(
    encoder_weights="random", scales=(1.0, 0.7), rotations_deg=(0.0,), pairs_per_shard=1
)
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


class Run:
    """A run in a process of its own; `begun` once it has started and loaded what it needs."""

    def __init__(self, dataset: Path, out: Path, store: str, **options: object) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["srntt_pipeline.swaps.precompute"])
        params = PARAMS.model_copy(update={"store": store})
        self.begun = context.Event()
        self.process = context.Process(
            target=begin, args=(self.begun, dataset, out, params), kwargs={**JOB, **options}
        )
        self.process.start()

    def wait_and_kill(self, seconds: float) -> int | None:
        """Kill it so many seconds after it has begun, if it is not done; return its exit code."""
        assert self.begun.wait(60)
        self.process.join(seconds)
        self.process.kill()
        self.process.join()
        return self.process.exitcode


def begin(begun: Event, dataset: Path, out: Path, params: SwapParams, **options: object) -> None:
    load_encoder("random", 0, torch.device("cpu"))
    begun.set()
    precompute_swaps(dataset, out, params, **options)  # type: ignore[arg-type]


def seconds_undisturbed(dataset: Path, out: Path, store: str) -> float:
    """Return how long the work itself takes."""
    run = Run(dataset, out, store)
    assert run.begun.wait(60)
    began = time.monotonic()
    assert run.wait_and_kill(60) == 0
    return time.monotonic() - began


def test_a_killed_array_task_costs_at_most_the_shard_in_hand(
    tiny_dataset: Path, tmp_path: Path, contents: Contents
) -> None:
    duration = seconds_undisturbed(tiny_dataset, tmp_path / "undisturbed", "correspondence")
    out, rng = tmp_path / "out", random.Random(1)
    tasks = [Shard(1, 2), Shard(2, 2)]
    for _ in range(4):
        running = [Run(tiny_dataset, out, "correspondence", shard=task) for task in tasks]
        for run in running:
            assert run.begun.wait(60)
        time.sleep(duration * rng.random())
        before = {path: path.stat().st_mtime_ns for path in out.glob("shard-*.h5")}
        for run in running:
            run.wait_and_kill(0)
    for task in tasks:
        assert Run(tiny_dataset, out, "correspondence", shard=task).wait_and_kill(60) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert Run(tiny_dataset, out, "correspondence", merge=True).wait_and_kill(60) == 0
    assert contents(out) == contents(tmp_path / "undisturbed")
