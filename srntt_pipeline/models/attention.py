"""Hard attention: each patch of one map takes its best match in others (TTSR, section 3.1.2).

The match is that of our exact search, without a gradient; what is gathered by it has one.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.matching.correspondence import match_maps
from srntt_pipeline.matching.patches import PATCH, PatchNumbers

_LEAST = 1e-12  # of a patch's norm


class HardAttention:
    """Which patch of the references each patch of LR↑ takes (section 3.1.2, Eq. 2–4).

    `queries`: the map of LR↑, [N, C, h, w]; `keys`: those of each Ref↓↑, [N, C, h', w']. Patches
    are 3×3 around each position, with zeros beyond the border. The search itself has no gradient;
    what is gathered by it has.
    """

    def __init__(self, queries: Tensor, keys: Sequence[Tensor]) -> None:
        self._queries, self._keys = (list(map(_bordered, maps)) for maps in ([queries], keys))
        found = [self._numbers(sample) for sample in range(len(queries))]
        shapes = [(key.shape[2], key.shape[3]) for key in self._keys]
        self._patch = torch.stack(found).to(queries.device)
        grid, row, column = PatchNumbers(shapes).places(self._patch)
        # Of all positions of all bordered maps, row by row, where each match begins.
        sizes = torch.tensor(shapes, device=queries.device)
        first = sizes.prod(1).cumsum(0) - sizes.prod(1)
        self._width = sizes[:, 1][grid]
        self._start = first[grid] + row * self._width + column
        # A patch that is no number takes none, so that it is seen how far it is looked at.
        self._lost = ~F.avg_pool2d(queries.detach().sum(1, keepdim=True), PATCH, 1, 1).isfinite()

    @torch.no_grad()
    def _numbers(self, sample: int) -> Tensor:
        (queries,) = self._queries
        keys = [key[sample].float() for key in self._keys]
        return match_maps(queries[sample].float().nan_to_num(0, 0, 0), keys).index

    def relevance(self) -> Tensor:
        """Return S, [N, 1, h, w]: the cosine of each patch with its match."""
        (queries,) = self._queries
        height, width = self._start.shape[1:]
        product = queries.new_zeros(len(queries), 1, height, width)
        for (row, column), key in self._gathered(self._keys):
            query = queries[:, :, row : row + height, column : column + width]
            product = product + (query * key).sum(1, keepdim=True)
        norms = [_norms(key).flatten(1) for key in self._keys]
        of_keys = torch.cat(norms, 1).gather(1, self._patch.flatten(1)).view(product.shape)
        return product / (_norms(queries)[:, None] * of_keys)

    def transferred(self, values: Sequence[Tensor], cells: int) -> Tensor:
        """Return T, [N, C, h·s, w·s], of maps of the references, [N, C, h'·s, w'·s] (Eq. 4).

        `cells`: s, on how many positions of the map one of the keys lies. A position is the sum of
        what the patches over it have there, over nine, as in the authors' code: at the border,
        where fewer lie over it, too.
        """
        bordered = [_bordered(F.pixel_unshuffle(one, cells)) for one in values]
        height, width = self._start.shape[1:]
        total: Tensor | None = None
        for (row, column), found in self._gathered(bordered):
            after = PATCH - 1 - row, PATCH - 1 - column
            spread = F.pad(found, (column, after[1], row, after[0]))
            total = spread if total is None else total + spread
        assert total is not None
        inner = total[:, :, 1 : 1 + height, 1 : 1 + width] / PATCH**2
        return F.pixel_shuffle(inner, cells)

    def _gathered(self, maps: Sequence[Tensor]) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """Yield each place in a patch, and what bordered maps have there in the matches."""
        flat = torch.cat([one.flatten(2) for one in maps], 2)
        for row in range(PATCH):
            for column in range(PATCH):
                at = (self._start + row * self._width + column).flatten(1)
                found = flat.gather(2, at[:, None].expand(-1, flat.shape[1], -1))
                found = found.unflatten(2, self._start.shape[1:])
                yield (row, column), found.masked_fill(self._lost, torch.nan)


def _bordered(maps: Tensor) -> Tensor:
    return F.pad(maps, (1, 1, 1, 1))


def _norms(bordered: Tensor) -> Tensor:
    """Return ‖P‖ of each patch, [N, h, w], of a bordered map."""
    squares = bordered.square().sum(1, keepdim=True)
    return F.avg_pool2d(squares, PATCH, 1)[:, 0].mul(PATCH**2).clamp_min(_LEAST**2).sqrt()
