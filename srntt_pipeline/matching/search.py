"""Exact search for the best Ref patch on the CPU: products, shift sums and arg max in one pass.

G[p, q] = ⟨f(p), g(q)⟩ lies flat in memory, Ref positions innermost, so a shift of p and q by one
row is one offset into it, and a shift by one column another. Nine shifted products are then two
sums of three long vectors each, without strides. Where an offset runs over the end of a row the
sum is of no patch; -inf rules these places out.

A band of LR rows meets a band of Ref rows at a time. The band's last two rows of G are kept for the
next band, so no product is computed twice along LR. NumPy does the work: its BLAS and arg max are
the fastest measured here, and it runs in several threads at once, each with LR rows of its own.
"""

import functools
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from srntt_pipeline.maps import FLOAT_BYTES
from srntt_pipeline.matching.patches import HALO, PATCH, patch_at

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

# Measured on an AMD EPYC with 1 MiB of L2: more LR rows a band, or more memory, gain nothing.
_BAND_ROWS = 4
_TILE_BYTES = 48 << 20


@dataclass(frozen=True)
class Tiles:
    """How a search is cut: LR columns of a strip, Ref rows of a band, in patches."""

    columns: int
    ref_rows: int

    def bytes(self, ref_width: int) -> int:
        """Return what the buffers of one thread take."""
        row = (self.columns + HALO) * (self.ref_rows + HALO) * ref_width * FLOAT_BYTES
        return (_BAND_ROWS + HALO + 2) * row  # G with its kept rows, and two rows of sums


def choose_tiles(width: int, ref_shape: tuple[int, int], room: int) -> Tiles:
    """Return the largest useful tiles of at most `room` bytes: few Ref bands, then narrow strips.

    `width` and `ref_shape`: of the LR and Ref maps. Raises ValueError when nothing fits.
    """
    room = min(room, _TILE_BYTES)
    columns, ref_rows = width - HALO, ref_shape[0] - HALO
    unit = Tiles(columns, 1 - HALO).bytes(ref_shape[1])  # of one Ref row
    if room >= PATCH * unit:
        bands = -(-ref_rows // (room // unit - HALO))
        return Tiles(columns, -(-ref_rows // bands))
    columns = room // (PATCH * Tiles(1 - HALO, 1 - HALO).bytes(ref_shape[1])) - HALO
    if columns < 1:
        raise ValueError(
            f"max_memory is {Tiles(1, 1).bytes(ref_shape[1]) - room} bytes too small for a Ref map "
            f"{ref_shape[1]} wide"
        )
    return Tiles(columns, 1)


def best_in(
    lr: Floats,
    ref: Floats,
    factors: Floats,
    penalties: Floats | None,
    *,
    room: int,
    threads: int,
    best: int = 1,
) -> tuple[Floats, Indices]:
    """Return score and Ref patch of the `best` matches of each LR patch, each [best, h-2, w-2].

    `lr` [C, h, w], `ref` [C, h', w']. The score of Ref patch j, numbered row by row, is its sum of
    products times `factors`, plus `penalties`, both [h'-2, w'-2]: 1/‖P_j‖, and 0 or -inf; None: 0
    everywhere. Sorted, the best first; ties go to the lowest index. Where scores are -inf,
    the index means nothing. Buffers stay below `room` bytes in all; raises ValueError when they
    cannot.
    """
    rows, columns = lr.shape[1] - HALO, lr.shape[2] - HALO
    score = np.full((best, rows, columns), -np.inf, np.float32)
    index = np.zeros((best, rows, columns), np.int64)
    least = Tiles(1, 1).bytes(ref.shape[2])
    threads = max(1, min(threads, rows, room // least))  # fewer, rather than none
    tiles = choose_tiles(lr.shape[2], (ref.shape[1], ref.shape[2]), room // threads)

    def search(part: tuple[int, int]) -> None:
        for left in range(0, columns, tiles.columns):
            here = np.s_[:, part[0] : part[1], left : left + tiles.columns]
            block = lr[:, part[0] : part[1] + HALO, left : left + tiles.columns + HALO]
            _search(block, ref, factors, penalties, tiles.ref_rows, score[here], index[here])

    with one_blas_thread():
        if threads == 1:
            search((0, rows))
        else:
            parts = [rows * part // threads for part in range(threads + 1)]
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(search, itertools.pairwise(parts)))
    return score, patch_at(index, ref.shape[2])


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keep NumPy's BLAS to one thread meanwhile: its own threads would fight with ours."""
    return _controller().limit(limits=1, user_api="blas")


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def _search(
    lr: Floats,
    ref: Floats,
    factors: Floats,
    penalties: Floats | None,
    ref_rows: int,
    score: Floats,
    index: Indices,
) -> None:
    """Improve `score` and `index` (Ref *positions*), [best, ·, ·], of the patches of `lr`."""
    channels, height, width = lr.shape
    ref_height, ref_width = ref.shape[1:]
    lr, ref = lr.reshape(channels, -1), ref.reshape(channels, -1)
    buffers = _buffers(width, (ref_rows + HALO) * ref_width)
    pad = ((0, HALO), (0, HALO))
    for top in range(0, ref_height - HALO, ref_rows):
        bottom = min(top + ref_rows, ref_height - HALO)
        band = np.s_[top * ref_width : (bottom + HALO) * ref_width]
        factor = np.pad(factors[top:bottom], pad, constant_values=1).ravel()
        penalty = None
        if penalties is not None:
            penalty = np.pad(penalties[top:bottom], pad, constant_values=-np.inf).ravel()
        for row, sums in _sums(lr, ref[:, band], height, width, ref_width, buffers):
            scores = sums.reshape(width - HALO, -1)
            np.multiply(scores, factor, out=scores)
            if penalty is not None:
                np.add(scores, penalty, out=scores)
            else:  # what `pad` rules out, without a pass over all
                places = scores.reshape(width - HALO, -1, ref_width)
                places[:, :, -HALO:] = -np.inf
                places[:, -HALO:] = -np.inf
            _keep_best(scores, top * ref_width, score[:, row], index[:, row])


def _keep_best(scores: Floats, first: int, score: Floats, index: Indices) -> None:
    """Bring `scores` [n, positions], of positions from `first` on, into `score` and `index` [k, n].

    These are sorted, and of positions before `first`, so what is as good comes behind.
    """
    patches = np.arange(len(scores))
    for _ in range(len(score)):
        found = scores.argmax(1)
        value, place = scores[patches, found], found + first
        scores[patches, found] = -np.inf
        inserted = np.zeros(len(scores), np.bool_)
        for kept in range(len(score)):
            inserted |= value > score[kept]  # from there on, all move one place back
            if inserted.any():
                for new, old in ((value, score[kept]), (place, index[kept])):
                    new[inserted], old[inserted] = old[inserted], new[inserted]


def _buffers(width: int, length: int) -> tuple[Floats, Floats, Floats]:
    """Return room for G of a band, for sums over rows and for sums over both, [·, w, length].

    Zeros, so that no garbage is ever taken for a number.
    """
    row = width * length
    return (
        np.zeros((_BAND_ROWS + HALO) * row, np.float32),
        np.zeros(row, np.float32),
        np.zeros(row, np.float32),
    )


def _sums(
    lr: Floats,
    ref: Floats,
    height: int,
    width: int,
    ref_width: int,
    buffers: tuple[Floats, Floats, Floats],
) -> Iterator[tuple[int, Floats]]:
    """Yield each patch row of LR with its sums of nine products, flat [(w-2) · positions of Ref].

    `lr` [C, h·w] and `ref` [C, positions]. The sums hold until the next are asked for; at positions
    that begin no patch they are meaningless.
    """
    positions = ref.shape[1]
    row = width * positions
    products, by_rows, sums = buffers
    down, right = row + ref_width, positions + 1  # from a pair of positions to the next of a patch

    def multiply(first: int, count: int, place: int) -> None:
        out = products[place * row : (place + count) * row].reshape(count * width, positions)
        np.matmul(lr[:, first * width : (first + count) * width].T, ref, out=out)

    multiply(0, HALO, 0)
    for top in range(0, height - HALO, _BAND_ROWS):
        count = min(_BAND_ROWS, height - HALO - top)
        multiply(top + HALO, count, HALO)
        for local in range(count):
            size = row - HALO * ref_width
            start = products[local * row :]
            out = by_rows[:size]
            np.add(start[:size], start[down : down + size], out=out)
            np.add(out, start[2 * down : 2 * down + size], out=out)
            size = row - HALO * (positions + ref_width + 1)
            out = sums[:size]
            np.add(by_rows[:size], by_rows[right : right + size], out=out)
            np.add(out, by_rows[2 * right : 2 * right + size], out=out)
            yield top + local, sums[: row - HALO * positions]
        products[: HALO * row] = products[count * row : (count + HALO) * row]
