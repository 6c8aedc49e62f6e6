"""Shift sums and arg max of a tile of products in one CUDA kernel, where Triton is installed.

The kernel reads G nine times, from the GPU's caches, and writes nothing but scores and indices; in
plain PyTorch the same takes eight passes over memory. It has been run in Triton's interpreter only,
never on a GPU: what it costs or gains there is not known.
"""

import os

import torch
from torch import Tensor
from torch.nn import functional as F

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

_BLOCK = 1024  # Ref positions at a time

if triton is not None:

    @triton.jit
    def _kernel(  # type: ignore[no-untyped-def]
        products,
        factors,
        penalties,
        scores,
        indices,
        columns,
        ref_width,
        positions,
        BLOCK: tl.constexpr,  # noqa: N803
    ) -> None:
        patch = tl.program_id(0)
        width = columns + 2
        first = (patch // columns * width + patch % columns).to(tl.int64) * positions
        lanes = tl.arange(0, BLOCK)
        best = tl.full([BLOCK], float("-inf"), tl.float32)
        index = tl.zeros([BLOCK], tl.int32)
        for start in range(0, positions, BLOCK):
            q = start + lanes
            total = tl.zeros([BLOCK], tl.float32)
            for right in tl.static_range(3):
                by_rows = tl.zeros([BLOCK], tl.float32)
                for down in tl.static_range(3):
                    there = q + down * ref_width + right
                    offset = first + (down * width + right) * positions
                    by_rows += tl.load(products + offset + there, there < positions, other=0.0)
                total += by_rows
            score = total * tl.load(factors + q, q < positions, other=1.0)
            score += tl.load(penalties + q, q < positions, other=float("-inf"))
            better = score > best
            best = tl.where(better, score, best)
            index = tl.where(better, q, index)
        top = tl.max(best, 0)
        tl.store(scores + patch, top)
        # Lanes with the same score: the lowest index.
        tl.store(indices + patch, tl.min(tl.where(best == top, index, positions), 0))


def available(device: torch.device) -> bool:
    """Tell whether to use the kernel on `device`: where SRNTT_TRITON=1 asks for it.

    Nobody has run it on a GPU yet, so it is not what is used unasked.
    """
    return triton is not None and device.type == "cuda" and os.environ.get("SRNTT_TRITON") == "1"


def best_of(products: Tensor, factors: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
    """Return best score, float32, and Ref patch, int64, both [h-2, w-2], in a tile of G.

    `products`: float32 [h, w, h', w'], contiguous; `factors` and `penalties`: of the tile's Ref
    patches, [h'-2, w'-2].
    """
    height, width, ref_height, ref_width = products.shape
    scores = products.new_empty(height - 2, width - 2)
    indices = torch.empty_like(scores, dtype=torch.int32)
    # Positions that begin no patch are ruled out by a penalty, so positions are patches.
    pad = (0, 2, 0, 2)
    _kernel[(scores.numel(),)](
        products,
        F.pad(factors, pad, value=1.0),
        F.pad(penalties, pad, value=-torch.inf),
        scores,
        indices,
        width - 2,
        ref_width,
        ref_height * ref_width,
        BLOCK=_BLOCK,
    )
    found = indices.long().clamp_max(ref_height * ref_width - 1)
    return scores, found // ref_width * (ref_width - 2) + found % ref_width
