"""SR of LR of any size by any network, within bounded memory: tile by tile, as if at once.

SR of an LR pixel depends on what lies around it, as far as the network sees. A tile is computed
with that surrounding, its halo, which is then cut off. How far a network sees is not told but
found: an LR pixel is set to NaN, and SR is NaN wherever it was seen. A network that sees the whole
image, or gives another SR where an image begins elsewhere, is run on the whole image.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from srntt_pipeline.images import RGB, SCALE
from srntt_pipeline.maps import to_image, to_tensor

# Of a network: LR [1, 3, h, w] in [0, 1] to SR [1, 3, 4h, 4w], about [0, 1], with a model as given.
Run = Callable[[nn.Module, Tensor], Tensor]

_SIDES = (24, 48, 96, 192)  # LR pixels a side of what a network is probed with
_STEPS = (1, 2, 4, 8, 16)
_COUNTED = 32  # LR pixels a side of what memory is counted on
_SMALL = 8  # of the least LR that it is counted on
_LEAST_TILE = 8  # LR pixels a side; halos make smaller ones a waste
_ALIKE = 1e-3  # of the largest value: the rounding of float32 through a deep network


@dataclass(frozen=True)
class Sight:
    """How far a network sees: `reach` LR pixels on each side beyond the one that it makes SR of.

    None: the whole image. `step`: tiles must begin at its multiples, as in a network that halves
    LR on its way.
    """

    reach: int | None
    step: int = 1

    @property
    def halo(self) -> int:
        """LR pixels around a tile that are computed with it; whole steps."""
        assert self.reach is not None
        return -(-self.reach // self.step) * self.step


WHOLE = Sight(None)


@torch.inference_mode()
def sight(model: nn.Module, run: Run) -> Sight:
    """Return how far `model` sees when it runs as `run` does; its weights stay as they are."""
    reach = _reach(model, run)
    if reach is None:
        return WHOLE
    found = (Sight(reach, step) for step in _STEPS)
    return next((one for one in found if _is_alike(model, run, one)), WHOLE)


def _reach(model: nn.Module, run: Run) -> int | None:
    # In float64 no convolution is computed by transforms of blocks, which would spread the NaN.
    probe = copy.deepcopy(model).cpu().double()
    generator = torch.Generator().manual_seed(0)
    for side in _SIDES:
        reach = 0
        for corner in (0, side - 1):
            lr = torch.rand(1, 3, side, side, generator=generator, dtype=torch.float64)
            lr[..., corner, corner] = torch.nan
            seen = run(probe, lr).isnan().any(1)[0].nonzero() // SCALE
            if len(seen):
                reach = max(reach, int((seen - corner).abs().max()))
        if reach < side - 1:
            return reach
    return None


def like_weights(model: nn.Module) -> Tensor:
    """Return a tensor of the type of a network's weights, and on their device."""
    return next(model.parameters(), torch.zeros(()))


def _is_alike(model: nn.Module, run: Run, sees: Sight) -> bool:
    """Tell whether a tile in the middle of an image is what it is there at once."""
    halo, step = sees.halo, sees.step
    tile = -(-_LEAST_TILE // step) * step
    side = tile + 2 * halo + 2 * step
    like = like_weights(model)
    generator = torch.Generator().manual_seed(1)
    lr = torch.rand(1, 3, side, side, generator=generator).to(like)
    whole = run(model, lr)
    part = run(model, lr[..., step : side - step, step : side - step])
    at, within = SCALE * (step + halo), SCALE * halo
    size = SCALE * tile
    expected = whole[..., at : at + size, at : at + size]
    found = part[..., within : within + size, within : within + size]
    return bool((found - expected).abs().max() <= _ALIKE * expected.abs().max())


def bytes_per_pixel(model: nn.Module, run: Run) -> int:
    """Return the bytes of memory that a run takes for each LR pixel, beside the weights."""
    return math.ceil(_peak(model, run, _COUNTED) / _COUNTED**2)


def bytes_beside(model: nn.Module, run: Run) -> int:
    """Return the bytes that a run takes for a small LR: those of what else it is given."""
    return _peak(model, run, _SMALL)


@torch.inference_mode()
def _peak(model: nn.Module, run: Run, side: int) -> int:
    """Return the bytes that a run on LR of `side` × `side` px takes beside the weights."""
    like = like_weights(model)
    counted = _Held()
    with counted:
        run(model, like.new_zeros(1, 3, side, side))
    return counted.peak


class _Held(TorchDispatchMode):
    """Counts the bytes of the tensors that are held at once: `peak`."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        made = [value for value in tree_leaves(output) if isinstance(value, Tensor)]
        given = [value for value in tree_leaves(args) if isinstance(value, Tensor)]
        for value in made:
            storage = value.untyped_storage()
            self._held[storage.data_ptr()] = StorageWeakRef(storage), storage.nbytes()
        self._held = {key: one for key, one in self._held.items() if not one[0].expired()}
        # oneDNN works on copies of what goes in and out, in an order of its own.
        copies = sum(value.nbytes for value in (*given, *made) if value.dim() == 4)
        self.peak = max(self.peak, copies + sum(size for _, size in self._held.values()))
        return output


def tile_side(height: int, width: int, bytes_: int, sees: Sight, room: int) -> int:
    """Return the largest side of tiles, LR pixels, whose runs take at most `room` bytes.

    `bytes_`: for each LR pixel. At least 8 px, or the image's longest side: that it is run at once.
    """
    longest = max(height, width)
    if bytes_ * height * width <= room or sees.reach is None:
        return longest
    side = math.isqrt(max(room // bytes_, 0)) - 2 * sees.halo
    side = max(side, _LEAST_TILE) // sees.step * sees.step
    return min(max(side, sees.step), longest)


def least_bytes(height: int, width: int, bytes_: int, sees: Sight) -> int:
    """Return the bytes below which LR of this size cannot be run, whatever its tiles."""
    if sees.reach is None:
        return bytes_ * height * width
    side = tile_side(height, width, bytes_, sees, 0) + 2 * sees.halo
    return bytes_ * min(side, height) * min(side, width)


@torch.inference_mode()
def in_tiles(model: nn.Module, run: Run, lr: RGB, sees: Sight, side: int) -> RGB:
    """Return SR, uint8 [4h, 4w, 3], of `lr`, uint8 [h, w, 3], in tiles of `side` LR pixels.

    Equal to SR at once but for the rounding of floats. Raises ArithmeticError for a network that
    gives values that are no numbers.
    """
    height, width = lr.shape[:2]
    if sees.reach is None:
        side = max(height, width)
    sr = np.empty((SCALE * height, SCALE * width, 3), np.uint8)
    for top in range(0, height, side):
        for left in range(0, width, side):
            bottom, right = min(top + side, height), min(left + side, width)
            place = np.s_[SCALE * top : SCALE * bottom, SCALE * left : SCALE * right]
            sr[place] = _tile(model, run, lr, sees, side, (top, bottom, left, right))
    return sr


def _tile(
    model: nn.Module, run: Run, lr: RGB, sees: Sight, side: int, tile: tuple[int, int, int, int]
) -> RGB:
    """Return SR of these rows and columns of LR, computed from all that they depend on."""
    top, bottom, left, right = tile
    whole = max(lr.shape[:2]) <= side
    halo = 0 if whole else sees.halo
    # Windows of one size, at the border too: for every other size PyTorch would keep buffers.
    window = side + 2 * halo
    first_row, first_column = (
        # On a whole step also where the window is moved inwards.
        max(0, min(start - halo, -(-(length - window) // sees.step) * sees.step))
        for start, length in zip((top, left), lr.shape[:2], strict=False)
    )
    seen = lr[first_row : first_row + window, first_column : first_column + window]
    like = like_weights(model)
    values = run(model, to_tensor(seen)[None].to(like))[0]
    if not bool(values.isfinite().all()):
        raise ArithmeticError("values that are no numbers")
    rows = slice(SCALE * (top - first_row), SCALE * (bottom - first_row))
    columns = slice(SCALE * (left - first_column), SCALE * (right - first_column))
    return to_image(values[:, rows, columns])
