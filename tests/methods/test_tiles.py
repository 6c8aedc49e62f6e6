import copy
import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from srntt_pipeline.images import downscale, upscale
from srntt_pipeline.maps import CELLS, to_tensor
from srntt_pipeline.matching.windows import Window
from srntt_pipeline.methods import tiles
from srntt_pipeline.methods.tiles import Tiling, stages, super_resolve
from srntt_pipeline.models import SRNTT, build_model
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.references import augmentations
from srntt_pipeline.swaps.windowed import BLOCKS, WindowedSwap, encoding_bytes, swap_features

CPU = torch.device("cpu")
LEAST = 300 << 20  # bytes, a little above what the smallest tiles of these networks need
ROUNDING = 5e-5  # of float32, through some twenty convolutions that enlarge it
VERSIONS = augmentations((1.0, 0.7), (0.0, 20.0))


def error(sr, whole):
    """The largest difference, of the largest value."""
    return float((sr - whole).abs().max() / whole.abs().max())


@functools.cache
def network(**sizes):
    torch.manual_seed(3)
    model = build_model("srntt-l2", {"channels": 8, "blocks": (3, 2, 1, 1), **sizes}).eval()
    # Unlike new weights, these let distant pixels be seen: each convolution keeps its input's size.
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    model.set_map_scales({"relu3_1": 10.0, "relu2_1": 10.0, "relu1_1": 10.0})
    return model


def at_once(model, lr, refs, found):
    """SR as the network gives it, of the whole swapped maps: what tiles must equal."""
    encoder = load_encoder("random", 0, CPU)
    swapped = swap_features(found, refs, VERSIONS, encoder)
    maps = {layer: values[None] for layer, values in swapped.maps.items()}
    with torch.inference_mode():
        return model(to_tensor(lr)[None], maps, swapped.weight[None])[0]


@pytest.fixture(scope="module")
def matched(photograph):
    """Call with an LR size: LR, two references of odd sizes, their correspondence."""

    @functools.cache
    def match(height, width):
        lr = downscale(photograph[40 : 40 + 4 * height, 130 : 130 + 4 * width])
        refs = [photograph[30:145, 150:277], photograph[10:60, 200:251]]
        encoder = load_encoder("random", 0, CPU)
        return lr, refs, match_images(upscale(lr), refs, VERSIONS, encoder)

    return match


class SmallTiles(Tiling):
    """Tiles of `side` LR pixels, whatever the memory."""

    def __init__(self, model, height, width, side):
        super().__init__(model, height, width, LEAST)
        self.tiles = [
            Window(top, bottom, left, right)
            for top, bottom in tiles._split(height, side)
            for left, right in tiles._split(width, side)
        ]


def tiled(model, lr, refs, found, side):
    """SR in tiles, before it is rounded to 8 bits."""
    encoder = load_encoder("random", 0, CPU)
    tiling = SmallTiles(model, *lr.shape[:2], side)
    # Blocks so small that the references have several.
    swapped = WindowedSwap(found, refs, VERSIONS, encoder, room=10**6, block=5)
    sr = torch.full((3, 4 * lr.shape[0], 4 * lr.shape[1]), torch.nan)
    whole = Window(0, lr.shape[0], 0, lr.shape[1])
    with torch.inference_mode():
        for tile in tiling.tiles:
            tile.of(sr, whole, 4)[:] = tiles._tile(model, lr, swapped, tiling.windows(tile), tile)
    return sr


@pytest.mark.parametrize(
    ("height", "width", "side"), [(3, 3, 1), (3, 31, 4), (17, 5, 6), (40, 53, 11), (40, 53, 53)]
)
@pytest.mark.parametrize("sizes", [{}, {"bicubic_skip": True, "weight_maps": True}])
def test_tiles_equal_the_whole(matched, height, width, side, sizes):
    model, (lr, refs, found) = network(**sizes), matched(height, width)
    whole = at_once(model, lr, refs, found)
    assert whole.std() > 0.05  # not a flat image, which any halo would do for
    assert error(tiled(model, lr, refs, found, side), whole) < ROUNDING


def test_each_stage_sees_as_far_as_is_said_and_no_farther(matched):
    """In float64, on the middle of an image: equal with the reach, not so with a pixel less."""
    model = copy.deepcopy(network(bicubic_skip=True)).double()
    lr, refs, found = matched(40, 53)
    swapped = swap_features(found, refs, VERSIONS, load_encoder("random", 0, CPU))
    weight = swapped.weight[None].double()
    image = to_tensor(lr)[None].double()
    whole, middle = Window(0, 40, 0, 53), Window(17, 22, 24, 29)

    def check(name, run, inputs, cells, cell):
        """`cells`: values a side for each LR pixel of the inputs, and `cell` of the output."""
        expected, reach = run(*inputs), stages(model)[name].reach
        for by, equal in ((reach, True), (reach - 1, False)):
            window = middle.grown(by, 40, 53)
            parts = [window.of(x, whole, side) for x, side in zip(inputs, cells, strict=True)]
            part = middle.of(run(*parts), window, cell)
            assert (error(part, middle.of(expected, whole, cell)) < 1e-13) == equal, (name, by)
        return expected

    with torch.inference_mode():
        x = check("extract", model.extract, [image], [1], 1)
        for layer, after in (("relu3_1", 2), ("relu2_1", 4), ("relu1_1", 4)):
            side, maps = CELLS[layer], swapped.maps[layer][None].double()
            join = functools.partial(model.join, layer)
            x = check(layer, join, [x, maps, weight], [side, side, 1], after)
        check("finish", model.finish, [x, image], [4, 1], 4)


def test_reach_of_the_released_codes_sizes():
    """Counted by hand: two convolutions a block, one more at each end, and those that upscale."""
    reach = {name: stage.reach for name, stage in stages(SRNTT()).items()}
    assert reach == {
        "extract": 1 + 2 * 16 + 1,
        "relu3_1": 1 + 2 * 16 + 1 + 1,
        "relu2_1": -(-(1 + 2 * 8 + 1 + 1) // 2),
        "relu1_1": -(-(1 + 2 * 4 + 1) // 4),
        "finish": 2,
    }


def test_a_network_that_sees_everything_is_not_tiled():
    model = SRNTT(4, (1, 1, 1, 1))
    model.tail.append(nn.InstanceNorm2d(3))
    with pytest.raises(TypeError, match="InstanceNorm2d"):
        stages(model)


@pytest.mark.parametrize("size", [(3, 3), (61, 430), (500, 500)])
def test_tiles_cover_the_image_once_within_the_memory(size):
    model = network()
    counts = {}
    for memory in (LEAST, 4 * LEAST, 2**40):
        tiling = Tiling(model, *size, memory)
        covered = np.zeros(size, int)
        for tile in tiling.tiles:
            covered[tile.top : tile.bottom, tile.left : tile.right] += 1
        assert (covered == 1).all()
        assert 0 < tiling.cache_bytes < memory - encoding_bytes(BLOCKS[-1])
        counts[memory] = len(tiling.tiles)
    assert counts[LEAST] >= counts[4 * LEAST] >= counts[2**40] == 1


def test_eight_bit_sr_is_the_rounded_whole(matched):
    model, (lr, refs, found) = network(bicubic_skip=True), matched(40, 53)
    swapped = WindowedSwap(found, refs, VERSIONS, load_encoder("random", 0, CPU), 10**6)
    sr = super_resolve(model, lr, swapped, SmallTiles(model, 40, 53, 11))
    whole = at_once(model, lr, refs, found).clamp(0, 1).permute(1, 2, 0).numpy() * 255
    assert (sr.dtype, sr.shape) == (np.uint8, (160, 212, 3))
    assert np.abs(sr - whole).max() < 0.51


PEAK = """
import sys, numpy as np, torch
from pathlib import Path
from srntt_pipeline.methods.tiles import Tiling, super_resolve
from srntt_pipeline.models import SRNTT
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.maps import CELLS
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.references import Augmentation
from srntt_pipeline.swaps.windowed import WindowedSwap

def kib(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[field].split()[0])

torch.set_num_threads(1)
model, encoder = SRNTT(8, (1, 1, 1, 1)).eval(), load_encoder("random", 0, torch.device("cpu"))
rng = np.random.default_rng(0)
lr, ref = (rng.integers(0, 256, (side, side, 3), np.uint8) for side in (250, 400))
index = torch.from_numpy(rng.integers(0, 98 * 98, (248, 248)))  # matches all over the reference
score = torch.ones(248, 248)
found = Correspondence(index, score, score, ((100, 100),))
encoder.encode(ref[:32, :32])
before, limit = kib("VmRSS"), int(sys.argv[1])
tiling = Tiling(model, 250, 250, limit)
swapped = WindowedSwap(
    found, [ref], [Augmentation(1, 0)], encoder, tiling.cache_bytes, tiling.block
)
super_resolve(model, lr, swapped, tiling)
print((kib("VmHWM") - before) * 1024)
"""


def test_memory_stays_below_its_bound():
    """At once, the maps of these 250×250 px alone would take 448 MB."""
    limit = 400 << 20
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(limit)], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < limit
