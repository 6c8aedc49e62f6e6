import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.maps import CELLS, CHANNELS, EncoderIdentity
from srntt_pipeline.matching.correspondence import Correspondence, match_maps
from srntt_pipeline.matching.patches import PatchNumbers
from srntt_pipeline.swaps.shards import (
    ShardHeader,
    Shards,
    StoredSwap,
    is_whole,
    write_index,
    write_shard,
)
from srntt_pipeline.swaps.swap import GridMaps, swap, weight_map
from tests.swaps import naive_refine

MADE_FROM = "f" * 64
ENCODER = EncoderIdentity("random, seed 3", "e" * 64)
HEADER = ShardHeader(ENCODER, SwapParams(refine="none"), MADE_FROM)
REFINED = ShardHeader(ENCODER, SwapParams(refine="relu3_1"), MADE_FROM)
HR, REFS = "a" * 64, ("b" * 64, "c" * 64)


@pytest.fixture(params=[False, True], ids=["on the grid", "to the pixel"])
def refined(request: pytest.FixtureRequest) -> bool:
    return request.param


def random_swap(
    name: str, seed: int = 0, size: tuple[int, int] = (8, 9), *, refined: bool = False
) -> StoredSwap:
    rng = np.random.default_rng(seed)
    shapes = ((7, 9), (6, 6), (3, 3))
    if refined:
        return StoredSwap(name, HR, REFS, naive_refine.any_places(rng, shapes, size))
    index = torch.from_numpy(rng.integers(0, PatchNumbers(shapes).count, size))
    weight = torch.from_numpy(rng.random(size, np.float32))
    return StoredSwap(name, HR, REFS, Correspondence(index, weight, weight, shapes))


def header_of(swap: StoredSwap) -> ShardHeader:
    return HEADER if swap.correspondence.phase is None else REFINED


def assert_equal(found: StoredSwap, expected: StoredSwap) -> None:
    assert (found.name, found.hr_sha256) == (expected.name, expected.hr_sha256)
    assert found.ref_sha256 == expected.ref_sha256
    assert found.correspondence.shapes == expected.correspondence.shapes
    assert torch.equal(found.correspondence.index, expected.correspondence.index)
    assert torch.equal(found.correspondence.cosine, expected.correspondence.cosine)
    phase, expected_phase = found.correspondence.phase, expected.correspondence.phase
    assert (phase is None) == (expected_phase is None)
    if phase is not None:
        assert phase.dtype == torch.uint8
        assert torch.equal(phase, expected_phase)


def write(folder: Path, *parts: list[StoredSwap]) -> Path:
    paths = [folder / f"shard-{number:05d}.h5" for number in range(len(parts))]
    header = header_of(parts[0][0])
    for path, part in zip(paths, parts, strict=True):
        write_shard(path, header, part)
    names = [[swap.name for swap in part] for part in parts]
    write_index(folder, header, list(zip(paths, names, strict=True)))
    return paths[-1]


@st.composite
def swaps(draw: st.DrawFn, refined: bool) -> StoredSwap:
    sides = st.integers(3, 300)
    shapes = tuple(draw(st.lists(st.tuples(sides, sides), min_size=1, max_size=4)))
    rows, columns = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    size = rows * columns
    weights = st.floats(0, 1, width=32)
    weight = torch.tensor(draw(st.lists(weights, min_size=size, max_size=size)))
    weight = weight.view(rows, columns)
    if refined:
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        found = naive_refine.any_places(rng, shapes, (rows, columns))
        found = replace(found, score=weight, cosine=weight)
    else:
        indices = st.integers(0, PatchNumbers(shapes).count - 1)
        index = torch.tensor(draw(st.lists(indices, min_size=size, max_size=size)))
        found = Correspondence(index.view(rows, columns), weight, weight, shapes)
    return StoredSwap("", HR, REFS, found)


@settings(max_examples=50, deadline=None)
@given(found=st.booleans().flatmap(lambda kind: st.lists(swaps(kind), min_size=1, max_size=3)))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, found: list[StoredSwap]) -> None:
    folder = tmp_path_factory.mktemp("swaps")
    names = ["H_0_7595161@N07_31 0", "Größe.raw_01", "写真"][: len(found)]
    stored = [
        StoredSwap(name, HR, REFS, s.correspondence) for name, s in zip(names, found, strict=True)
    ]
    write(folder, stored[:1], stored[1:])
    shards, header = Shards(folder), header_of(stored[0])
    assert shards.names == sorted(names)
    assert (shards.encoder, shards.params, shards.made_from) == (
        header.encoder,
        header.params,
        MADE_FROM,
    )
    for expected in stored:
        assert_equal(shards[expected.name], expected)


def test_stored_correspondence_gives_exactly_the_same_maps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    lr, refs = torch.rand(4, 9, 8), [torch.rand(4, 7, 6), torch.rand(4, 12, 5)]
    found = match_maps(lr, refs)
    write(tmp_path, [StoredSwap("pair", HR, REFS, found)])
    stored = Shards(tmp_path)["pair"].correspondence
    raw = [
        GridMaps({
            layer: torch.rand(CHANNELS[layer], h * cell, w * cell)
            for layer, cell in CELLS.items()
        })
        for _, h, w in (ref.shape for ref in refs)
    ]  # fmt: skip
    expected = swap(found, raw.__getitem__)
    for layer, maps in swap(stored, raw.__getitem__).items():
        assert torch.equal(maps, expected[layer])
    assert torch.equal(weight_map(stored), weight_map(found))


def test_matches_of_another_kind_than_the_parameters_say_are_not_written(
    tmp_path: Path, refined: bool
) -> None:
    header = HEADER if refined else REFINED
    with pytest.raises(ValueError, match="a: refined matches where there are none, or none"):
        write_shard(tmp_path / "shard.h5", header, [random_swap("a", refined=refined)])
    assert list(tmp_path.iterdir()) == []


def test_anyone_can_read_the_format(tmp_path: Path, refined: bool) -> None:
    expected = random_swap("pair", refined=refined)
    path = write(tmp_path, [expected])
    with h5py.File(path) as file:
        pair = file["pairs"]["pair"]
        assert np.array_equal(pair["index"][:], expected.correspondence.index)
        assert np.array_equal(pair["cosine"][:], expected.correspondence.cosine)
        assert pair["index"].fletcher32
        assert pair["cosine"].fletcher32
        assert ("phase" in pair) == refined
        if refined:
            assert np.array_equal(pair["phase"][:], expected.correspondence.phase)
            assert pair["phase"].dtype == np.uint8
            assert pair["phase"].fletcher32
            assert 0 < pair["phase"][:].max() < 16
        assert [tuple(shape) for shape in pair["shapes"][:]] == [(7, 9), (6, 6), (3, 3)]
        assert json.loads(file.attrs["encoder"]) == {"source": "random, seed 3", "sha256": "e" * 64}


def with_maps(swap: StoredSwap, size: float = 10.0) -> StoredSwap:
    height, width = (side + 2 for side in swap.correspondence.index.shape)
    rng = np.random.default_rng(len(swap.name))
    maps = {
        layer: torch.from_numpy(
            size * rng.random((CHANNELS[layer], height * cell, width * cell), np.float32)
        )
        for layer, cell in CELLS.items()
    }
    return replace(swap, maps=maps)


@pytest.mark.parametrize("codec", ["none", "lzf", "gzip"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_maps_come_back_beside_their_correspondence(
    tmp_path: Path, dtype: str, codec: str, refined: bool
) -> None:
    refine = "relu3_1" if refined else "none"
    params = SwapParams(store="maps", maps_dtype=dtype, maps_codec=codec, refine=refine)
    header = replace(HEADER, params=params)
    stored = [with_maps(random_swap(name, refined=refined)) for name in ("a", "bb")]
    path = tmp_path / "shard-00000.h5"
    write_shard(path, header, stored)
    write_index(tmp_path, header, [(path, ["a", "bb"])])
    shards = Shards(tmp_path)
    assert shards.has_maps
    for expected in stored:
        assert_equal(shards[expected.name], expected)
        for layer, maps in shards.maps(expected.name).items():
            assert maps.dtype == torch.float32
            exact = expected.maps[layer].numpy().astype(dtype).astype(np.float32)
            assert np.array_equal(maps.numpy(), exact)
    with h5py.File(path) as file:  # a chunk a map, in filters that h5py has itself
        for layer, maps in file["pairs"]["a"]["maps"].items():
            assert maps.chunks == maps.shape, layer
            assert maps.dtype == dtype
            assert maps.fletcher32
            assert maps.compression == (None if codec == "none" else codec)


def test_maps_beyond_float16_are_refused(tmp_path: Path) -> None:
    header = replace(HEADER, params=SwapParams(store="maps", refine="none"))
    with pytest.raises(InputError, match=r"a: maps .* use --maps-dtype float32"):
        write_shard(tmp_path / "shard.h5", header, [with_maps(random_swap("a"), size=1e6)])
    assert list(tmp_path.iterdir()) == []


def test_shards_of_correspondences_have_no_maps(tmp_path: Path) -> None:
    write(tmp_path, [random_swap("a")])
    shards = Shards(tmp_path)
    assert not shards.has_maps
    with pytest.raises(InputError, match="holds correspondences, no maps"):
        shards.maps("a")


def test_a_file_put_in_the_place_of_one_that_was_read_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, [random_swap("a")])
    shards = Shards(tmp_path)
    assert_equal(shards["a"], random_swap("a"))
    write_shard(path, HEADER, [random_swap("a", seed=5)])
    with pytest.raises(InputError, match=r"shard-00000\.h5 is damaged or foreign"):
        shards["a"]


def test_no_file_stays_open(tmp_path: Path) -> None:
    path = write(tmp_path, [random_swap("a")])
    shards = Shards(tmp_path)
    shards["a"]
    links = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    assert path.resolve() not in links


def test_same_swaps_same_bytes(tmp_path: Path, refined: bool) -> None:
    first, second = (
        write(tmp_path / n, [random_swap(name, ord(name), refined=refined) for name in "ab"])
        for n in "12"
    )
    assert first.read_bytes() == second.read_bytes()


def test_a_shard_is_whole_for_what_made_it(tmp_path: Path) -> None:
    path = write(tmp_path, [random_swap("a")])
    assert is_whole(path, MADE_FROM)
    assert not is_whole(path, "0" * 64)
    assert not is_whole(tmp_path / "none.h5", MADE_FROM)


def test_index_lists_the_shards_and_no_others(tmp_path: Path) -> None:
    write(tmp_path, [random_swap("a")], [random_swap("b")], [random_swap("c")])
    write(tmp_path, [random_swap("a")])
    assert Shards(tmp_path).names == ["a"]


def test_pickled_after_use(tmp_path: Path) -> None:
    expected = random_swap("a")
    write(tmp_path, [expected])
    shards = Shards(tmp_path)
    assert_equal(shards["a"], expected)
    assert_equal(pickle.loads(pickle.dumps(shards))["a"], expected)
    assert_equal(shards["a"], expected)


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 2
    path.write_bytes(content)


def flip_stored(path: Path, name: str) -> None:
    with h5py.File(path) as file:
        values = file["pairs"]["b"][name]
        chunked = values.chunks is not None
        offset = values.id.get_chunk_info(0).byte_offset if chunked else values.id.get_offset()
    flip(path, offset + 2)


def foreign(path: Path) -> None:
    """A shard made with other parameters, as a run killed before it wrote its index leaves it."""
    write_shard(path, HEADER, [random_swap("b", seed=9)])


def empty_hdf5(path: Path) -> None:
    h5py.File(path, "w").close()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "text": lambda path: path.write_text("swaps\n"),
    "empty HDF5": empty_hdf5,
    "signature": lambda path: flip(path, path.read_bytes().index(b"\x89HDF") + 2),
    "index": lambda path: flip_stored(path, "index"),
    "cosine": lambda path: flip_stored(path, "cosine"),
    "shapes": lambda path: flip_stored(path, "shapes"),
    "hash of HR": lambda path: flip(path, path.read_bytes().index(HR.encode())),
    "name": lambda path: flip(path, path.read_bytes().index(b"pairs")),
}


# Those of both kinds, and one that only refined matches can have.
EITHER = [
    *((refined, name) for refined in (False, True) for name in DAMAGES),
    (True, "phase"),
]
ALL_DAMAGES = {**DAMAGES, "phase": lambda path: flip_stored(path, "phase"), "foreign": foreign}


@pytest.mark.parametrize(("refined", "name"), [*EITHER, (False, "foreign"), (True, "foreign")])
def test_damaged_shards_are_named(tmp_path: Path, refined: bool, name: str) -> None:
    path = write(tmp_path, *([random_swap(pair, refined=refined)] for pair in "ab"))
    damage = ALL_DAMAGES[name]
    damage(path)
    with pytest.raises(InputError) as caught:
        read_all(tmp_path, ["a", "b"])
    assert str(path) in str(caught.value)
    assert "precompute-swaps" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("refined", "name"), EITHER)
def test_damaged_shards_are_not_whole(tmp_path: Path, refined: bool, name: str) -> None:
    path = write(tmp_path, [random_swap("b", refined=refined)])
    ALL_DAMAGES[name](path)
    assert not is_whole(path, MADE_FROM)


def read_all(folder: Path, names: list[str]) -> list[StoredSwap]:
    shards = Shards(folder)
    return [shards[name] for name in names]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), refined=st.booleans())
def test_any_flipped_bit_is_noticed_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int, refined: bool
) -> None:
    folder = tmp_path_factory.mktemp("swaps")
    expected = random_swap("b", size=(30, 30), refined=refined)
    path = write(folder, [expected])
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        (found,) = read_all(folder, ["b"])
    except InputError:
        return
    assert_equal(found, expected)


def drop(key: str) -> Callable[[dict], object]:
    return lambda index: index.pop(key)


@pytest.mark.parametrize(
    "change",
    [
        drop("format"),
        drop("version"),
        drop("encoder"),
        drop("params"),
        drop("made_from"),
        drop("shards"),
        lambda index: index.update(format="other"),
        lambda index: index.update(version=1),
        lambda index: index.update(encoder="VGG19"),
        lambda index: index["params"].update(scale=2),
        lambda index: index["params"].update(refine="relu2_1"),
        lambda index: index["shards"][0].pop("file"),
    ],
)
def test_foreign_index_is_named(tmp_path: Path, change: Callable[[dict], object]) -> None:
    write(tmp_path, [random_swap("a")])
    index = json.loads((tmp_path / "index.json").read_text())
    change(index)
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert_index_is_named(tmp_path)


@pytest.mark.parametrize("content", [None, "", "[]", "7", '"text"', '{"format": ', "\0\1"])
def test_index_that_is_none(tmp_path: Path, content: str | None) -> None:
    write(tmp_path, [random_swap("a")])
    (tmp_path / "index.json").unlink()
    if content is not None:
        (tmp_path / "index.json").write_text(content)
    assert_index_is_named(tmp_path)


def assert_index_is_named(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        Shards(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder(tmp_path: Path) -> None:
    assert_index_is_named(tmp_path / "none")


def test_unknown_pair_is_named(tmp_path: Path) -> None:
    write(tmp_path, [random_swap("a")])
    with pytest.raises(InputError, match=r"holds no swap of the pair zebra"):
        Shards(tmp_path)["zebra"]
