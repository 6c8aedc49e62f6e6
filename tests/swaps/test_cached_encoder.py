import numpy as np
import pytest
import torch

from srntt_pipeline.maps import LAYERS
from srntt_pipeline.swaps.cached_encoder import CachedEncoder
from srntt_pipeline.swaps.dense import DenseMaps
from srntt_pipeline.swaps.encoder import _BATCH_PIXELS, Encoder, load_encoder
from srntt_pipeline.swaps.layers import EncoderPrecision

RELU3_1_BYTES = 256 * 4 * 4 * 4  # of an image of 16×16 px


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("random", 0, torch.device("cpu"))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The images that were really encoded, by their first value."""
    made: list[int] = []
    forward = Encoder._encode_batch

    def encode(self: Encoder, images: list[np.ndarray], layers: list[str]) -> list:
        made.extend(int(image[0, 0, 0]) for image in images)
        return forward(self, images, layers)

    monkeypatch.setattr(Encoder, "_encode_batch", encode)
    return made


def image(number: int, height: int = 16, width: int = 16) -> np.ndarray:
    values = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
    values[0, 0, 0] = number
    return values


@pytest.mark.parametrize("layers", [["relu3_1"], LAYERS])
def test_maps_are_the_encoders(encoder: Encoder, layers: list[str]) -> None:
    cached = CachedEncoder(encoder, 1 << 30)
    for _ in range(2):
        for number in range(3):
            expected = encoder.encode(image(number))
            found = cached.encode(image(number), layers)
            assert list(found) == list(layers)
            assert all(torch.equal(found[layer], expected[layer]) for layer in layers)
    assert cached.identity == encoder.identity


def test_an_image_is_encoded_once(encoder: Encoder, passes: list[int]) -> None:
    cached = CachedEncoder(encoder, 1 << 30)
    for number in (1, 2, 1, 1, 2):
        cached.encode(image(number), ["relu3_1"])
    assert passes == [1, 2]


def test_what_was_used_last_is_kept_within_the_bound(encoder: Encoder, passes: list[int]) -> None:
    cached = CachedEncoder(encoder, 2 * RELU3_1_BYTES)
    for number in (1, 2, 1, 3, 1, 2):
        cached.encode(image(number), ["relu3_1"])
    assert passes == [1, 2, 3, 2]
    assert sum(maps["relu3_1"].nbytes for maps in cached._kept.values()) == 2 * RELU3_1_BYTES


def test_without_room_it_still_encodes(encoder: Encoder, passes: list[int]) -> None:
    cached = CachedEncoder(encoder, 0)
    for _ in range(2):
        assert torch.equal(
            cached.encode(image(7), ["relu3_1"])["relu3_1"], encoder.encode(image(7))["relu3_1"]
        )
    assert passes == [7, 7, 7, 7]
    assert not cached._kept


def test_equal_bytes_in_another_shape_are_another_image(encoder: Encoder) -> None:
    cached = CachedEncoder(encoder, 1 << 30)
    grey = np.full((16, 32, 3), 9, np.uint8)
    assert cached.encode(grey)["relu3_1"].shape == (256, 4, 8)
    assert cached.encode(grey.reshape(32, 16, 3))["relu3_1"].shape == (256, 8, 4)


def test_maps_of_other_layers_are_other_maps(encoder: Encoder, passes: list[int]) -> None:
    cached = CachedEncoder(encoder, 1 << 30)
    for layers in (["relu3_1"], LAYERS, ["relu3_1"]):
        assert list(cached.encode(image(5), layers)) == list(layers)
    assert passes == [5, 5]


def test_a_batch_encodes_what_is_new(
    encoder: Encoder, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_BATCH_PIXELS, "cpu", 3 * 16 * 16)
    cached = CachedEncoder(encoder, 1 << 30)
    cached.encode(image(2), ["relu3_1"])
    found = list(cached.encode_each(map(image, (1, 2, 1, 3)), ["relu3_1"]))
    assert passes == [2, 1, 3]
    for maps, number in zip(found, (1, 2, 1, 3), strict=True):
        expected = encoder.encode(image(number))["relu3_1"]
        assert (maps["relu3_1"] - expected).norm() < 1e-5 * expected.norm()


@pytest.fixture
def dense_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The images whose dense maps were really begun, by their first value."""
    made: list[int] = []
    begin = Encoder.dense

    def dense(self: Encoder, image: np.ndarray, *, texture: bool = False) -> DenseMaps:
        made.append(int(image[0, 0, 0]))
        return begin(self, image, texture=texture)

    monkeypatch.setattr(Encoder, "dense", dense)
    return made


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("room", [0, 1 << 30])
def test_dense_maps_are_the_encoders(precision: EncoderPrecision, room: int) -> None:
    encoder = load_encoder("random", 0, torch.device("cpu"), precision)
    cached = CachedEncoder(encoder, room)
    places = torch.tensor([0, 1, 2]), torch.tensor([2, 0, 1])
    for _ in range(2):
        for number in range(2):
            expected = encoder.dense(image(number), texture=True)
            found = cached.dense(image(number), texture=True)
            for phase in (0, 5, 15, 6):
                for layer in LAYERS:
                    cells = found.cells(layer, phase, *places)
                    assert torch.equal(cells, expected.cells(layer, phase, *places))
            for one, other in zip(found.relu3_1(), expected.relu3_1(), strict=True):
                assert one[0] == other[0]
                assert torch.equal(one[1], other[1])


def test_dense_maps_are_begun_once_and_kept_within_the_bound(
    encoder: Encoder, dense_passes: list[int]
) -> None:
    size = encoder.dense(image(0), texture=True).nbytes
    dense_passes.clear()
    cached = CachedEncoder(encoder, 2 * size)
    for number in (1, 2, 1, 3, 1, 2):
        cached.dense(image(number), texture=True)
    assert dense_passes == [1, 2, 3, 2]
    assert sum(maps.nbytes for maps in cached._kept.values()) == 2 * size


def test_dense_maps_and_maps_of_one_image_are_told_apart(
    encoder: Encoder, passes: list[int], dense_passes: list[int]
) -> None:
    cached = CachedEncoder(encoder, 1 << 30)
    for _ in range(2):
        cached.encode(image(5), ["relu3_1"])
        cached.dense(image(5))
        cached.dense(image(5), texture=True)
        with pytest.raises(ValueError, match="made without texture"):
            cached.dense(image(5)).cells("relu1_1", 0, torch.tensor([0]), torch.tensor([0]))
    assert passes == [5]
    assert dense_passes == [5, 5]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("texture", [False, True])
def test_dense_maps_take_no_more_than_they_say(precision: EncoderPrecision, texture: bool) -> None:
    encoder = load_encoder("random", 0, torch.device("cpu"), precision)
    maps = encoder.dense(image(1, 32, 36), texture=texture)
    for _ in maps.relu3_1():
        assert maps._half is not None
        held = [maps._relu1_1, maps._relu1_2, maps._half[1].relu2_1, maps._half[1].relu2_2]
        held.append(maps._grid)
        assert sum(one.nbytes for one in held if one is not None) <= maps.nbytes
