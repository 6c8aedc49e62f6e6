from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from srntt_pipeline.images import RGB, crop_to_multiple
from srntt_pipeline.maps import CELLS, CHANNELS, LAYERS
from srntt_pipeline.swaps import dense, layers
from srntt_pipeline.swaps.dense import DenseMaps, half_of, phase_of, shift_of
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from tests.swaps.naive_refine import dense_maps

CPU = torch.device("cpu")
PHASES = range(16)


@pytest.fixture(scope="module")
def encoder(shared: Path) -> Encoder:
    return load_encoder(str(shared / "weights" / "vgg19_relu3_1.pth"), 0, CPU)


@pytest.fixture(scope="module")
def image(photograph: np.ndarray) -> RGB:
    return photograph[30:94, 60:136]


def phases(maps: DenseMaps) -> dict[int, torch.Tensor]:
    """Return the relu3_1 map of each phase, without what lies beyond the image."""
    found = {}
    for (p, q), values in maps.relu3_1():
        height, width = (2 * side for side in values.shape[:2])
        for phase in PHASES:
            down, right = shift_of(phase)
            if (down % 2, right % 2) == (p, q):
                there = values[down // 2 :: 2, right // 2 :: 2].permute(2, 0, 1)
                size = (height - down) // 4, (width - right) // 4
                assert not there[:, size[0] :].any()
                assert not there[:, :, size[1] :].any()
                found[phase] = there[:, : size[0], : size[1]].clone()
    return found


def everywhere(maps: DenseMaps, layer: str, phase: int, height: int, width: int) -> torch.Tensor:
    """Return cells at all positions of a phase's grid, [h, w, r, r, C]."""
    row, column = (one.flatten() for one in torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing="ij"))  # fmt: skip
    side = CELLS[layer]
    return maps.cells(layer, phase, row, column).view(height, width, side, side, CHANNELS[layer])


def test_phases_are_numbered_by_their_pixels() -> None:
    assert [shift_of(phase) for phase in PHASES] == [(y, x) for y in range(4) for x in range(4)]
    assert [phase_of(*shift_of(phase)) for phase in PHASES] == list(PHASES)
    assert half_of(phase_of(3, 2)) == (1, 0)


@pytest.mark.parametrize("stacked", [0, 10**6], ids=["one by one", "stacked"])
def test_every_phase_is_the_dilated_network(
    encoder: Encoder, image: RGB, monkeypatch: pytest.MonkeyPatch, stacked: int
) -> None:
    monkeypatch.setattr(dense, "_STACKED_POSITIONS", stacked)
    expected = torch.from_numpy(dense_maps(encoder, image)["relu3_1"])
    found = phases(DenseMaps(encoder, image, texture=False))

    assert sorted(found) == list(PHASES)
    for phase, maps in found.items():
        down, right = shift_of(phase)
        there = expected[:, down::4, right::4]
        assert maps.shape[1:] == ((64 - down) // 4, (76 - right) // 4)
        assert maps.dtype == torch.float32
        error = (maps - there[:, : maps.shape[1], : maps.shape[2]]).norm() / there.norm()
        assert error < 1e-5


@pytest.mark.parametrize("phase", [0, 1, 6, 15])
def test_a_phase_is_the_encoding_of_the_moved_image_away_from_borders(
    encoder: Encoder, image: RGB, phase: int
) -> None:
    down, right = shift_of(phase)
    moved = encoder.encode(crop_to_multiple(image[down:, right:]))
    inside = slice(3, 12)  # positions that see no border: 10 px before, 13 behind
    found = phases(DenseMaps(encoder, image, texture=False))[phase]
    there = moved["relu3_1"][:, inside, inside]
    assert (found[:, inside, inside] - there).norm() < 1e-5 * there.norm()

    maps = DenseMaps(encoder, image, texture=True)
    for layer in LAYERS:
        side = CELLS[layer]
        cells = everywhere(maps, layer, phase, 12, 12)[3:, 3:]
        whole = cells.permute(4, 0, 2, 1, 3).reshape(CHANNELS[layer], 9 * side, 9 * side)
        there = moved[layer][:, 3 * side : 12 * side, 3 * side : 12 * side]
        assert (whole - there).norm() < 1e-5 * there.norm()


def test_the_grid_is_the_encoding(encoder: Encoder, image: RGB) -> None:
    encoded, maps = encoder.encode(image), DenseMaps(encoder, image, texture=True)
    assert torch.equal(maps.grid(), encoded["relu3_1"])
    for layer in ("relu1_1", "relu2_1"):
        side = CELLS[layer]
        cells = everywhere(maps, layer, 0, 16, 19)
        whole = cells.permute(4, 0, 2, 1, 3).reshape(encoded[layer].shape)
        assert torch.equal(whole, encoded[layer]), side


def test_an_image_of_one_patch_has_a_grid(encoder: Encoder, image: RGB) -> None:
    found = phases(DenseMaps(encoder, image[:12, :12], texture=False))
    assert found[0].shape == (256, 3, 3)
    assert found[15].shape == (256, 2, 2)


def test_it_takes_at_most_5_2_times_the_operations_of_one_encoding(
    encoder: Encoder, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By the definition, whose operations can be counted: Winograd saves some on both sides.
    monkeypatch.setattr(layers, "_has_winograd", lambda: False)
    image = photograph[:160, :160]
    with FlopCounterMode(display=False) as one:
        encoder.encode(image)
    with FlopCounterMode(display=False) as all_phases:
        list(DenseMaps(encoder, image, texture=False).relu3_1())
    assert one.get_total_flops() == pytest.approx(2 * 2.87e9, rel=0.01)
    assert all_phases.get_total_flops() / one.get_total_flops() <= 5.2


def test_bfloat16_is_near(shared: Path, encoder: Encoder, image: RGB) -> None:
    weights = str(shared / "weights" / "vgg19_relu3_1.pth")
    rough = load_encoder(weights, 0, CPU, "bfloat16")
    for layer, maps in rough.encode(image).items():
        exact = encoder.encode(image)[layer]
        assert maps.dtype == torch.float32
        assert (maps - exact).norm() < 0.01 * exact.norm()
        assert torch.equal(maps, exact) == (layer == "relu1_1")
    found = phases(DenseMaps(rough, image, texture=False))
    for phase, maps in phases(DenseMaps(encoder, image, texture=False)).items():
        assert (found[phase] - maps).norm() < 0.01 * maps.norm()


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize(("height", "width"), [(8, 6), (9, 7), (2, 2), (3, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_is_pytorchs(
    down: int, right: int, height: int, width: int, dtype: torch.dtype
) -> None:
    maps = torch.rand(1, 3, height, width, dtype=dtype)
    there = maps[..., down:, right:]
    if min(there.shape[2:]) < 2:
        return
    assert torch.equal(layers.pool(maps, down, right), F.max_pool2d(there, 2))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (7, 6), (20, 33)])
def test_convolutions_are_float64s(encoder: Encoder, height: int, width: int) -> None:
    values = torch.rand(1, 64, height, width)
    layer = encoder.features[2]
    expected = F.conv2d(values.double(), layer.weight.double(), layer.bias.double(), padding=1)
    with torch.inference_mode():
        found = encoder.relu1_2(values)
    assert (found - expected.relu()).norm() < 1e-5 * expected.norm()
