import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.swaps.dataset import SwappedPair, SwappedPairs, open_swapped_pairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.references import augmentations
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.windowed import swap_features

PARAMS = SwapParams(encoder_weights="random", scales=(1.0, 0.7), rotations_deg=(0.0, 20.0))
CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")  # as shards are made


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    """Two real CUFED pairs, HR cut to 51×66 and reference to 60×48 px, and their swaps."""
    source = shared / "data" / "cufed" / "train"
    names = sorted(path.name for path in (source / "input").glob("*.png"))[:6:3]
    for side, box in (("input", (20, 20, 86, 71)), ("ref", (20, 20, 68, 80))):
        (tmp_path / "train" / side).mkdir(parents=True)
        for name in names:
            Image.open(source / side / name).crop(box).save(tmp_path / "train" / side / name)
    precompute_swaps(tmp_path, tmp_path / "swaps", PARAMS, workers=1, device="cpu")
    return tmp_path


def swapped_pairs(folder: Path, seed: int = 0, cache_bytes: int = 0) -> SwappedPairs:
    encoder = load_encoder("random", seed, CPU)
    return SwappedPairs(read_train_pairs(folder), Shards(folder / "swaps"), encoder, cache_bytes)


def assert_same(found: SwappedPair, expected: SwappedPair) -> None:
    assert found["name"] == expected["name"]
    for key in ("lr", "hr", "weight"):
        assert torch.equal(found[key], expected[key])
    for layer, maps in expected["maps"].items():
        assert torch.equal(found["maps"][layer], maps)


def test_items(folder: Path) -> None:
    pairs = swapped_pairs(folder)
    assert len(pairs) == 2
    for index in range(2):
        item = pairs[index]
        shapes = {layer: tuple(maps.shape) for layer, maps in item["maps"].items()}
        assert shapes == {
            "relu3_1": (256, 12, 16),
            "relu2_1": (128, 24, 32),
            "relu1_1": (64, 48, 64),
        }
        assert item["lr"].shape == (3, 12, 16)
        assert item["hr"].shape == (3, 48, 64)
        assert item["weight"].shape == (1, 12, 16)
        for tensor in (item["lr"], item["hr"], item["weight"], *item["maps"].values()):
            assert tensor.dtype == torch.float32
            assert tensor.device == CPU
            assert not tensor.is_inference()  # autograd must be able to keep it
            assert tensor.min() >= 0
        for key in ("lr", "hr", "weight"):
            assert item[key].max() <= 1


def test_items_are_those_computed_directly(folder: Path) -> None:
    pairs = swapped_pairs(folder)
    encoder = load_encoder("random", 0, CPU)
    versions = augmentations(PARAMS.scales, PARAMS.rotations_deg)
    for index, pair in enumerate(pairs.pairs):
        hr = Image.open(pair.hr).crop((0, 0, 64, 48))
        lr = hr.resize((16, 12), Image.Resampling.BICUBIC)
        lr_up = np.asarray(lr.resize((64, 48), Image.Resampling.BICUBIC))
        ref = np.asarray(Image.open(pair.ref))
        found = match_images(lr_up, [ref], versions, encoder, refine=PARAMS.refine)
        swapped = swap_features(found, [ref], versions, encoder)
        item = pairs[index]
        assert np.array_equal(item["hr"].permute(1, 2, 0).mul(255).round(), np.asarray(hr))
        assert np.array_equal(item["lr"].permute(1, 2, 0).mul(255).round(), np.asarray(lr))
        assert torch.equal(item["weight"], swapped.weight)
        for layer, maps in swapped.maps.items():
            assert torch.equal(item["maps"][layer], maps)


def test_lr_and_hr_alone(folder: Path) -> None:
    pairs = swapped_pairs(folder)
    lr, hr = pairs.lr_hr(1)
    assert torch.equal(lr, pairs[1]["lr"])
    assert torch.equal(hr, pairs[1]["hr"])


@pytest.mark.parametrize("cache_bytes", [0, 2_000_000, 1 << 30])
def test_the_cache_changes_nothing(folder: Path, cache_bytes: int) -> None:
    pairs, plain = swapped_pairs(folder, cache_bytes=cache_bytes), swapped_pairs(folder)
    for index in (0, 1, 0, 1):
        assert_same(pairs[index], plain[index])
    expected = {0: 0, 2_000_000: 1, 1 << 30: 2}[cache_bytes]  # a pair takes about 1.4 MB
    assert len(pairs._cache) == expected


WORKERS = [(0, None), *((n, how) for n in (1, 2) for how in ("fork", "spawn", "forkserver"))]


@pytest.mark.parametrize(("workers", "how"), WORKERS, ids=str)
def test_data_loader_workers(folder: Path, workers: int, how: str | None) -> None:
    pairs = swapped_pairs(folder, cache_bytes=1 << 30)
    plain = [pairs[index] for index in range(2)]  # files were read when the workers start
    loader = DataLoader(pairs, batch_size=None, num_workers=workers, multiprocessing_context=how)
    for found, expected in zip(loader, plain, strict=True):
        assert_same(found, expected)


class Counting(SwappedPairs):
    """Tells with each pair how many are kept in memory after it."""

    def __getitem__(self, index: int) -> int:  # type: ignore[override]
        super().__getitem__(index)
        return len(self._cache)


@pytest.mark.parametrize(("room", "kept"), [(1, [0] * 6), (2, [1] * 6), (4, [1, 1, 2, 2, 2, 2])])
def test_workers_share_the_cache(folder: Path, room: int, kept: list[int]) -> None:
    encoder, pairs = load_encoder("random", 0, CPU), read_train_pairs(folder)
    data = Counting(pairs, Shards(folder / "swaps"), encoder, room * 1_500_000)
    indices = [0, 0, 1, 1, 0, 1]  # the first worker gets 0, 1, 0; the other 0, 1, 1
    loader = DataLoader(
        data, batch_size=None, sampler=indices, num_workers=2, multiprocessing_context="fork"
    )
    assert sorted(loader) == kept


def test_pickled_without_what_it_keeps(folder: Path) -> None:
    pairs = swapped_pairs(folder, cache_bytes=1 << 30)
    expected = [pairs[index] for index in range(2)]
    copy = pickle.loads(pickle.dumps(pairs))
    assert len(copy._cache) == 0
    for index in range(2):
        assert_same(copy[index], expected[index])


@pytest.fixture
def with_maps(folder: Path) -> Path:
    params = PARAMS.model_copy(update={"store": "maps", "maps_dtype": "float32"})
    precompute_swaps(folder, folder / "maps", params, workers=1, device="cpu")
    return folder / "maps"


@pytest.mark.parametrize(("workers", "how"), WORKERS[::3], ids=str)
def test_stored_maps_are_served_alike_and_need_no_encoder(
    folder: Path, with_maps: Path, workers: int, how: str | None
) -> None:
    rebuilt = swapped_pairs(folder)
    stored = SwappedPairs(read_train_pairs(folder), Shards(with_maps), None)
    loader = DataLoader(stored, batch_size=None, num_workers=workers, multiprocessing_context=how)
    for index, found in enumerate(loader):
        assert_same(found, rebuilt[index])
        assert_same({**found, "maps": {}}, {**stored[index], "maps": {}})


def test_correspondences_need_their_encoder(folder: Path) -> None:
    with pytest.raises(InputError, match="holds no maps: VGG19, random, seed 0"):
        SwappedPairs(read_train_pairs(folder), Shards(folder / "swaps"), None)


def test_wrong_encoder(folder: Path) -> None:
    with pytest.raises(InputError, match="was made with VGG19, random, seed 0") as caught:
        swapped_pairs(folder, seed=1)
    assert "seed 1" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", ["input", "ref"])
def test_image_changed_since(folder: Path, side: str) -> None:
    path = sorted((folder / "train" / side).iterdir())[1]
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    pairs = swapped_pairs(folder)
    pairs[0]
    with pytest.raises(InputError, match="run precompute-swaps again") as caught:
        pairs[1]
    assert str(path) in str(caught.value)


def test_pair_added_since(folder: Path) -> None:
    for side in ("input", "ref"):
        path = min((folder / "train" / side).iterdir())
        path.with_name("zebra.png").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="no swap of the pair zebra"):
        swapped_pairs(folder)[2]


def test_a_data_set_and_its_swaps_open_at_once(folder: Path) -> None:
    opened, by_hand = (
        open_swapped_pairs(folder, folder / "swaps", device="cpu"),
        swapped_pairs(folder),
    )
    assert opened.pairs == by_hand.pairs
    assert_same(opened[1], by_hand[1])
    stray = folder / "train" / "input" / "stray.png"
    for side in ("input", "ref"):
        shutil.copy(opened.pairs[0].hr, folder / "train" / side / stray.name)
    with pytest.raises(InputError, match="no swap of the pair stray"):
        open_swapped_pairs(folder, folder / "swaps", device="cpu")


def test_stored_maps_are_opened_without_an_encoder(folder: Path, tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"store": "maps", "maps_dtype": "float32"})
    precompute_swaps(folder, folder / "stored", params, device="cpu")
    opened = open_swapped_pairs(
        folder, folder / "stored", device="cpu", encoder_weights="is not read"
    )
    assert_same(opened[0], swapped_pairs(folder)[0])
