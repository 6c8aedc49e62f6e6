"""Shards and indexes of strangers: one line, nothing followed, nothing allocated."""

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import hostile
import numpy as np
import pytest
import torch
from test_shards import HEADER, random_swap, with_maps

from srntt_pipeline.config import MatchParams, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.swaps.convert import convert_shards
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder, vgg19
from srntt_pipeline.swaps.info import shards_info
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.shards import ShardHeader, Shards, write_index, write_shard
from srntt_pipeline.swaps.show import show_match
from srntt_pipeline.swaps.verify import verify_shards


def make_good(folder: Path, refined: bool) -> Path:
    """Pairs a and b with maps; beside them, files that links lead to."""
    params = SwapParams(store="maps", refine="relu3_1" if refined else "none")
    header = ShardHeader(HEADER.encoder, params, HEADER.made_from)
    path = folder / "shard-00000.h5"
    write_shard(path, header, [with_maps(random_swap(name, refined=refined)) for name in "ab"])
    write_index(folder, header, [(path, ["a", "b"])])
    shutil.copy(path, folder / "other.h5")
    (folder / "other.raw").write_bytes(bytes(1 << 10))
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Such shards of matches on the grid and to the pixel."""
    return {
        refined: make_good(tmp_path_factory.mktemp("good"), refined) for refined in (False, True)
    }


@pytest.fixture
def folder(good: dict[bool, Path], tmp_path: Path) -> Path:
    return shutil.copytree(good[False], tmp_path / "swaps")


def line(call: Callable[[], object]) -> str:
    """Return the one line of the error that `call` raises."""
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000
    return message


ON_GRID = {**hostile.SHARDS, **hostile.MAPS}
EDITS = {**ON_GRID, **hostile.PHASES}


@pytest.mark.parametrize(
    ("refined", "name"),
    [
        *(
            (refined, name)
            for refined in (False, True)
            for name in EDITS
            if name not in hostile.PHASES
        ),
        *((True, name) for name in hostile.PHASES),
    ],
)
def test_a_shard_of_a_stranger_is_named_with_the_pair(
    good: dict[bool, Path], tmp_path: Path, refined: bool, name: str
) -> None:
    folder = shutil.copytree(good[refined], tmp_path / "swaps")
    hostile.edit_shard(folder, EDITS[name])
    shards = Shards(folder)
    tracemalloc.start()
    try:
        said = line(lambda: shards.maps("a") if name in hostile.MAPS else shards["a"])
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert said.startswith(f"{folder / 'shard-00000.h5'}, a: ")
    assert said.endswith("; delete that file and run precompute-swaps again")
    found: list[str] = []
    line(lambda: verify_shards(folder, say=found.append))
    assert found[0] == said
    if name in hostile.PHASES:
        assert said.count("phase") == 1
    if name not in hostile.MAPS:
        line(lambda: shards_info(folder))


@pytest.mark.parametrize("place", [(0, 0), (1, 0), (0, 1)], ids=str)
def test_phases_up_to_the_last_pixel_are_read(
    good: dict[bool, Path], tmp_path: Path, place: tuple[int, int]
) -> None:
    """The last patch of a version on the grid, and those before it along one side."""
    folder = shutil.copytree(good[True], tmp_path / "swaps")

    def change(pair: h5py.Group) -> None:
        height, width = (int(side) - 2 for side in pair["shapes"][0])
        patch = (height - 1 - place[0]) * width + width - 1 - place[1]
        hostile.put("index", hostile.first(patch))(pair)
        hostile.put("phase", hostile.first(4 * 3 * place[0] + 3 * place[1]))(pair)

    hostile.edit_shard(folder, change)
    assert Shards(folder)["a"].correspondence.phases[0, 0] == 12 * place[0] + 3 * place[1]


def test_phases_of_matches_on_the_grid_are_not_read(folder: Path) -> None:
    hostile.edit_shard(folder, lambda pair: pair.create_dataset("phase", data="text"))
    assert Shards(folder)["a"].correspondence.phase is None


@pytest.mark.parametrize("name", hostile.INDEXES)
def test_an_index_of_a_stranger_is_named(folder: Path, name: str) -> None:
    hostile.edit_index(folder, hostile.INDEXES[name])
    assert line(lambda: Shards(folder)).startswith(str(folder / "index.json"))


def test_an_index_that_is_no_file_does_not_hang(folder: Path) -> None:
    (folder / "index.json").unlink()
    os.mkfifo(folder / "index.json")
    assert "not a regular file" in line(lambda: Shards(folder))


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "link out", "loop"])
def test_a_shard_that_is_no_file_of_the_folder(folder: Path, tmp_path: Path, kind: str) -> None:
    path = folder / "shard-00000.h5"
    moved = path.rename(tmp_path / path.name)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        target = {"device": "/dev/zero", "link out": moved, "loop": path}[kind]
        path.symlink_to(target)
    said = line(lambda: Shards(folder)["a"])
    assert said.startswith(f"{path} is damaged or foreign (")
    found: list[str] = []
    line(lambda: verify_shards(folder, say=found.append))
    assert found == [said]


def test_a_folder_that_is_a_link_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert Shards(tmp_path / "link")["a"].name == "a"


def on_the_grid(pair: h5py.Group) -> None:
    hostile.put("phase", np.zeros_like)(pair)  # or it would lead out of a smaller version


def smaller(pair: h5py.Group) -> None:
    for name in ("index", "cosine", "phase"):
        hostile.put(name, lambda values: values[:-1])(pair)


def other_versions(pair: h5py.Group) -> None:
    on_the_grid(pair)
    hostile.put("shapes", lambda values: values[:, ::-1])(pair)


def more_versions(pair: h5py.Group) -> None:
    on_the_grid(pair)
    hostile.put("shapes", lambda values: values.repeat(9, axis=0))(pair)


@pytest.mark.parametrize("change", [smaller, other_versions, more_versions])
def test_sizes_that_are_not_those_of_the_images(
    tiny_swaps: Path, tiny_dataset: Path, tmp_path: Path, change: hostile.Edit
) -> None:
    """Such a file makes sense in itself; with the images it does not."""
    folder = shutil.copytree(tiny_swaps, tmp_path / "swaps")
    hostile.edit_shard(folder, change)
    shards = Shards(folder)
    pairs = read_train_pairs(tiny_dataset)
    encoder = load_encoder("random", 0, torch.device("cpu"))
    words = f"{folder}: the swap of 0 is of images of another size"
    assert words in line(lambda: SwappedPairs(pairs, shards, encoder)[0])
    drawn = tmp_path / "match.png"
    show = {"swaps": folder, "dataset": tiny_dataset, "device": "cpu"}
    assert words in line(lambda: show_match("0", drawn, MatchParams(), **show))
    assert not drawn.exists()
    if change is not smaller:
        out, store = tmp_path / "maps", {"store": "maps", "workers": 1, "device": "cpu"}
        assert words in line(lambda: convert_shards(folder, out, tiny_dataset, **store))


def test_an_encoder_that_gives_no_numbers_is_named(tiny_dataset: Path, tmp_path: Path) -> None:
    """Finite weights, whose products are not."""
    state = vgg19("random", 0, 12).state_dict()
    state = {f"features.{key}": value * 1e30 for key, value in state.items()}
    torch.save(state, tmp_path / "large.pth")
    params = SwapParams(encoder_weights=str(tmp_path / "large.pth"))
    said = line(
        lambda: precompute_swaps(tiny_dataset, tmp_path / "out", params, workers=1, device="cpu")
    )
    assert "large.pth" in said
    assert "gives maps that are no numbers" in said
    assert not list((tmp_path / "out").glob("*"))


def test_cosines_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    swap = random_swap("a")
    swap.correspondence.cosine[2, 3] = float("nan")
    said = line(lambda: write_shard(tmp_path / "shard-00000.h5", HEADER, [swap]))
    assert said.startswith(
        "a: cosines of VGG19, random, seed 3 (sha256 eeeeeeeeeeee) are no numbers"
    )
    assert not list(tmp_path.iterdir())


def test_an_older_index_without_networks_is_read(folder: Path) -> None:
    hostile.edit_index(folder, lambda index: index.pop("networks"))
    assert Shards(folder).networks == {}
    assert "networks" not in json.loads((folder / "index.json").read_text())
