"""SR of any size within bounded memory: tile by tile, and equal to SR at once.

What a tile's pixels see, its halo, is computed with it and cut off. The first stages of SRNTT see
far (with the released code's 44 blocks, 82 LR pixels in all), the last ones, which take the memory,
do not: so each stage works on a window of its own, and windows shrink from stage to stage. At the
image's border they end as the image does, with the zero padding that it has there at once.
"""

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from srntt_pipeline.images import RGB, SCALE
from srntt_pipeline.maps import CELLS, CHANNELS, to_image, to_tensor
from srntt_pipeline.matching.windows import Window
from srntt_pipeline.models.srntt import SRNTT
from srntt_pipeline.swaps.windowed import BLOCKS, WindowedSwap, block_bytes, encoding_bytes

EXTRACT, FINISH = "extract", "finish"
_BICUBIC_REACH = 2  # LR pixels on each side of the one below that LR↑ is made of
_FLOAT_BYTES = 4
_LEAST_TILE = 8  # LR pixels a side; halos make smaller ones a waste
_PROBE = 8  # LR pixels a side of what a network is probed with
_POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.BatchNorm2d, nn.Identity, nn.PixelShuffle)


@dataclass(frozen=True)
class Stage:
    """What a stage of a network needs: `reach`, how many LR pixels beyond its output it sees on
    each side, and `bytes` of memory for each LR pixel that it works on.
    """

    reach: int
    bytes: int


@functools.lru_cache(maxsize=16)
@torch.inference_mode()
def stages(model: SRNTT) -> dict[str, Stage]:
    """Return the stages of `model` in order: `extract`, relu3_1, relu2_1, relu1_1, `finish`.

    Found by running it on a small image and watching its convolutions. Raises TypeError for a
    network with modules that may see farther than a convolution.
    """
    reach, sizes = 0.0, [0]

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal reach
        if isinstance(module, nn.Conv2d):
            radius = max(
                dilation * (size - 1) / 2
                for size, dilation in zip(module.kernel_size, module.dilation, strict=True)
            )
            reach += radius * _PROBE / output.shape[-1]
        elif not isinstance(module, _POINTWISE):
            raise TypeError(f"cannot tile a network with {type(module).__name__}")
        sizes.append(inputs[0].numel() + output.numel())

    def stage(least: int, run: Callable[..., Tensor], *inputs: Any) -> tuple[Stage, Tensor]:
        nonlocal reach
        reach, sizes[:] = 0.0, [0]
        output = run(*inputs)
        held = sum(value.numel() for value in inputs if isinstance(value, Tensor))
        # A convolution's input and output, twice: oneDNN works on copies in an order of its own.
        # Beside it, what came in is held, and once more what the block began with.
        values = 2 * max(sizes) + 2 * held
        return Stage(
            max(math.ceil(reach), least), math.ceil(values * _FLOAT_BYTES / _PROBE**2)
        ), output

    leaves = [module for module in model.modules() if not any(module.children())]
    hooks = [module.register_forward_hook(watch) for module in leaves]
    try:
        like = next(model.parameters())  # its device and type
        lr = like.new_zeros(1, 3, _PROBE, _PROBE)
        found = {}
        found[EXTRACT], x = stage(0, model.extract, lr)
        for layer, channels in CHANNELS.items():
            side = _PROBE * CELLS[layer]
            maps = like.new_zeros(1, channels, side, side)
            found[layer], x = stage(0, model.join, layer, x, maps, lr[:, :1])
        found[FINISH], _ = stage(_BICUBIC_REACH, model.finish, x, lr)
    finally:
        for hook in hooks:
            hook.remove()
    return found


class Tiling:
    """How SR of LR [height, width] is cut such that it takes at most `max_memory` bytes.

    That is beside what any process takes, and what grows with the images: the images themselves,
    SR, and the correspondence. `tiles`: windows of LR, which cover it; `block`: patches a side of
    the blocks that references are encoded in; `cache_bytes`: what is left for their raw maps.
    `least`: bytes for the smallest tile, which it is given at least. `dense`: matches are to the
    pixel.
    """

    def __init__(
        self, model: SRNTT, height: int, width: int, max_memory: int, *, dense: bool = False
    ) -> None:
        self._stages, self._size = stages(model), (height, width)
        # The rest is for the holes that the allocator leaves between buffers of many sizes.
        usable = max_memory * 2 // 3
        longest = max(height, width)
        least = min(longest, _LEAST_TILE)
        tile = self._bytes(least) * 4 // 3
        by_block = {
            block: block_bytes(block, dense=dense) + encoding_bytes(block) for block in BLOCKS
        }
        needed = tile + by_block[BLOCKS[-1]]
        self.least = math.ceil(needed * 1.5)
        usable = max(usable, needed)
        self.block = next(
            (block for block in BLOCKS if by_block[block] < min(usable // 2, usable - tile)),
            BLOCKS[-1],
        )
        usable -= encoding_bytes(self.block)
        room = usable * 3 // 4  # larger tiles save more than a cache does
        side = next(
            side
            for side in (-(-longest // parts) for parts in range(1, longest + 1))
            if side <= least or self._bytes(side) <= room
        )
        self.tiles = [
            Window(top, bottom, left, right)
            for top, bottom in _split(height, side)
            for left, right in _split(width, side)
        ]
        self.cache_bytes = usable - self._bytes(side)

    def windows(self, tile: Window) -> dict[str, Window]:
        """Return what of LR each stage works on for a tile; the last one is the tile's own."""
        windows = {}
        for name, stage in reversed(self._stages.items()):
            tile = windows[name] = tile.grown(stage.reach, *self._size)
        return dict(reversed(windows.items()))

    def _bytes(self, side: int) -> int:
        """Return the peak of a tile inside of the image: maps, and what the worst stage takes."""
        windows = self.windows(self._middle(side))
        values = {layer: CHANNELS[layer] * CELLS[layer] ** 2 for layer in CHANNELS}
        maps = sum(windows[layer].positions * values[layer] * _FLOAT_BYTES for layer in values)
        working = max(windows[name].positions * stage.bytes for name, stage in self._stages.items())
        return maps + max(maps, working)  # they are gathered with a copy

    def _middle(self, side: int) -> Window:
        (top, bottom), (left, right) = (
            ((size - min(side, size)) // 2, (size + min(side, size) + 1) // 2)
            for size in self._size
        )
        return Window(top, bottom, left, right)


def _split(size: int, side: int) -> list[tuple[int, int]]:
    """Cut `size` into even parts of at most `side`."""
    parts = -(-size // side)
    edges = [size * part // parts for part in range(parts + 1)]
    return list(itertools.pairwise(edges))


@torch.inference_mode()
def super_resolve(model: SRNTT, lr: RGB, swapped: WindowedSwap, tiling: Tiling) -> RGB:
    """Return SR, uint8 [4h, 4w, 3], of `lr`, uint8 [h, w, 3], tile by tile."""
    height, width = lr.shape[:2]
    sr = np.empty((SCALE * height, SCALE * width, 3), np.uint8)
    for tile in tiling.tiles:
        found = _tile(model, lr, swapped, tiling.windows(tile), tile)
        rows = slice(SCALE * tile.top, SCALE * tile.bottom)
        sr[rows, SCALE * tile.left : SCALE * tile.right] = to_image(found)
    return sr


def _tile(
    model: SRNTT, lr: RGB, swapped: WindowedSwap, windows: dict[str, Window], tile: Window
) -> Tensor:
    """Return SR [3, 4h, 4w] of a tile, not clipped."""
    device = next(model.parameters()).device
    found = swapped.swap({layer: windows[layer] for layer in CHANNELS})
    here = windows[EXTRACT]
    whole = to_tensor(lr[here.top : here.bottom, here.left : here.right])[None].to(device)
    x = model.extract(whole)
    at = here
    for layer in CHANNELS:
        window = windows[layer]
        x = window.of(x, at, CELLS[layer])
        maps = found.maps.pop(layer)[None]
        x = model.join(layer, x, maps, window.of(found.weight, windows["relu3_1"])[None])
        at = window
    finish = windows[FINISH]
    x = model.finish(finish.of(x, at, SCALE), finish.of(whole, here))
    return tile.of(x, finish, SCALE)[0]
