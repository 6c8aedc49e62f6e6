import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from srntt_pipeline.config import Refine
from srntt_pipeline.matching import windows
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.matching.patches import PatchNumbers
from srntt_pipeline.matching.windows import Window
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.references import Augmentation, augment, augmentations, valid_patches
from srntt_pipeline.swaps.swap import GridMaps, swap, weight_map
from srntt_pipeline.swaps.windowed import WindowedSwap, swap_features
from tests.swaps import naive_refine

# Patch size and stride of each layer (paper section 3.1).
PATCHES = {"relu3_1": (3, 1), "relu2_1": (6, 2), "relu1_1": (12, 4)}
shapes = st.tuples(st.integers(3, 6), st.integers(3, 6))


def naive_swap(index: np.ndarray, versions: list[dict[str, Tensor]], layer: str) -> np.ndarray:
    """Eq. 3: put each matched patch at its LR patch's place, and average overlaps."""
    size, stride = PATCHES[layer]
    places = []  # version, row and column of every patch of every version
    for number, maps in enumerate(versions):
        _, height, width = maps["relu3_1"].shape
        places += [(number, r, c) for r in range(height - 2) for c in range(width - 2)]
    sources = [maps[layer].numpy().astype(np.float64) for maps in versions]
    rows, columns = index.shape
    sums = np.zeros((len(sources[0]), (rows + 2) * stride, (columns + 2) * stride))
    counts = np.zeros(sums.shape[1:])
    for row in range(rows):
        for column in range(columns):
            number, top, left = places[index[row, column]]
            here, there = (
                np.s_[..., y * stride : y * stride + size, x * stride : x * stride + size]
                for y, x in ((row, column), (top, left))
            )
            sums[here] += sources[number][there]
            counts[here] += 1
    return sums / counts


def assert_near(found: Tensor, expected: Tensor) -> None:
    """Compare what Winograd's convolutions made, which round by the norm and not value by value."""
    assert found.shape == expected.shape
    assert (found - expected).norm() < 1e-5 * expected.norm()


def assert_is_naive(
    found: dict[str, Tensor], index: Tensor, versions: list[dict[str, Tensor]]
) -> None:
    assert set(found) == set(PATCHES)
    for layer in PATCHES:
        expected = naive_swap(index.numpy(), versions, layer)
        assert found[layer].dtype == torch.float32
        np.testing.assert_allclose(found[layer].numpy(), expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), shapes, st.lists(shapes, min_size=1, max_size=3))
def test_naive_loop(seed: int, lr_shape: tuple[int, int], ref_shapes: list) -> None:
    rng = np.random.default_rng(seed)

    def random_map(channels: int, height: int, width: int) -> Tensor:
        return torch.from_numpy(rng.random((channels, height, width), np.float32))

    versions = [
        {
            "relu3_1": random_map(4, h, w),
            "relu2_1": random_map(3, 2 * h, 2 * w),
            "relu1_1": random_map(2, 4 * h, 4 * w),
        }
        for h, w in ref_shapes
    ]
    rows, columns = lr_shape[0] - 2, lr_shape[1] - 2
    index = torch.from_numpy(rng.integers(0, PatchNumbers(ref_shapes).count, (rows, columns)))
    weight = torch.ones(rows, columns)
    matched = Correspondence(index, weight, weight, tuple(ref_shapes))
    found = swap(matched, lambda number: GridMaps(versions[number]))
    assert_is_naive(found, index, versions)


@pytest.fixture(scope="module")
def encoder(shared: Path) -> Encoder:
    return load_encoder(str(shared / "weights" / "vgg19_relu3_1.pth"), 0, torch.device("cpu"))


@pytest.fixture(scope="module")
def pair(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    """HR and reference of a real CUFED pair, cut to 48×56 and 52×48."""
    train = shared / "data" / "cufed" / "train"
    name = min(path.name for path in (train / "input").glob("*.png"))
    hr, ref = (np.asarray(Image.open(train / side / name)) for side in ("input", "ref"))
    return hr[40:88, 40:96], ref[40:92, 40:88]


def lr_up(hr: np.ndarray) -> np.ndarray:
    height, width = hr.shape[:2]
    small = Image.fromarray(hr).resize((width // 4, height // 4), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def test_naive_loop_on_real_features_with_augmented_references(
    encoder: Encoder, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    hr, ref = pair
    versions = augmentations((1.0, 1.4), (0.0, 20.0))
    refs = [ref, ref[:40, ::-1]]
    found = match_images(lr_up(hr), refs, versions, encoder)
    swapped = swap_features(found, refs, versions, encoder)
    maps = [encoder.encode(augment(image, version)) for image in refs for version in versions]
    ends = np.cumsum([PatchNumbers([shape]).count for shape in found.shapes])
    used = np.searchsorted(ends, found.index.numpy(), "right")
    assert len(np.unique(used)) > 2  # or it would show little
    assert found.shapes == tuple(tuple(m["relu3_1"].shape[1:]) for m in maps)
    assert_is_naive(swapped.maps, found.index, maps)
    assert swapped.weight.shape == (1, 12, 14)
    assert 0 <= swapped.weight.min() <= swapped.weight.max() <= 1


def dense_versions(
    encoder: Encoder, refs: list[np.ndarray], versions: list[Augmentation]
) -> list[dict[str, np.ndarray]]:
    return [
        naive_refine.dense_maps(encoder, augment(ref, version))
        for ref in refs
        for version in versions
    ]


def assert_is_swapped_to_the_pixel(
    found: dict[str, Tensor], matched: Correspondence, dense: list[dict[str, np.ndarray]]
) -> None:
    places = naive_refine.places(matched)
    assert set(found) == set(PATCHES)
    for layer, (_, side) in PATCHES.items():
        expected = naive_refine.swapped(places, [maps[layer] for maps in dense], side)
        assert found[layer].shape == expected.shape
        assert found[layer].dtype == torch.float32
        error = np.linalg.norm(found[layer].numpy() - expected)
        assert error < 1e-5 * np.linalg.norm(expected)
        np.testing.assert_allclose(found[layer], expected, rtol=0, atol=5e-5 * expected.max())


@pytest.mark.parametrize("way", ["relu3_1", "relu1_1"])
@pytest.mark.parametrize("number", [1, 2], ids=["one reference", "two references"])
def test_naive_loop_on_matches_to_the_pixel(
    encoder: Encoder, pair: tuple[np.ndarray, np.ndarray], way: Refine, number: int
) -> None:
    hr, ref = pair
    versions = augmentations((1.0, 1.4), (0.0, 20.0))
    refs = [ref, ref[:40, ::-1]][:number]
    found = match_images(lr_up(hr), refs, versions, encoder, refine=way)
    assert len(found.phases.unique()) > 12  # or it would show little
    assert len(np.unique(naive_refine.places(found)[..., 0])) > 2
    swapped = swap_features(found, refs, versions, encoder)
    assert_is_swapped_to_the_pixel(swapped.maps, found, dense_versions(encoder, refs, versions))
    assert torch.equal(swapped.weight, weight_map(found))


@pytest.mark.parametrize("block", [3, 48])
@pytest.mark.parametrize("room", [0, 1 << 30], ids=["no room", "room"])
def test_naive_loop_on_any_pixels_and_in_windows(
    encoder: Encoder, pair: tuple[np.ndarray, np.ndarray], block: int, room: int
) -> None:
    """Matches everywhere, at borders too, blocks of references, and windows of LR."""
    hr, ref = pair
    versions = augmentations((1.0, 0.7), (0.0, 20.0))
    refs = [ref, hr[:, 4:33]]
    shapes = [(len(one) // 4, one.shape[1] // 4) for one in (
        augment(image, version) for image in refs for version in versions)]  # fmt: skip
    found = naive_refine.any_places(np.random.default_rng(0), shapes, (9, 7))
    assert len(found.phases.unique()) == 16
    dense = dense_versions(encoder, refs, versions)
    swapped = WindowedSwap(found, refs, versions, encoder, room=room, block=block)
    whole = swapped.swap(dict.fromkeys(PATCHES, Window(0, 11, 0, 9)))
    assert_is_swapped_to_the_pixel(whole.maps, found, dense)

    # Each layer in a window of its own, one after the other.
    for top, bottom, left, right in ((0, 5, 0, 9), (4, 11, 2, 8), (10, 11, 8, 9)):
        wide, narrow = Window(top, bottom, left, right), Window(bottom - 1, bottom, left, left + 1)
        windows = {"relu3_1": wide, "relu2_1": wide, "relu1_1": narrow}
        part = swapped.swap(windows)
        for layer, window in windows.items():
            expected = window.of(whole.maps[layer], Window(0, 11, 0, 9), PATCHES[layer][1])
            assert part.maps[layer].shape == expected.shape
            assert (part.maps[layer] - expected).norm() < 1e-5 * expected.norm()
        assert torch.allclose(part.weight, wide.of(whole.weight, Window(0, 11, 0, 9)), atol=1e-6)


def test_matches_to_the_pixel_that_lie_on_the_grid_are_swapped_alike(
    encoder: Encoder, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    hr, ref = pair
    versions = augmentations((1.0, 0.7), (0.0,))
    found = match_images(lr_up(hr), [ref], versions, encoder)
    on_grid = replace(found, phase=torch.zeros_like(found.index, dtype=torch.uint8))
    one, other = (swap_features(each, [ref], versions, encoder) for each in (found, on_grid))
    for layer, maps in one.maps.items():
        assert (maps - other.maps[layer]).norm() < 1e-5 * maps.norm()
    assert torch.equal(one.weight, other.weight)


def test_maps_on_the_grid_have_no_other_phase() -> None:
    maps = GridMaps({layer: torch.rand(1, 16, 16) for layer in PATCHES})
    with pytest.raises(ValueError, match="no phase 3"):
        maps.cells("relu1_1", 3, torch.tensor([0]), torch.tensor([0]))


def test_an_image_swapped_with_itself_keeps_its_maps(
    encoder: Encoder, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    hr, _ = pair
    versions = [Augmentation(1.0, 0.0)]
    found = match_images(lr_up(hr), [hr], versions, encoder)
    swapped = swap_features(found, [hr], versions, encoder)
    assert found.index.flatten().tolist() == list(range(10 * 12))
    for layer, maps in encoder.encode(hr).items():
        assert_near(swapped.maps[layer], maps)
    torch.testing.assert_close(swapped.weight, torch.ones(1, 12, 14), rtol=1e-5, atol=0)


@pytest.mark.parametrize("shift", [(1, 0), (3, 2)])
def test_a_shifted_reference_is_matched_exactly_with_shifts(
    encoder: Encoder, pair: tuple[np.ndarray, np.ndarray], shift: tuple[int, int]
) -> None:
    hr, _ = pair
    ref = np.pad(hr, ((shift[0], 0), (shift[1], 0), (0, 0)), mode="reflect")
    for shifts, exact in (((0,), False), ((0, 1, 2, 3), True)):
        versions = augmentations((1.0,), (0.0,), shifts)
        found = match_images(lr_up(hr), [ref], versions, encoder)
        swapped = swap_features(found, [ref], versions, encoder)
        for layer, maps in encoder.encode(hr).items():
            assert ((swapped.maps[layer] - maps).norm() < 1e-5 * maps.norm()) == exact
        assert torch.allclose(swapped.weight, torch.ones(1, 12, 14), rtol=1e-5, atol=0) == exact


def test_empty_corners_are_never_matched(
    encoder: Encoder, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    hr, ref = pair
    ref = np.tile(ref, (2, 2, 1))
    versions = augmentations((1.0,), (30.0, -30.0))  # the unturned version is not among them
    found = match_images(lr_up(hr), [ref], versions, encoder)
    valid = np.concatenate([valid_patches(ref.shape, version).ravel() for version in versions])
    assert valid[found.index.numpy()].all()


def test_every_patch_has_a_match_where_no_corner_can_be_avoided(
    encoder: Encoder, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    hr, ref = pair
    versions = [Augmentation(1.0, 45.0)]
    assert not valid_patches((20, 24), versions[0]).any()
    found = match_images(lr_up(hr), [ref[:20, :24]], versions, encoder)
    assert found.score.isfinite().all()
    assert found.index.max() < PatchNumbers(found.shapes).count


def test_an_unrelated_reference_lowers_the_weight(
    encoder: Encoder, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    hr, ref = pair
    noise = np.random.default_rng(0).integers(0, 256, ref.shape, np.uint8)
    versions = [Augmentation(1.0, 0.0)]
    near, far = (match_images(lr_up(hr), [r], versions, encoder).cosine for r in (ref, noise))
    assert far.mean() < near.mean()


def test_only_matched_versions_are_encoded() -> None:
    index = torch.tensor([[4, 5]])
    weight = torch.ones(1, 2)
    maps = {layer: torch.rand(1, 4 * stride, 4 * stride) for layer, (_, stride) in PATCHES.items()}
    asked: list[int] = []

    def encode(number: int) -> GridMaps:
        asked.append(number)
        return GridMaps(maps)

    swap(Correspondence(index, weight, weight, ((4, 4),) * 3), encode)
    assert asked == [1]


@pytest.mark.parametrize("max_memory", [0, 1 << 30])
def test_images_cut_into_windows_are_matched_as_whole_ones(
    photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch, max_memory: int
) -> None:
    lr_up, refs = photograph[60:144, 120:212], [photograph[40:160, 130:230], photograph[:64, :52]]
    encoder = load_encoder("random", 0, torch.device("cpu"))
    versions = augmentations((1.0, 0.7), (0.0, 20.0))
    expected = match_images(lr_up, refs, versions, encoder)
    monkeypatch.setattr(windows, "SIDE", 8)
    if not max_memory:  # a part of LR↑ at a time, so that references are encoded for each
        monkeypatch.setattr("srntt_pipeline.swaps.image_matching.share", lambda max_memory: 260_000)
    found = match_images(lr_up, refs, versions, encoder, max_memory=max_memory)
    assert found.shapes == expected.shapes
    assert found.agreement(expected) > 0.999  # but for ties within float32's roundings
    torch.testing.assert_close(found.score, expected.score, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.cosine, expected.cosine, rtol=1e-5, atol=1e-5)


# 1.6 megapixels: relu1_1, before and after its convolutions, would take 0.8 GB alone.
_LARGE_REFERENCE = """
import numpy as np, torch
from pathlib import Path
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.references import Augmentation
from srntt_pipeline.swaps.image_matching import match_images
torch.set_num_threads(1)
def peak():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in status if line.startswith("VmHWM"))
before = peak()
rng = np.random.default_rng(0)
ref = rng.integers(0, 256, (1024, 1536, 3), np.uint8)
lr_up = np.ascontiguousarray(ref[800:848, 1300:1364])
encoder = load_encoder("random", 0, torch.device("cpu"))
match_images(lr_up, [ref], [Augmentation(1, 0)], encoder, max_memory=3 << 29)
print(before, peak())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_process_stays_below_the_bound_whatever_the_size_of_a_reference() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _LARGE_REFERENCE], capture_output=True, text=True, check=True
    )
    before, peak = (1024 * int(number) for number in run.stdout.split())
    assert peak < 3 << 29, f"{before} bytes before matching"
