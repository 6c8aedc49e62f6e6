"""Search for the best Ref patch in PyTorch: for CUDA, and for precisions below float32.

On CUDA `triton_search` can take the place of the tiles here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from srntt_pipeline.maps import FLOAT_BYTES
from srntt_pipeline.matching import triton_search
from srntt_pipeline.matching.patches import HALO, PATCH, PatchNumbers

Precision = Literal["float32", "tf32", "float16", "bfloat16"]

_REDUCED = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_TILE_BYTES = {"cpu": 8 << 20, "cuda": 512 << 20}


def best_in(
    lr: Tensor,
    ref: Tensor,
    factors: Tensor,
    penalties: Tensor,
    room: int,
    precision: Precision,
    best: int = 1,
) -> tuple[Tensor, Tensor]:
    """Return score and index of the best matches of each LR patch, as `search.best_in` does.

    `precision` is that of the products' factors; the products are summed in float32 on CUDA, and
    rounded to `precision` on the CPU. `tf32` needs CUDA. Raises ValueError.
    """
    if precision == "tf32" and lr.device.type != "cuda":
        raise ValueError("tf32 is a precision of CUDA devices")
    dtype = _REDUCED.get(precision, torch.float32)
    if dtype != torch.float32:  # scaled to products of at most 1, lest float16 overflow
        scale, ref_scale = (maps.square().sum(0).max().sqrt().clamp_min(1e-6) for maps in (lr, ref))
        lr, ref = (lr / scale).to(dtype), (ref / ref_scale).to(dtype)
        factors = factors * (scale * ref_scale)
    tf32 = precision == "tf32"
    if best == 1 and triton_search.available(lr.device):
        score, index = triton_search.best_in(lr, ref, factors, penalties, room, tf32=tf32)
        return score[None], index[None]
    with _tf32(tf32):
        return _best_in(lr, ref, factors, penalties, room, best)


def _best_in(
    lr: Tensor, ref: Tensor, factors: Tensor, penalties: Tensor, room: int, count: int
) -> tuple[Tensor, Tensor]:
    """Return score and index of the `count` best matches, tile by tile of LR and Ref rows."""
    rows, columns = lr.shape[1] - HALO, lr.shape[2] - HALO
    patches = PatchNumbers([(ref.shape[1], ref.shape[2])])
    score = factors.new_full((count, rows, columns), -torch.inf)
    index = torch.zeros((count, rows, columns), dtype=torch.int64, device=lr.device)
    tile = tile_rows(lr.shape[2], ref.shape[2], min(room, _TILE_BYTES[lr.device.type]))
    for top in range(0, rows, tile):
        bottom = min(top + tile, rows)
        block = lr[:, top : bottom + HALO]
        for ref_top in range(0, factors.shape[0], tile):
            band = slice(ref_top, ref_top + tile)
            products = _products(block, ref[:, ref_top : ref_top + tile + HALO])
            found = _best_of_tile(products, factors[band], penalties[band], count)
            here = slice(top, bottom)
            score[:, here], index[:, here] = keep_best(
                score[:, here], index[:, here], found[0], found[1] + patches.numbers(0, ref_top, 0)
            )
    return score, index


def keep_best(
    score: Tensor, index: Tensor, other_score: Tensor, other_index: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the k best of two sets of matches, `score` and `index` [k, …], as those are sorted.

    The best first; of equal scores the lowest index first.
    """
    count = len(score)
    index, order = torch.cat([index, other_index]).sort(dim=0)
    score = torch.cat([score, other_score]).gather(0, order)
    score, order = score.sort(dim=0, descending=True, stable=True)
    return score[:count], index.gather(0, order)[:count]


def tile_rows(width: int, ref_width: int, room: int) -> int:
    """Return how many patch rows of LR and Ref go into a tile: G and its sums fit `room` bytes.

    Raises ValueError when not one does.
    """
    # G; the sums over rows; one of: sums over both and a temporary; scores and a temporary.
    side = int((room / (4 * FLOAT_BYTES * width * ref_width)) ** 0.5)
    if side < PATCH:
        raise ValueError(
            f"max_memory is too small for maps {width} and {ref_width} wide: {room} bytes"
        )
    return side - HALO


def _products(lr: Tensor, ref: Tensor) -> Tensor:
    """Return G, float32 [h, w, h', w'], of maps [C, h, w] and [C, h', w']."""
    products = lr.flatten(1).T @ ref.flatten(1)
    return products.float().view(*lr.shape[1:], *ref.shape[1:])


def _best_of_tile(
    products: Tensor, factors: Tensor, penalties: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Return the best scores, float32, and Ref patches, int64, [count, h-2, w-2], in a tile's G."""
    scores = (_shift_sums(products) * factors + penalties).flatten(2)
    found = []
    for _ in range(count):
        score, index = scores.max(dim=2)
        found.append((score, index))
        if len(found) < count:
            scores.scatter_(2, index[..., None], -torch.inf)
    best, places = zip(*found, strict=True)
    return torch.stack(best), torch.stack(places)


def _shift_sums(products: Tensor) -> Tensor:
    """Sum G [h, w, h', w'] over nine equal shifts of both positions: [h-2, w-2, h'-2, w'-2]."""
    height, width, ref_height, ref_width = (size - HALO for size in products.shape)
    by_rows = products[:height, :, :ref_height] + products[1 : height + 1, :, 1 : ref_height + 1]
    by_rows += products[2:, :, 2:]
    sums = by_rows[:, :width, :, :ref_width] + by_rows[:, 1 : width + 1, :, 1 : ref_width + 1]
    sums += by_rows[:, 2:, :, 2:]
    return sums


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 products meanwhile."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
