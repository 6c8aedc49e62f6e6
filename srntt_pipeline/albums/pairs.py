"""The pairs of an album's photos: match counts and levels, as matrices.

A row is an HR photo, a column a reference. Pairs are listed row by row, which is by name.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srntt_pipeline.albums.levels import grade
from srntt_pipeline.config import BuildParams

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """The ordered pairs of N photos of an album, `names`.

    `matches` int32 [N, N]: best matches of the row's photo in the column's. `level` int8 [N, N]:
    1 the highest, 0 none, -1 on the diagonal, which holds no pairs.
    """

    names: tuple[str, ...]
    matches: npt.NDArray[np.int32]
    level: npt.NDArray[np.int8]

    @classmethod
    def graded(
        cls, names: tuple[str, ...], matches: npt.NDArray[np.int32], params: BuildParams
    ) -> "Pairs":
        """Return the pairs with levels as `params` want them."""
        others = ~np.eye(len(names), dtype=np.bool_)
        level = np.full(matches.shape, -1, np.int8)
        level[others] = grade(matches[others], params)
        return cls(names, matches, level)

    def without(self, left_out: Collection[str]) -> "Pairs":
        """Return the pairs of the other photos; they keep their levels."""
        kept = [i for i, name in enumerate(self.names) if name not in left_out]
        if len(kept) == len(self.names):
            return self
        both = np.ix_(kept, kept)
        names = tuple(self.names[i] for i in kept)
        return Pairs(names, self.matches[both], self.level[both])

    def of_level(self, level: int) -> npt.NDArray[np.intp]:
        """Return the places of the pairs of a level, as rows [K, 2] of HR and reference."""
        return np.argwhere(self.level == level)

    def complete(self, levels: int) -> list[str]:
        """Return the HR photos that have a reference at every level, by name."""
        complete = np.ones(len(self.names), np.bool_)
        for level in range(1, levels + 1):
            complete &= (self.level == level).any(axis=1)
        return [self.names[i] for i in np.flatnonzero(complete)]

    def histogram(self, levels: int) -> Counts:
        """Return how many pairs have each level and match count, int64 [levels + 1, most + 1]."""
        most = int(self.matches.max(initial=0))
        rows = [
            np.bincount(self.matches[self.level == level], minlength=most + 1)
            for level in range(levels + 1)
        ]
        return np.stack(rows).astype(np.int64, copy=False)
