"""Correspondence between LR↑ and references (paper section 3.1, Eq. 1–2).

For every 3×3 patch P_i of φ(LR↑) on relu3_1, the patch P_j of φ(Ref↓↑) of the highest score
s(i, j) = ⟨P_i, P_j / ‖P_j‖⟩, over all patches of all references and their versions.

The 2304-long inner products are not computed one by one. With G[p, q] = ⟨f(p), g(q)⟩ over single
positions, s(i, j) ‖P_j‖ is the sum of G over the nine equal shifts of p and q: a ninth of the
multiplications, and the shifts sum by rows, then by columns. Tiles of LR rows by Ref rows bound the
memory and keep it in the processor's cache.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

PATCH = 3
_TILE_BYTES = {"cpu": 8 << 20, "cuda": 512 << 20}


@dataclass(frozen=True)
class Correspondence:
    """The best match of every LR patch, over the maps of all reference versions.

    `index` int64 [h-2, w-2]: the matched patch, numbered row by row through the patches of the
    first map, then of the second, …; `score` float32 [h-2, w-2]: Eq. 1; `weight` float32
    [h-2, w-2]: the score with the LR patch normalised too, the cosine in [0, 1] of Eq. 6's S*;
    `shapes`: (h, w) of each version's relu3_1 map.
    """

    index: Tensor
    score: Tensor
    weight: Tensor
    shapes: tuple[tuple[int, int], ...]

    def __add__(self, other: "Correspondence") -> "Correspondence":
        """Return the correspondence over the versions of both: ties go to the first."""
        better = other.score > self.score
        return Correspondence(
            torch.where(better, other.index + patch_count(self.shapes), self.index),
            torch.where(better, other.score, self.score),
            torch.where(better, other.weight, self.weight),
            self.shapes + other.shapes,
        )


def patch_count(shapes: Iterable[tuple[int, int]]) -> int:
    """Return the number of 3×3 patches in maps of these shapes (h, w)."""
    return sum((height - PATCH + 1) * (width - PATCH + 1) for height, width in shapes)


def match(lr: Tensor, refs: Iterable[Tensor]) -> Correspondence:
    """Return the best match of each 3×3 patch of `lr` in `refs`; ties go to the lowest index.

    Ties of scores as computed, in float32: equal patches can differ there by a rounding.

    `lr`: φ(LR↑) on relu3_1, float32 [C, h, w]; `refs`: φ(Ref↓↑) of each version, float32
    [C, h', w'] of any sizes, all at least 3×3. Raises ValueError when a map is smaller.
    """
    norms = patch_norms(lr)
    result: Correspondence | None = None
    for ref in refs:
        score, index = _best_in(lr, ref)
        found = Correspondence(
            index, score, (score / norms).clamp(0, 1), ((ref.shape[1], ref.shape[2]),)
        )
        result = found if result is None else result + found
    if result is None:
        raise ValueError("no reference to match with")
    return result


def patch_norms(maps: Tensor) -> Tensor:
    """Return ‖P‖ of every 3×3 patch of a map [C, h, w], float32 [h-2, w-2], never zero."""
    if min(maps.shape[1:]) < PATCH:
        raise ValueError(f"a map of {tuple(maps.shape[1:])} holds no {PATCH}×{PATCH} patch")
    squares = maps.square().sum(0)[None, None]
    sums = F.avg_pool2d(squares, PATCH, stride=1, divisor_override=1)[0, 0]
    return sums.clamp_min(1e-12).sqrt()


def _best_in(lr: Tensor, ref: Tensor) -> tuple[Tensor, Tensor]:
    """Return best score and patch index in one `ref`, each [h-2, w-2]."""
    rows, columns = lr.shape[1] - PATCH + 1, lr.shape[2] - PATCH + 1
    ref_rows, ref_columns = ref.shape[1] - PATCH + 1, ref.shape[2] - PATCH + 1
    inverse = 1 / patch_norms(ref)
    best = lr.new_full((rows, columns), -torch.inf)
    index = torch.zeros((rows, columns), dtype=torch.int64, device=lr.device)
    tile = _tile_rows(lr.shape[2], ref.shape[2], lr.device.type)
    for top in range(0, rows, tile):
        bottom = min(top + tile, rows)
        block = lr[:, top : bottom + PATCH - 1].flatten(1).T
        for ref_top in range(0, ref_rows, tile):
            ref_bottom = min(ref_top + tile, ref_rows)
            ref_block = ref[:, ref_top : ref_bottom + PATCH - 1].flatten(1)
            products = (block @ ref_block).view(
                bottom - top + PATCH - 1, lr.shape[2], ref_bottom - ref_top + PATCH - 1, -1
            )
            scores = _shift_sums(products) * inverse[ref_top:ref_bottom]
            score, local = scores.flatten(2).max(dim=2)
            better = score > best[top:bottom]
            best[top:bottom] = torch.where(better, score, best[top:bottom])
            found = local + ref_top * ref_columns
            index[top:bottom] = torch.where(better, found, index[top:bottom])
    return best, index


def _shift_sums(products: Tensor) -> Tensor:
    """Sum G [h, w, h', w'] over nine equal shifts of both positions: [h-2, w-2, h'-2, w'-2]."""
    height, width, ref_height, ref_width = (size - PATCH + 1 for size in products.shape)
    by_rows = products[:height, :, :ref_height] + products[1 : height + 1, :, 1 : ref_height + 1]
    by_rows += products[2:, :, 2:]
    sums = by_rows[:, :width, :, :ref_width] + by_rows[:, 1 : width + 1, :, 1 : ref_width + 1]
    sums += by_rows[:, 2:, :, 2:]
    return sums


def _tile_rows(width: int, ref_width: int, device: str) -> int:
    """Return how many patch rows of LR and Ref go into a tile, so that G fits the budget."""
    floats = _TILE_BYTES[device] / 4
    side = int((floats / (width * ref_width)) ** 0.5)
    return max(1, side - PATCH + 1)
