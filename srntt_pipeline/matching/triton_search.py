"""Search for the best Ref patch in one CUDA kernel: products, shift sums and running arg max fused.

A program owns a tile of LR positions, _TILE_ROWS × _TILE_COLUMNS, and walks through the Ref
positions, which lie flat, _BLOCK at a time. It multiplies tile and block (tl.dot, sums in float32)
into a ring that holds G of the last blocks: as many as the patch that begins in the oldest one
reaches, two Ref rows and two positions. From the ring come the nine shifted products of each pair
of patches, and of their sums only the best of each LR patch is kept. Ref positions that begin no
patch are ruled out by a penalty, as on the CPU.

Arithmetic, not measurements, for C = 256 channels, w' the Ref width, float32:

- The ring takes 4 · 128 · (2 w' + 66, rounded up to 64) bytes a program: 96 KiB at w' = 40,
  160 KiB at w' = 125. A program on each of 132 multiprocessors makes 12 and 20 MiB, which stay in a
  cache of 50 MiB: G is written once and read nine times there.
- LR tiles overlap by two positions, so 128 · C · 2 operations serve 84 patches: 1.5 times the
  product's. Where there are fewer tiles than multiprocessors, Ref is split, and each part begins
  with two rows that only fill the ring. On 132 multiprocessors 160×160 px make 21 tiles × 6
  parts, 3.2 GFLOP where the product alone has 1.3; 500×332 px make 126 tiles, 86 GFLOP for 55.
- A block loads (128 + 64) · C values for 128 · 64 · C · 2 operations: 21 a byte.

It has been run in Triton's interpreter, and compiled for CUDA, but never run on a GPU: what it
costs or gains there is not known.
"""

import os

import torch
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.maps import FLOAT_BYTES
from srntt_pipeline.matching.patches import HALO, patch_at

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

_TILE_ROWS, _TILE_COLUMNS = 16, 8  # LR positions of a tile
_BLOCK = 64  # Ref positions at a time
_DEPTH = 32  # channels at a time
_WARPS = 8
_MOST_PARTS = 64  # of Ref

if triton is not None:

    @triton.jit
    def _kernel(  # type: ignore[no-untyped-def]
        lr,
        ref,
        factors,
        penalties,
        rings,
        scores,
        indices,
        rows,
        columns,
        channels,
        positions,
        ref_width,
        ends,
        part_size,
        parts,
        items,
        ring_size,
        TILE_ROWS: tl.constexpr,  # noqa: N803
        TILE_COLUMNS: tl.constexpr,  # noqa: N803
        BLOCK: tl.constexpr,  # noqa: N803
        DEPTH: tl.constexpr,  # noqa: N803
        PRECISION: tl.constexpr,  # noqa: N803
    ) -> None:
        TILE: tl.constexpr = TILE_ROWS * TILE_COLUMNS  # noqa: N806
        lanes = tl.arange(0, TILE)
        down_lane, right_lane = lanes // TILE_COLUMNS, lanes % TILE_COLUMNS
        block, depths = tl.arange(0, BLOCK), tl.arange(0, DEPTH)
        ring = rings + tl.program_id(0).to(tl.int64) * TILE * ring_size
        tiles_across = tl.cdiv(columns, TILE_COLUMNS - 2)
        lag = ring_size - BLOCK  # from the block multiplied to the block whose patches are complete
        for item in range(tl.program_id(0), items, tl.num_programs(0)):
            tile, part = item // parts, item % parts
            row = tile // tiles_across * (TILE_ROWS - 2) + down_lane
            column = tile % tiles_across * (TILE_COLUMNS - 2) + right_lane
            in_map = (row < rows + 2) & (column < columns + 2)
            is_patch = (down_lane < TILE_ROWS - 2) & (right_lane < TILE_COLUMNS - 2)
            is_patch &= (row < rows) & (column < columns)
            of_lr = (row * (columns + 2) + column).to(tl.int64) * channels
            first = part * part_size
            best = tl.full([TILE, BLOCK], float("-inf"), tl.float32)
            index = tl.zeros([TILE, BLOCK], tl.int32)
            for start in range(first, tl.minimum(first + part_size, ends) + lag, BLOCK):
                q = start + block
                of_ref = q.to(tl.int64) * channels
                products = tl.zeros([TILE, BLOCK], tl.float32)
                for depth in range(0, channels, DEPTH):
                    channel = depth + depths
                    a = tl.load(
                        lr + of_lr[:, None] + channel[None, :],
                        in_map[:, None] & (channel < channels)[None, :],
                        other=0.0,
                    )
                    b = tl.load(
                        ref + of_ref[None, :] + channel[:, None],
                        (q < positions)[None, :] & (channel < channels)[:, None],
                        other=0.0,
                    )
                    products = tl.dot(a, b, products, input_precision=PRECISION)
                slot = (start - first) % ring_size
                tl.store(ring + lanes[:, None] * ring_size + (slot + block)[None, :], products)
                tl.debug_barrier()  # what one thread wrote, others read
                q = start - lag + block
                if start - lag >= first:
                    oldest = (slot + BLOCK) % ring_size
                    total = tl.zeros([TILE, BLOCK], tl.float32)
                    for right in tl.static_range(3):
                        by_rows = tl.zeros([TILE, BLOCK], tl.float32)
                        for down in tl.static_range(3):
                            there = oldest + block + down * ref_width + right
                            there = tl.where(there < ring_size, there, there - ring_size)
                            shifted = lanes + down * TILE_COLUMNS + right
                            by_rows += tl.load(
                                ring + shifted[:, None] * ring_size + there[None, :],
                                is_patch[:, None],
                                other=0.0,
                            )
                        total += by_rows
                    score = total * tl.load(factors + q, q < ends, other=1.0)[None, :]
                    score += tl.load(penalties + q, q < ends, other=float("-inf"))[None, :]
                    better = score > best
                    best = tl.where(better, score, best)
                    index = tl.where(better, q[None, :], index)
                tl.debug_barrier()  # the next block takes the oldest one's place
            top = tl.max(best, 1)
            # Equal scores: the lowest index.
            lowest = tl.min(tl.where(best == top[:, None], index, positions), 1)
            out = (part * rows + row).to(tl.int64) * columns + column
            tl.store(scores + out, top, is_patch)
            tl.store(indices + out, lowest, is_patch)


def available(device: torch.device) -> bool:
    """Tell whether to use the kernel on `device`: where SRNTT_TRITON=1 asks for it.

    Nobody has run it on a GPU yet, so it is not what is used unasked.
    """
    return triton is not None and device.type == "cuda" and os.environ.get("SRNTT_TRITON") == "1"


def best_in(
    lr: Tensor, ref: Tensor, factors: Tensor, penalties: Tensor, room: int, *, tf32: bool = False
) -> tuple[Tensor, Tensor]:
    """Return score and Ref patch of the best match of each LR patch, as `search.best_in` does.

    `lr` [C, h, w] and `ref` [C, h', w'] of one dtype, float32, float16 or bfloat16; `factors` and
    `penalties` float32 [h'-2, w'-2]. Sums are float32; float32 products are exact unless `tf32`.
    Ties go to the lowest index. Copies, rings and results stay below `room` bytes; raises
    ValueError when they cannot.
    """
    channels, height, width = lr.shape
    ref_height, ref_width = ref.shape[1:]
    rows, columns = height - HALO, width - HALO
    positions = ref_height * ref_width
    ends = positions - HALO * ref_width - HALO  # behind the last position that begins a patch
    tiles = -(-rows // (_TILE_ROWS - HALO)) * -(-columns // (_TILE_COLUMNS - HALO))
    blocks, lag = -(-ends // _BLOCK), -(-(HALO * ref_width + HALO) // _BLOCK)
    tile = _TILE_ROWS * _TILE_COLUMNS
    ring_bytes = (lag + 1) * _BLOCK * tile * FLOAT_BYTES
    copies = (lr.numel() + ref.numel()) * lr.element_size() + 2 * positions * FLOAT_BYTES
    part_bytes = rows * columns * 2 * FLOAT_BYTES
    most = [
        min(_multiprocessors(lr.device), (room - copies - part_bytes * parts) // ring_bytes)
        for parts in range(1, min(blocks, _MOST_PARTS) + 1)
    ]
    if most[0] < 1:
        raise ValueError(
            f"max_memory is {copies + part_bytes + ring_bytes - room} bytes too small for maps "
            f"{width}×{height} and {ref_width}×{ref_height}"
        )
    parts = _choose_parts(tiles, blocks, lag, most)
    part_blocks = -(-blocks // parts)
    parts = -(-blocks // part_blocks)
    programs = min(tiles * parts, most[parts - 1])
    scores = factors.new_empty(parts, rows, columns)
    indices = torch.empty_like(scores, dtype=torch.int32)
    _kernel[(programs,)](
        # Channels innermost: they are what a product runs along.
        lr.permute(1, 2, 0).contiguous(),
        ref.permute(1, 2, 0).contiguous(),
        F.pad(factors, (0, HALO), value=1.0),
        F.pad(penalties, (0, HALO), value=-torch.inf),
        scores.new_empty(programs * ring_bytes // FLOAT_BYTES),
        scores,
        indices,
        rows,
        columns,
        channels,
        positions,
        ref_width,
        ends,
        part_blocks * _BLOCK,
        parts,
        tiles * parts,
        (lag + 1) * _BLOCK,
        TILE_ROWS=_TILE_ROWS,
        TILE_COLUMNS=_TILE_COLUMNS,
        BLOCK=_BLOCK,
        DEPTH=_DEPTH,
        PRECISION="tf32" if tf32 else "ieee",
        num_warps=_WARPS,
    )
    score, part = scores.max(dim=0)  # the first of equal ones: the lowest index
    index = indices.gather(0, part[None])[0].long().clamp_max(ends - 1)
    return score, patch_at(index, ref_width)


def _choose_parts(tiles: int, blocks: int, lag: int, most: list[int]) -> int:
    """Return into how many parts Ref is split: as few as make the search take the fewest steps.

    `most[n-1]` programs can run at once with n parts. Each takes an equal share of the items, tiles
    × parts, one after the other: an item takes a step for each of its blocks, and `lag` more to
    fill the ring.
    """

    def steps(parts: int) -> int:
        part_blocks = -(-blocks // parts)
        items = tiles * -(-blocks // part_blocks)
        return -(-items // most[parts - 1]) * (part_blocks + lag)

    return min((n for n in range(1, len(most) + 1) if most[n - 1] > 0), key=steps)


def _multiprocessors(device: torch.device) -> int:
    """Return the number of the GPU's; for Triton's interpreter, which runs on the CPU, a few."""
    if device.type != "cuda":
        return 4
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
