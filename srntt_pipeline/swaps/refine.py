"""Matches to the pixel: the best places around those that the search on the grid found.

relu3_1 has a position for every 4 px, so the exact search compares patches that begin 4 px apart.
What a reference shows one or two pixels aside is found, but fine texture does not lie where it
lies in HR. Here every LR patch P_i, which the search matched at the pixel (Y, X) of a reference
version, is compared with the patches that begin at (Y + a, X + b), a, b = -3…3, of the dense maps
of Ref↓↑ (`dense`):

    s(i, y, x) = ⟨P_i, P(y, x)⟩ / ‖P(y, x)‖
    P(y, x) = relu3_1 of the phase (y mod 4, x mod 4), rows ⌊y/4⌋ … ⌊y/4⌋ + 2, columns likewise

and takes the best. A place takes part if the patch lies within the version and sees no corner that
rotation left empty. Of equal scores the first place counts, row by row. With k candidates of each
LR patch, the best of all their places is taken.

By relu1_1, then, the best of the places one pixel around it is taken (`TextureStep`): patches of
12×12 values of relu1_1 of LR↑ and Ref↓↑ in the same formula. The score stays that of relu3_1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.maps import FLOAT_BYTES, STRIDE
from srntt_pipeline.swaps.correspondence import Candidates, Correspondence, patch_norms
from srntt_pipeline.swaps.dense import phase_of, shift_of
from srntt_pipeline.swaps.patches import HALO, PATCH, CellNumbers, PatchNumbers
from srntt_pipeline.swaps.windows import Window

REACH = 3  # px around a match on the grid: the next one is 4 px away
TEXTURE_REACH = 1  # px around a match, by relu1_1
PATCH_PX = PATCH * STRIDE
# What is gathered at a time: more leaves the processor's cache.
_CHUNK_BYTES = {"cpu": 4 << 20, "cuda": 256 << 20}

Shapes = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Around:
    """Entries of a `Refinement` whose places lie in one window of a version.

    `entries`, int64 [n]; `row` and `column`, int64 [n]: the pixel that the first place around each
    begins at, counted from the top left of the dense maps that are given.
    """

    entries: Tensor
    row: Tensor
    column: Tensor


class Refinement:
    """The scores of the places around each candidate of the LR patches, as dense maps are added.

    `lr`: φ(LR↑) on relu3_1, float32 [C, h, w]; `found`: its candidates; `reach`: px, how far
    around. `phase`, uint8 [h-2, w-2]: where the places begin that are refined, if not on the grid.
    """

    def __init__(
        self, lr: Tensor, found: Candidates, reach: int = REACH, phase: Tensor | None = None
    ) -> None:
        self.reach, self.shapes = reach, found.shapes
        self._rows, self._width = lr.flatten(1).t().contiguous(), lr.shape[2]
        self._norms = patch_norms(lr)
        self._count = len(found.index)
        version, row, column = PatchNumbers(found.shapes).places(found.index)
        down, right = (0, 0) if phase is None else shift_of(phase.long())
        # Entries are the candidates of all LR patches, -1 as version where there is none.
        self._version = torch.where(found.score > -torch.inf, version, -1).flatten()
        self._row = (STRIDE * row + down).flatten()
        self._column = (STRIDE * column + right).flatten()
        self._side = 2 * reach + 1
        self._scores = lr.new_full((len(self._row), self._side**2), -torch.inf)

    def around(self, version: int, window: Window, seen: Window) -> Around | None:
        """Return what lies around patches of `window` in a version; None where nothing does.

        `seen`: the window that dense maps are of.
        """
        patches = window.patches
        row, column = self._row // STRIDE, self._column // STRIDE
        here = (self._version == version) & (row >= patches.top) & (row < patches.bottom)
        here &= (column >= patches.left) & (column < patches.right)
        entries = here.nonzero().flatten()
        if not len(entries):
            return None
        return Around(
            entries,
            self._row[entries] - self.reach - STRIDE * seen.top,
            self._column[entries] - self.reach - STRIDE * seen.left,
        )

    def add(self, around: Around, phase: int, maps: Tensor, valid: Tensor) -> None:
        """Score the places of one phase: `maps`, its relu3_1 map, float32 [C, h', w'].

        `valid`, bool [H, W]: which patches may be matched, by the pixel that they begin at, counted
        as the dense maps are.
        """
        if min(maps.shape[1:]) < PATCH:
            return
        down, right = shift_of(phase)
        # The first pixels of this phase in reach: 0, 1 or more positions apart are the others.
        first_row = around.row + (down - around.row) % STRIDE
        first_column = around.column + (right - around.column) % STRIDE
        rows, columns = (
            _fitting(first_row - around.row, self._side),
            _fitting(first_column - around.column, self._side),
        )
        if not rows or not columns:
            return
        width = maps.shape[2]
        of_ref = maps.flatten(1).t().contiguous()
        factors = (1 / patch_norms(maps)).flatten()
        size = (rows + HALO) * (columns + HALO)
        step = max(
            1, _CHUNK_BYTES[maps.device.type] // (len(maps) * FLOAT_BYTES * (size + PATCH**2))
        )
        for start in range(0, len(around.entries), step):
            part = slice(start, start + step)
            y = first_row[part, None] + STRIDE * torch.arange(rows, device=maps.device)
            x = first_column[part, None] + STRIDE * torch.arange(columns, device=maps.device)
            # Places beyond the reach, or that may not be matched, are computed and not kept.
            y_place, x_place = y - around.row[part, None], x - around.column[part, None]
            inside = (y >= 0) & (y < valid.shape[0]) & (y_place < self._side)
            across = (x >= 0) & (x < valid.shape[1]) & (x_place < self._side)
            allowed = inside[:, :, None] & across[:, None, :]
            y, x = y.clamp(0, valid.shape[0] - 1), x.clamp(0, valid.shape[1] - 1)
            allowed &= valid[y[:, :, None], x[:, None, :]]
            sums = self._products(around.entries[part], of_ref, width, first_row[part] // STRIDE,
                                  first_column[part] // STRIDE, rows, columns)  # fmt: skip
            patch = (y // STRIDE)[:, :, None] * (width - HALO) + (x // STRIDE)[:, None, :]
            scores = sums * factors[patch.clamp(max=len(factors) - 1)]
            place = y_place[:, :, None] * self._side + x_place[:, None, :]
            entry = around.entries[part, None, None].expand_as(place)
            self._scores[entry[allowed], place[allowed]] = scores[allowed]

    def _products(
        self, entries: Tensor, of_ref: Tensor, width: int, row: Tensor, column: Tensor,
        rows: int, columns: int,
    ) -> Tensor:  # fmt: skip
        """Return ⟨P_i, P⟩ of LR patches with `rows` × `columns` patches of a map from `row`, `column`.

        `of_ref`: the map, [positions, C], `width` positions wide; what lies beyond it is its edge.
        """
        device = of_ref.device
        height = len(of_ref) // width
        y = (row[:, None] + torch.arange(rows + HALO, device=device)).clamp(0, height - 1)
        x = (column[:, None] + torch.arange(columns + HALO, device=device)).clamp(0, width - 1)
        seen = (y[:, :, None] * width + x[:, None, :]).flatten(1)
        patches = entries % self._norms.numel()
        patch_width = self._width - HALO
        corner = patches // patch_width * self._width + patches % patch_width
        around = torch.arange(PATCH, device=device)
        lr = corner[:, None] + (around[:, None] * self._width + around).flatten()
        channels = of_ref.shape[1]
        refs = of_ref.index_select(0, seen.flatten()).view(len(entries), -1, channels)
        lrs = self._rows.index_select(0, lr.flatten()).view(len(entries), -1, channels)
        products = torch.bmm(lrs, refs.transpose(1, 2))
        products = products.view(len(entries), PATCH, PATCH, rows + HALO, columns + HALO)
        sums = torch.zeros(len(entries), rows, columns, device=device)
        for down in range(PATCH):
            for right in range(PATCH):
                sums += products[:, down, right, down : down + rows, right : right + columns]
        return sums

    def result(self, texture: "TextureStep | None" = None) -> Correspondence:
        """Return the correspondence to the pixel; `texture`: the last step, once its maps are added."""
        if texture is None:
            entry, place = self.best()
        else:
            entry, place = texture.best()
        shape = self._norms.shape
        row = self._row[entry] - self.reach + place // self._side
        column = self._column[entry] - self.reach + place % self._side
        index = PatchNumbers(self.shapes).numbers(
            self._version[entry], row // STRIDE, column // STRIDE
        )
        phase = phase_of(row % STRIDE, column % STRIDE).to(torch.uint8)
        score = self._scores[entry, place].view(shape)
        return Correspondence(
            index.view(shape),
            score,
            (score / self._norms).clamp(0, 1),
            self.shapes,
            phase.view(shape),
        )

    def best(self, within: int = REACH) -> tuple[Tensor, Tensor]:
        """Return for each LR patch, in a row, the entry and the place around it of the best score.

        `within`: px, how far from the candidates.
        """
        far = abs(torch.arange(self._side, device=self._scores.device) - self.reach) > within
        scores = self._scores.masked_fill((far[:, None] | far).flatten(), -torch.inf)
        places = scores.argmax(1)
        scores = scores.gather(1, places[:, None])[:, 0].view(self._count, -1)
        numbers = self._pixel_numbers(torch.arange(len(places), device=places.device), places)
        numbers = numbers.view(self._count, -1)
        best = torch.zeros_like(scores[0], dtype=torch.int64)
        patches = torch.arange(len(best), device=best.device)
        for other in range(1, self._count):
            better = scores[other] > scores[best, patches]
            better |= (scores[other] == scores[best, patches]) & (
                numbers[other] < numbers[best, patches]
            )
            best = torch.where(better, other, best)
        entry = best * len(best) + patches
        return entry, places[entry]

    def _pixel_numbers(self, entry: Tensor, place: Tensor) -> Tensor:
        """Return the numbers of places, version after version, row by row, pixel by pixel."""
        grids = [(STRIDE * height, STRIDE * width) for height, width in self.shapes]
        row = self._row[entry] - self.reach + place // self._side
        column = self._column[entry] - self.reach + place % self._side
        return CellNumbers(grids).numbers(self._version[entry].clamp(min=0), row, column)

    def place_of(self, entry: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return version, row and column, px, at which the patches of these places begin."""
        row = self._row[entry] - self.reach + place // self._side
        column = self._column[entry] - self.reach + place % self._side
        return self._version[entry], row, column

    def may_be_matched(self, entry: Tensor, place: Tensor) -> Tensor:
        """Return which of these places took part."""
        return self._scores[entry, place] > -torch.inf


class TextureStep:
    """The scores of the places around each match by relu1_1, as its maps of Ref↓↑ are added.

    `refinement`: with all dense maps added, and a reach of REACH + TEXTURE_REACH; `lr`: relu1_1 of
    LR↑, float32 [C, 4h, 4w].
    """

    def __init__(self, refinement: Refinement, lr: Tensor) -> None:
        self._of, self._lr, self.shapes = refinement, lr, refinement.shapes
        self._entry, self._place = refinement.best()
        self._version, self._row, self._column = refinement.place_of(self._entry, self._place)
        self._scores = lr.new_full((len(self._entry), _TEXTURE_SIDE**2), -torch.inf)

    def around(self, version: int, window: Window, seen: Window) -> Around | None:
        """Return as `Refinement.around` does the LR patches that were matched in a window."""
        candidates = self._of.around(version, window, seen)
        if candidates is None:
            return None
        patches = torch.isin(self._entry, candidates.entries).nonzero().flatten()
        if not len(patches):
            return None
        return Around(
            patches,
            self._row[patches] - TEXTURE_REACH - STRIDE * seen.top,
            self._column[patches] - TEXTURE_REACH - STRIDE * seen.left,
        )

    def add(self, around: Around, maps: Tensor) -> None:
        """Score the places by relu1_1 of Ref↓↑, float32 [C, H, W], where the dense maps lie."""
        device, width = maps.device, maps.shape[2]
        of_ref, of_lr = (one.flatten(1).t().contiguous() for one in (maps, self._lr))
        squares = maps.square().sum(0)[None, None]
        norms = F.avg_pool2d(squares, PATCH_PX, 1, divisor_override=1)[0, 0].clamp_min(1e-12).sqrt()
        side = PATCH_PX + 2 * TEXTURE_REACH
        step = max(1, _CHUNK_BYTES[device.type] // (len(maps) * FLOAT_BYTES * 2 * side**2))
        patch_width = self._lr.shape[2] // STRIDE - HALO
        in_patch, in_window = (
            torch.arange(PATCH_PX, device=device),
            torch.arange(side, device=device),
        )
        for start in range(0, len(around.entries), step):
            patches = around.entries[start : start + step]
            row, column = around.row[start : start + step], around.column[start : start + step]
            y = (row[:, None] + in_window).clamp(0, maps.shape[1] - 1)
            x = (column[:, None] + in_window).clamp(0, width - 1)
            refs = of_ref[y[:, :, None] * width + x[:, None, :]]
            corner = STRIDE * (patches // patch_width * self._lr.shape[2] + patches % patch_width)
            lr = of_lr[corner[:, None, None] + in_patch[:, None] * self._lr.shape[2] + in_patch]
            for place in range(_TEXTURE_SIDE**2):
                down, right = divmod(place, _TEXTURE_SIDE)
                here = refs[:, down : down + PATCH_PX, right : right + PATCH_PX]
                factor = norms[
                    (row + down).clamp(0, norms.shape[0] - 1),
                    (column + right).clamp(0, norms.shape[1] - 1),
                ]
                self._scores[patches, place] = (lr * here).sum((1, 2, 3)) / factor

    def best(self) -> tuple[Tensor, Tensor]:
        """Return for each LR patch the entry and the place of its refinement, as that does."""
        far = 2 * (self._of.reach) + 1
        row, column = self._place // far, self._place % far
        across = torch.arange(_TEXTURE_SIDE, device=row.device) - TEXTURE_REACH
        rows = (row[:, None, None] + across[:, None]).expand(-1, -1, len(across)).flatten(1)
        columns = (column[:, None, None] + across).expand(-1, len(across), -1).flatten(1)
        places = rows * far + columns
        allowed = self._of.may_be_matched(self._entry[:, None], places)
        chosen = self._scores.masked_fill(~allowed, -torch.inf).argmax(1)
        return self._entry, places.gather(1, chosen[:, None])[:, 0]


_TEXTURE_SIDE = 2 * TEXTURE_REACH + 1


def _fitting(first: Tensor, side: int) -> int:
    """Return how many places, STRIDE px apart from `first` on, begin below `side`, at most."""
    return max(0, -(-(side - int(first.min())) // STRIDE))
