"""Matches to the pixel: the best places around those that the search on the grid found.

relu3_1 has a position for every 4 px, so the exact search compares patches that begin 4 px apart.
What a reference shows one or two pixels aside is found, but fine texture does not lie where it
lies in HR. Here every LR patch P_i, which the search matched at the pixel (Y, X) of a reference
version, is compared with the patches that begin at (Y + a, X + b), a, b = -3…3, of the dense maps
of Ref↓↑ (`dense`; `references.down_up_mean`):

    s(i, y, x) = ⟨P_i, P(y, x)⟩ / ‖P(y, x)‖
    P(y, x) = relu3_1 of the phase (y mod 4, x mod 4), rows ⌊y/4⌋ … ⌊y/4⌋ + 2, columns likewise

and takes the best. A place takes part if the patch lies within the version and sees no corner that
rotation left empty. Of equal scores the first place counts, row by row. With k candidates of each
LR patch, the best of all their places is taken.

By relu1_1, then, the best of the places one pixel around it is taken (`TextureStep`): patches of
12×12 values of relu1_1 of LR↑ and Ref↓↑ in the same formula. The score stays that of relu3_1.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.maps import FLOAT_BYTES, STRIDE
from srntt_pipeline.matching.correspondence import (
    Candidates,
    Correspondence,
    box_sums,
    cosines,
    patch_norms,
)
from srntt_pipeline.matching.patches import HALO, PATCH, CellNumbers, PatchNumbers
from srntt_pipeline.matching.windows import Window
from srntt_pipeline.swaps.dense import phase_of, shift_of

REACH = 3  # px around a match on the grid: the next one is 4 px away
TEXTURE_REACH = 1  # px around a match, by relu1_1
PATCH_PX = PATCH * STRIDE
# For each candidate: a score for every place around it, and where these are.
PLACES_VALUES = (2 * (REACH + TEXTURE_REACH) + 1) ** 2 + 16
# What is gathered at a time: more leaves the processor's cache.
_CHUNK_BYTES = {"cpu": 4 << 20, "cuda": 256 << 20}


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
        self._norms, self._patches = patch_norms(lr), PatchNumbers([(lr.shape[1], lr.shape[2])])
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

    def add(
        self,
        around: Around,
        half: tuple[int, int],
        maps: Tensor,
        norms: Tensor,
        valid: Tensor | None,
    ) -> None:
        """Score the places of one half: `maps` as DenseMaps yields them, and their `dense_norms`.

        `valid`, bool [4h-11, 4w-11]: which patches of the dense maps, [4h, 4w], may be matched, by
        the pixel that they begin at; None: all.
        """
        # How far from the first place around an entry the first one of this half is, 0 or 1 px.
        away = (half[0] - around.row) % 2, (half[1] - around.column) % 2
        for down, right in itertools.product((0, 1), repeat=2):
            rows, columns = (len(range(one, self._side, 2)) for one in (down, right))
            here = ((away[0] == down) & (away[1] == right)).nonzero().flatten()
            if not rows or not columns or not len(here):
                continue
            table = self._scores.view(-1, self._side, self._side)[:, down::2, right::2]
            seen = (rows + _PATCH_REACH) * (columns + _PATCH_REACH) + PATCH**2
            step = _CHUNK_BYTES[maps.device.type] // (maps.shape[2] * FLOAT_BYTES * seen)
            for chosen in here.split(max(1, step)):
                entries = around.entries[chosen]
                first = around.row[chosen] + down, around.column[chosen] + right
                table[entries] = self._scored(entries, first, (rows, columns), maps, norms, valid)

    def _scored(
        self,
        entries: Tensor,
        first: tuple[Tensor, Tensor],
        size: tuple[int, int],
        maps: Tensor,
        norms: Tensor,
        valid: Tensor | None,
    ) -> Tensor:
        """Return the scores of `size` places, 2 px apart from the pixels `first` on, [n, *size].

        -inf where the patch may not be matched or leaves the maps.
        """
        pixels, positions, inside = [], [], []
        for start, count, length in zip(first, size, maps.shape, strict=False):
            steps = torch.arange(count + _PATCH_REACH, device=maps.device)
            pixel = start[:, None] + 2 * steps
            pixels.append(pixel[:, :count])
            positions.append(pixel.div(2, rounding_mode="floor").clamp(0, length - 1))
            last = 2 * length - PATCH_PX
            inside.append((pixels[-1] >= 0) & (pixels[-1] <= last))
        cells = positions[0][:, :, None] * maps.shape[1] + positions[1][:, None, :]
        scores = self._products(entries, maps.flatten(0, 1), cells)
        scores /= norms.flatten()[cells[:, : size[0], : size[1]]]
        allowed = inside[0][:, :, None] & inside[1][:, None, :]
        if valid is not None:
            row, column = (
                pixel.clamp(0, length - 1)
                for pixel, length in zip(pixels, valid.shape, strict=True)
            )
            allowed = allowed & valid[row[:, :, None], column[:, None, :]]
        return scores.masked_fill_(~allowed, -torch.inf)

    def _products(self, entries: Tensor, maps: Tensor, cells: Tensor) -> Tensor:
        """Return ⟨P_i, P⟩ of LR patches with patches of a half's `maps`, [positions, C].

        `cells`, int64 [n, rows + 4, columns + 4]: the positions that the patches of each lie on;
        result [n, rows, columns].
        """
        _, row, column = self._patches.places(entries % self._patches.count)
        corner = row * self._width + column
        around = torch.arange(PATCH, device=maps.device)
        lr = corner[:, None] + (around[:, None] * self._width + around).flatten()
        count, rows, columns = cells.shape
        refs = maps.index_select(0, cells.flatten()).view(count, rows * columns, -1)
        lrs = self._rows.index_select(0, lr.flatten()).view(count, PATCH**2, -1)
        products = torch.bmm(lrs, refs.transpose(1, 2)).view(count, PATCH, PATCH, rows, columns)
        return sum_of_patches(products)

    def result(self, texture: "TextureStep | None" = None) -> Correspondence:
        """Return the correspondence to the pixel; `texture`: the last step, with its maps added."""
        if texture is None:
            entry, place = self.best()
        else:
            entry, place = texture.best()
        shape = self._norms.shape
        version, row, column = self.place_of(entry, place)
        index = PatchNumbers(self.shapes).numbers(version, row // STRIDE, column // STRIDE)
        phase = phase_of(row % STRIDE, column % STRIDE).to(torch.uint8)
        score = self._scores[entry, place].view(shape)
        return Correspondence(
            index.view(shape),
            score,
            cosines(score, self._norms),
            self.shapes,
            phase.view(shape),
        )

    def best(self) -> tuple[Tensor, Tensor]:
        """Return for each LR patch, in a row, the entry and the place around it of the best score.

        Places farther than REACH are scored for a step that follows, and take no part.
        """
        far = abs(torch.arange(self._side, device=self._scores.device) - self.reach) > REACH
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
        version, row, column = self.place_of(entry, place)
        return CellNumbers(grids).numbers(version.clamp(min=0), row, column)

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
        lr_width = self._lr.shape[2]
        numbers = PatchNumbers([(self._lr.shape[1] // STRIDE, lr_width // STRIDE)])
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
            _, lr_row, lr_column = numbers.places(patches)
            corner = STRIDE * (lr_row * lr_width + lr_column)
            lr = of_lr[corner[:, None, None] + in_patch[:, None] * lr_width + in_patch]
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


def sum_of_patches(products: Tensor) -> Tensor:
    """Return the sums over the positions of patches, [n, rows, columns].

    `products` [n, 3, 3, rows + 4, columns + 4]: of each position of a patch with positions 2 px
    apart; those of a patch are 4 px apart.
    """
    rows, columns = (side - _PATCH_REACH for side in products.shape[3:])
    sums = products[:, 0, 0, :rows, :columns].clone()
    for position in range(1, PATCH**2):
        down, right = divmod(position, PATCH)
        top, left = 2 * down, 2 * right
        sums += products[:, down, right, top : top + rows, left : left + columns]
    return sums


def dense_norms(maps: Tensor) -> Tensor:
    """Return ‖P‖ of the patch that begins at each position of a half's maps, float32, never zero.

    `maps` [h, w, C]; where the patch would leave them the value means nothing.
    """
    squares = torch.linalg.vector_norm(maps, dim=2).square()
    squares = F.pad(squares, [0, _PATCH_REACH, 0, _PATCH_REACH])
    sums: Tensor = box_sums(squares, apart=2)
    return sums.clamp_min(1e-12).sqrt()


_TEXTURE_SIDE = 2 * TEXTURE_REACH + 1
_PATCH_REACH = 2 * HALO  # positions 2 px apart from the first of a patch to its last
