"""Turned pairs: correspondence and maps against loops that turn images and encode them again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.maps import CELLS
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.swaps.dataset import SwappedPair, SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.references import augment, versions
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.swap import weight_map
from srntt_pipeline.swaps.turning import turned_correspondence
from srntt_pipeline.swaps.windowed import swap_features
from srntt_pipeline.views import AS_IT_IS, WAYS, Colour, View, turned
from tests.naive_views import naive
from tests.swaps import naive_refine

pytestmark = pytest.mark.usefixtures("one_thread")  # as shards are made

CPU = torch.device("cpu")


def naive_places(found: Correspondence, way: int) -> np.ndarray:
    """The matches (version, y, x) [h-2, w-2, 3] of the turned pair, in pixels, patch by patch."""
    before = naive_refine.places(found)
    where = []  # by version: where each pixel of it lies in the turned one
    for height, width in found.shapes:
        label = naive(np.arange(16 * height * width).reshape(4 * height, 4 * width), way)
        places = {int(value): place for place, value in np.ndenumerate(label)}
        where.append([places[number] for number in range(label.size)])
    rows, columns = before.shape[:2]
    patches = naive(np.arange(rows * columns).reshape(rows, columns), way)
    after = np.zeros((*patches.shape, 3), np.int64)
    for place, number in np.ndenumerate(patches):
        version, y, x = before[divmod(int(number), columns)]
        wide = 4 * found.shapes[version][1]
        corners = [(y + down) * wide + x + right for down in (0, 11) for right in (0, 11)]
        pixels = np.array([where[version][corner] for corner in corners])
        after[place] = (version, *pixels.min(0))
    return after


sides = st.integers(3, 6)
shapes = st.lists(st.tuples(sides, sides), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), shapes, st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_each_match_lies_where_its_pixels_lie(
    seed: int, ref_shapes: list[tuple[int, int]], rows: int, columns: int, refined: bool
) -> None:
    found = naive_refine.any_places(np.random.default_rng(seed), ref_shapes, (rows, columns))
    if not refined:
        found = replace(found, phase=None)
    for way in range(WAYS):
        after = turned_correspondence(found, way)
        assert after.shapes == tuple(s[:: -1 if way // 2 % 2 else 1] for s in found.shapes)
        assert (after.phase is None) == (not refined)
        np.testing.assert_array_equal(naive_refine.places(after), naive_places(found, way))
        np.testing.assert_array_equal(after.cosine, naive(found.cosine.numpy(), way))
        np.testing.assert_array_equal(after.score, after.cosine)
        back = turned_correspondence(after, way if way % 2 else (8 - way) % 8)
        for name, values in found.tensors().items():
            assert torch.equal(back.tensors()[name], values)
            assert back.tensors()[name].dtype == values.dtype
        assert back.shapes == found.shapes


def opened(dataset: Path, swaps: Path, cache_bytes: int = 0) -> SwappedPairs:
    encoder = load_encoder("random", 0, CPU)
    return SwappedPairs(read_train_pairs(dataset), Shards(swaps), encoder, cache_bytes)


@pytest.mark.parametrize("way", range(WAYS))
@pytest.mark.parametrize("kind", ["tiny_swaps", "grid_swaps"])
def test_a_turned_pair_is_that_of_turned_images(
    tiny_dataset: Path, request: pytest.FixtureRequest, kind: str, way: int
) -> None:
    pairs = opened(tiny_dataset, request.getfixturevalue(kind))
    encoder, stored = load_encoder("random", 0, CPU), pairs._shards["1"]
    item = pairs.seen(1, View(way))
    hr, ref = (np.asarray(Image.open(path)) for path in (pairs.pairs[1].hr, pairs.pairs[1].ref))
    turned_hr = Image.fromarray(np.ascontiguousarray(naive(hr, way)))
    size = (turned_hr.width // 4, turned_hr.height // 4)
    lr = turned_hr.resize(size, Image.Resampling.BICUBIC)
    for name, image in (("hr", turned_hr), ("lr", lr)):
        pixels = item[name].permute(1, 2, 0).mul(255).round()
        np.testing.assert_array_equal(pixels, np.asarray(image))

    places = naive_places(stored.correspondence, way)
    dense = [
        naive_refine.dense_maps(encoder, naive(augment(ref, version), way))
        for version in versions(pairs._shards.params)
    ]
    plain = pairs[1]
    for layer, maps in item["maps"].items():
        expected = naive_refine.swapped(places, [one[layer] for one in dense], CELLS[layer])
        assert maps.shape == expected.shape
        error = np.linalg.norm(maps.numpy() - expected)
        assert error < 1e-5 * np.linalg.norm(expected)
        apart = (maps - turned(plain["maps"][layer], way)).norm() / maps.norm()
        assert (apart > 0.1) == (way > 0)  # maps of a turned image are no turned maps
    torch.testing.assert_close(item["weight"], turned(plain["weight"], way))


def test_a_pair_as_it_is_has_the_bits_of_its_correspondence(
    tiny_dataset: Path, tiny_swaps: Path
) -> None:
    pairs = opened(tiny_dataset, tiny_swaps)
    ref = np.asarray(Image.open(pairs.pairs[0].ref))
    found = pairs._shards["0"].correspondence
    encoder = load_encoder("random", 0, CPU)
    swapped = swap_features(found, [ref], versions(pairs._shards.params), encoder)
    for item in (pairs[0], pairs.seen(0, AS_IT_IS)):
        assert torch.equal(item["weight"], weight_map(found))
        for layer, maps in swapped.maps.items():
            assert torch.equal(item["maps"][layer], maps)


def equal(one: SwappedPair, two: SwappedPair) -> bool:
    tensors = [(pair["lr"], pair["hr"], pair["weight"], *pair["maps"].values()) for pair in
               (one, two)]  # fmt: skip
    return all(torch.equal(a, b) for a, b in zip(*tensors, strict=True))


@pytest.mark.parametrize(("cache_bytes", "kept"), [(0, 0), (1_800_000, 2), (1 << 30, 6)])
def test_turned_pairs_are_kept_apart(
    tiny_dataset: Path, tiny_swaps: Path, cache_bytes: int, kept: int
) -> None:
    pairs, plain = (opened(tiny_dataset, tiny_swaps, room) for room in (cache_bytes, 0))
    ways = [(index, way) for index in (0, 2) for way in (0, 3, 6)]
    for index, way in ways * 2:
        assert equal(pairs.seen(index, View(way)), plain.seen(index, View(way)))
    assert len(pairs._cache) == kept  # one takes about 0.9 MB


def test_a_recoloured_pair_is_that_of_recoloured_images(
    tiny_dataset: Path, tiny_swaps: Path
) -> None:
    pairs = opened(tiny_dataset, tiny_swaps, 1 << 30)
    view = View(5, Colour(1.2, 0.8, 1.4))
    item = pairs.seen(1, view)
    assert not pairs._cache
    hr, ref = (np.asarray(Image.open(path)) for path in (pairs.pairs[1].hr, pairs.pairs[1].ref))
    np.testing.assert_array_equal(item["hr"].permute(1, 2, 0).mul(255).round(), view.of(hr))
    assert torch.equal(item["lr"], pairs.lr_hr(1, view)[0])
    found = turned_correspondence(pairs._shards["1"].correspondence, 5)
    swapped = swap_features(
        found, [view.recoloured(ref)], versions(pairs._shards.params),
        load_encoder("random", 0, CPU), 5,
    )  # fmt: skip
    for layer, maps in swapped.maps.items():
        assert torch.equal(item["maps"][layer], maps)
    assert not equal(item, pairs.seen(1, View(5)))


@pytest.mark.parametrize("view", [View(1), View(0, Colour(1.1, 1, 1))], ids=str)
def test_stored_maps_have_no_other_views(tiny_dataset: Path, tiny_maps: Path, view: View) -> None:
    pairs = SwappedPairs(read_train_pairs(tiny_dataset), Shards(tiny_maps), None)
    assert pairs.seen(0, AS_IT_IS)["name"] == "0"
    with pytest.raises(InputError, match=r"holds maps, and .*`shards convert") as caught:
        pairs.seen(0, view)
    assert str(tiny_maps) in str(caught.value)
    assert "\n" not in str(caught.value)
