"""Correspondence between LR↑ and references (paper section 3.1, Eq. 1–2).

For every 3×3 patch P_i of φ(LR↑) on relu3_1, the patch P_j of φ(Ref↓↑) of the highest score
s(i, j) = ⟨P_i, P_j / ‖P_j‖⟩, over all patches of all references and their versions.

The 2304-long inner products are not computed one by one. With G[p, q] = ⟨f(p), g(q)⟩ over single
positions, s(i, j) ‖P_j‖ is the sum of G over the nine equal shifts of p and q: a ninth of the
multiplications. `search` does it on the CPU, `torch_search` elsewhere; both in tiles, so that
memory is bounded whatever the sizes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srntt_pipeline.matching import search, torch_search
from srntt_pipeline.matching.patches import HALO, PATCH, PatchNumbers
from srntt_pipeline.matching.torch_search import Precision
from srntt_pipeline.matching.windows import Window
from srntt_pipeline.memory import MAX_MEMORY


@dataclass(frozen=True)
class Correspondence:
    """The best match of every LR patch, over the maps of all reference versions.

    An LR map of h×w positions has (h-2)×(w-2) patches, and each tensor a value for each of them:

    - `index`, int64: the number of the matched patch, as `PatchNumbers` of `shapes` counts.
    - `score`, float32: s(i, j) of Eq. 1, which takes the arg max. It grows with the LR patch, so
      scores of one LR patch can be compared, those of two cannot.
    - `cosine`, float32 in [0, 1]: the score with the LR patch normalised too; Eq. 6 makes S* of it.

    - `phase`, uint8 in 0…15, of refined matches: the match begins `phase // 4` px below and
      `phase % 4` px right of the patch `index`. None: all begin on relu3_1's grid of 4 px.

    `shapes`: (h, w) of each version's relu3_1 map. Shards hold no scores: what is read from them
    has the cosines in `score` as well.
    """

    index: Tensor
    score: Tensor
    cosine: Tensor
    shapes: tuple[tuple[int, int], ...]
    phase: Tensor | None = None

    def agreement(self, other: "Correspondence") -> float:
        """Return the share of LR patches, 0…1, whose match is the same in both."""
        same = (self.index == other.index) & (self.phases == other.phases)
        return float(same.float().mean())

    @property
    def phases(self) -> Tensor:
        """The phase of each match; zeros where all are on the grid."""
        if self.phase is None:
            return torch.zeros_like(self.index, dtype=torch.uint8)
        return self.phase

    def cpu(self) -> "Correspondence":
        """Return the same on the CPU."""
        on_cpu = {name: values.cpu() for name, values in self.tensors().items()}
        return Correspondence(**on_cpu, shapes=self.shapes)

    def window(self, window: Window, within: Window) -> "Correspondence":
        """Return what stands for the patches of `window`, where `self` covers those of `within`.

        Both windows count patches, not positions.
        """
        return Correspondence(
            **{name: window.of(values, within) for name, values in self.tensors().items()},
            shapes=self.shapes,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return what it has for each LR patch, by name."""
        tensors = {"index": self.index, "score": self.score, "cosine": self.cosine}
        return tensors if self.phase is None else {**tensors, "phase": self.phase}

    def __add__(self, other: "Correspondence") -> "Correspondence":
        """Return the correspondence over the versions of both: ties go to the first."""
        better = other.score > self.score
        return Correspondence(
            torch.where(better, other.index + PatchNumbers(self.shapes).count, self.index),
            torch.where(better, other.score, self.score),
            torch.where(better, other.cosine, self.cosine),
            self.shapes + other.shapes,
            None
            if self.phase is other.phase is None
            else torch.where(better, other.phases, self.phases),
        )


def match_maps(
    lr: Tensor,
    refs: Iterable[Tensor],
    valid: Iterable[Tensor | None] | None = None,
    *,
    max_memory: int = MAX_MEMORY,
    precision: Precision = "float32",
) -> Correspondence:
    """Return the best match of each 3×3 patch of `lr` in `refs`; ties go to the lowest index.

    Ties of scores as computed, in float32: equal patches can differ there by a rounding.

    `lr`: φ(LR↑) on relu3_1, float32 [C, h, w]; `refs`: φ(Ref↓↑) of each version, float32
    [C, h', w'] of any sizes, all at least 3×3; they are taken one at a time. `valid`: for each of
    them the patches that may be matched, bool [h'-2, w'-2], or None for all.

    `max_memory`: bytes that the search may take beside the maps given; tiles are cut to fit.
    `precision`: of the products; sums are float32 always. Other than float32, which is exact to
    1e-5, they change matches: `Correspondence.agreement` with float32's tells how many.

    Raises ValueError when a map is too small, no patch may be matched, or `max_memory` is too
    little for any tile.
    """
    search = Search(lr, max_memory=max_memory, precision=precision)
    for ref, mask in zip(refs, repeat(None) if valid is None else valid, strict=valid is not None):
        search.add(ref, mask)
    return search.result()


class Search:
    """The best matches so far of the patches of one LR map, over the Ref maps added to it.

    Arguments and errors are those of `match_maps`. A Ref map may be added in windows, in any order.
    `best`: how many matches of each LR patch are looked for.
    """

    def __init__(
        self,
        lr: Tensor,
        *,
        max_memory: int = MAX_MEMORY,
        precision: Precision = "float32",
        best: int = 1,
    ) -> None:
        self.lr, self._norms = lr, patch_norms(lr)
        self._room, self._precision, self._best = max_memory, precision, best
        self._score = self._norms.new_full((best, *self._norms.shape), -torch.inf)
        self._index = torch.zeros_like(self._score, dtype=torch.int64)
        self._shapes: list[tuple[int, int]] = []

    def add(self, ref: Tensor, valid: Tensor | None = None) -> None:
        """Search in the map of the next version, [C, h', w']; `valid` as in `match_maps`."""
        shape = (ref.shape[1], ref.shape[2])
        self.begin(shape)
        self.add_window(ref, Window(0, shape[0], 0, shape[1]), valid)

    def begin(self, shape: tuple[int, int]) -> None:
        """Begin the next version, whose map of [h', w'] positions `add_window` gives in parts."""
        self._shapes.append(shape)
        self._patches = PatchNumbers(self._shapes)

    def add_window(self, ref: Tensor, window: Window, valid: Tensor | None = None) -> None:
        """Search in one window, [C, h, w], of the version begun last; `valid` is of the window."""
        score, index = _best_in(self.lr, ref, valid, self._room, self._precision, self._best)
        _, row, column = PatchNumbers([(ref.shape[1], ref.shape[2])]).places(index)
        version = len(self._shapes) - 1
        index = self._patches.numbers(version, row + window.top, column + window.left)
        # Windows do not come in the order of patches: the lower index may come later.
        self._score, self._index = torch_search.keep_best(self._score, self._index, score, index)

    def result(self) -> Correspondence:
        """Return the correspondence over all versions; raise ValueError where nothing matched."""
        candidates = self.candidates()
        score, shapes = candidates.score[0], candidates.shapes
        return Correspondence(candidates.index[0], score, cosines(score, self._norms), shapes)

    def candidates(self) -> "Candidates":
        """Return the best matches of each LR patch; raise ValueError where one has none."""
        if not self._shapes:
            raise ValueError("no reference to match with")
        if bool((self._score[0] == -torch.inf).any()):
            raise ValueError("no patch of any reference may be matched")
        return Candidates(self._index, self._score, tuple(self._shapes))


@dataclass(frozen=True)
class Candidates:
    """The k best matches of every LR patch, best first; of equal scores the lowest index first.

    `index`, int64, and `score`, float32, [k, h-2, w-2], as in `Correspondence`; the score is -inf
    where the references have fewer than k patches that may be matched.
    """

    index: Tensor
    score: Tensor
    shapes: tuple[tuple[int, int], ...]


def join(found: Iterable[Correspondence], parts: Sequence[Window]) -> Correspondence:
    """Return the correspondence of an LR map from those of its `parts`, in the order of these.

    Neighbouring parts share two positions, so each patch of the map lies in one part. `found` is
    taken one at a time: each is copied and let go of.
    """
    whole_map = Window(0, parts[-1].bottom, 0, parts[-1].right).patches
    whole: dict[str, Tensor] = {}
    shapes: tuple[tuple[int, int], ...] = ()
    for one, part in zip(found, parts, strict=True):
        if len(parts) == 1:
            return one
        shapes = one.shapes
        for name, values in one.tensors().items():
            if name not in whole:
                whole[name] = values.new_empty(whole_map.bottom, whole_map.right)
            part.patches.of(whole[name], whole_map).copy_(values)
    return Correspondence(**whole, shapes=shapes)


def cosines(score: Tensor, norms: Tensor) -> Tensor:
    """Return the cosines, in [0, 1], of matches of these scores of LR patches of these norms."""
    return (score / norms).clamp(0, 1)


def patch_norms(maps: Tensor) -> Tensor:
    """Return ‖P‖ of every 3×3 patch of a map [C, h, w], float32 [h-2, w-2], never zero."""
    if min(maps.shape[1:]) < PATCH:
        raise ValueError(f"a map of {tuple(maps.shape[1:])} holds no {PATCH}×{PATCH} patch")
    if maps.device.type == "cpu":
        # NumPy alone: PyTorch's square root wakes its threads, which then spin for milliseconds on
        # the cores that the search wants.
        values = maps.numpy()
        squares = np.einsum("chw,chw->hw", values, values)
        return torch.from_numpy(np.sqrt(np.maximum(box_sums(squares), 1e-12)))
    return box_sums(maps.square().sum(0)).clamp_min(1e-12).sqrt()


def box_sums(values: Any, apart: int = 1) -> Any:
    """Return the sums over 3×3 positions, `apart` from each other, of an array or tensor [h, w].

    [h - 2·apart, w - 2·apart].
    """
    end = 2 * apart
    by_rows = values[:-end] + values[apart:-apart] + values[end:]
    return by_rows[:, :-end] + by_rows[:, apart:-apart] + by_rows[:, end:]


def _best_in(
    lr: Tensor,
    ref: Tensor,
    valid: Tensor | None,
    max_memory: int,
    precision: Precision,
    best: int,
) -> tuple[Tensor, Tensor]:
    """Return the `best` scores and patch indices in one `ref`, each [best, h-2, w-2], sorted.

    -inf where fewer are valid.
    """
    factors = 1 / patch_norms(ref)
    penalties = torch.zeros_like(factors)
    if valid is not None:
        if not bool(valid.any()):
            size = (best, lr.shape[1] - HALO, lr.shape[2] - HALO)
            return lr.new_full(size, -torch.inf), lr.new_zeros(size, dtype=torch.int64)
        penalties.masked_fill_(~valid.to(lr.device), -torch.inf)
    if lr.device.type != "cpu" or precision != "float32":
        return torch_search.best_in(lr, ref, factors, penalties, max_memory, precision, best)
    score, index = search.best_in(
        lr.contiguous().numpy(),
        ref.contiguous().numpy(),
        factors.numpy(),
        None if valid is None else penalties.numpy(),
        room=max_memory,
        threads=torch.get_num_threads(),
        best=best,
    )
    return torch.from_numpy(score), torch.from_numpy(index)
