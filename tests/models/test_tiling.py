"""Tiles against the whole image, for networks that see near, far, in steps, or everything."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from srntt_pipeline.models import SISR, tiling
from srntt_pipeline.models.tiling import WHOLE, Sight, bytes_per_pixel, in_tiles, sight, tile_side


def run(model, lr):
    return model(lr)


class Plain(nn.Module):
    """Two convolutions of 5×5 at LR size, dilated by 1 and 3, then ×4: it sees 2 + 6 px."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 48, 5, padding=6, dilation=3)
        )

    def forward(self, lr):
        return F.pixel_shuffle(self.body(lr), 4)


class Halved(nn.Module):
    """Half the size on the way, so that what it gives depends on where an image begins."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.up = nn.Conv2d(8, 3 * 64, 3, padding=1)

    def forward(self, lr):
        even = F.pad(lr, (0, lr.shape[3] % 2, 0, lr.shape[2] % 2))
        sr = F.pixel_shuffle(self.up(F.relu(self.down(even))), 8)
        return sr[..., : 4 * lr.shape[2], : 4 * lr.shape[3]]


class Everywhere(nn.Module):
    """Its values depend on the mean of the whole image."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 48, 3, padding=1)

    def forward(self, lr):
        return F.pixel_shuffle(self.conv(lr - lr.mean((2, 3), keepdim=True)), 4)


class Placed(nn.Module):
    """It sees one pixel, but knows where that is: a tile would be another image."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 48, 1)

    def forward(self, lr):
        rows = torch.arange(lr.shape[2], device=lr.device).to(lr)[:, None]
        return F.pixel_shuffle(self.conv(lr) + rows / 100, 4)


class Hidden(nn.Module):
    """It swallows NaN, so the probe takes it for one that sees nothing."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 48, 5, padding=2)

    def forward(self, lr):
        return F.pixel_shuffle(self.conv(lr.nan_to_num()), 4)


def network(kind, *sizes):
    torch.manual_seed(4)
    return kind(*sizes).eval().requires_grad_(False)


def at_once(model, lr):
    values = model(torch.from_numpy(lr.astype(np.float32) / 255).permute(2, 0, 1)[None])[0]
    return np.rint(values.clamp(0, 1).permute(1, 2, 0).numpy() * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Plain, Sight(8)),
        (Halved, Sight(3, step=2)),
        (Everywhere, WHOLE),
        (Placed, WHOLE),
        (Hidden, WHOLE),
    ],
)
def test_a_network_is_found_to_see_as_far_as_it_does(kind, expected):
    assert sight(network(kind), run) == expected


def test_the_reach_of_sisr_is_that_of_its_gradient():
    """Convolutions of 3×3: two a block, head and body's end at LR size; ↑2 and ↑4 see a part."""
    model = network(SISR, 4, 2)
    lr = torch.rand(1, 3, 41, 41, requires_grad=True)
    model(lr)[0, :, 80:84, 80:84].sum().backward()  # the pixels of LR pixel 20
    rows, columns = lr.grad[0].abs().sum(0).nonzero(as_tuple=True)
    seen = int(max((rows - 20).abs().max(), (columns - 20).abs().max()))
    assert sight(model, run).reach == seen


@pytest.mark.parametrize("kind", [Plain, Halved, Everywhere])
@pytest.mark.parametrize("size", [(3, 5), (40, 61), (61, 17)])
@pytest.mark.parametrize("side", [8, 13])
def test_tiles_equal_the_whole(photograph, kind, size, side):
    model, lr = network(kind), photograph[100 : 100 + size[0], 150 : 150 + size[1]]
    sees = sight(model, run)
    tiled = in_tiles(model, run, lr, sees, side // sees.step * sees.step)
    whole = at_once(model, lr)
    # Convolutions of other sizes may round otherwise in the last place.
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    assert (tiled != whole).mean() < 1e-3
    assert whole.std() > 5  # not a flat image, which any halo would do for


def test_a_pixel_less_of_halo_is_another_image(photograph):
    model, lr = network(Plain), photograph[100:140, 150:211]
    tiled = in_tiles(model, run, lr, Sight(7), 8)
    assert (tiled != at_once(model, lr)).mean() > 1e-3


def test_a_network_of_no_numbers_is_told(photograph):
    model = network(Plain)
    model.body[0].weight[:] = torch.nan
    with pytest.raises(ArithmeticError):
        in_tiles(model, run, photograph[:9, :9], WHOLE, 9)


def test_tiles_are_as_large_as_the_room_allows():
    sees = Sight(5, step=2)
    assert tile_side(30, 50, 100, sees, 100 * 30 * 50) == 50  # at once
    assert tile_side(30, 50, 100, sees, 100 * 30 * 50 - 1) == 38 - 12  # with its halo: 38² < 1500
    assert tile_side(30, 50, 100, sees, 0) == 8
    assert tile_side(30, 50, 100, WHOLE, 0) == 50
    assert tiling.least_bytes(30, 50, 100, sees) == 100 * 20 * 20
    assert tiling.least_bytes(30, 50, 100, WHOLE) == 100 * 30 * 50


PEAK = """
import sys, numpy as np, torch
from pathlib import Path
from srntt_pipeline.models import SISR
from srntt_pipeline.models.tiling import bytes_per_pixel, in_tiles, sight, tile_side

def kib(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[field].split()[0])

def run(model, lr):
    return model(lr)

torch.set_num_threads(1)
model = SISR(64, 1).eval().requires_grad_(False)
taken, sees = bytes_per_pixel(model, run), sight(model, run)
lr = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
in_tiles(model, run, lr[:8, :8], sees, 8)
before, room = kib("VmRSS"), int(sys.argv[1])
side = tile_side(200, 200, taken, sees, room)
in_tiles(model, run, lr, sees, side)
print(side, taken * 200 * 200, (kib("VmHWM") - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
def test_memory_stays_within_what_is_counted():
    """At once, SR of these 200×200 px would take some 900 MB."""
    room = 160 << 20
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(room)], check=True, capture_output=True, text=True
    )
    side, whole, peak = map(int, done.stdout.split())
    assert whole > 3 * room
    assert 8 <= side < 200
    assert peak < 1.5 * room


def test_memory_is_counted_by_what_is_held_at_once():
    """Eight channels at LR size for each of 200 layers are not held, but used and let go of."""
    deep = nn.Sequential(
        *(nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1) for i in range(200)), nn.Conv2d(8, 48, 1)
    )
    shallow = nn.Sequential(*deep[:2], deep[-1])

    def shuffled(model, lr):
        return F.pixel_shuffle(model(lr), 4)

    counted = bytes_per_pixel(deep, shuffled)
    assert counted == pytest.approx(bytes_per_pixel(shallow, shuffled), rel=0.1)
    assert counted >= 4 * (8 + 48 + 48)
