"""Similarity levels from match counts (paper section 4).

The paper names no thresholds. Bands of counts are the default, since they mean the same in every
album; quantiles grade each album by itself, so that no level is empty.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from srntt_pipeline.config import BuildParams

Counts = npt.NDArray[np.integer[Any]]


def level_name(level: int) -> str:
    """Return the name of a level: 1 is `L1`, the highest."""
    return f"L{level}"


def levels_by_bands(counts: Counts, bands: Sequence[int]) -> Counts:
    """Return the level, 1…len(bands), of each count; 0 below the last band: no level, unrelated.

    `bands` holds the least count of each level, falling.
    """
    rising = np.asarray(bands)[::-1]
    reached = np.searchsorted(rising, counts, side="right")
    return np.where(reached == 0, 0, len(bands) + 1 - reached)


def levels_by_quantiles(counts: Counts, levels: int) -> Counts:
    """Return the level, 1…levels, of each count among all `counts`: equal shares, highest first.

    Equal counts get equal levels, the higher one's.
    """
    if counts.size == 0:
        return counts.copy()
    above = counts.size - np.cumsum(np.bincount(counts))  # of each count that occurs or could
    return (1 + above * levels // counts.size).astype(np.int8)[counts]


def grade(counts: Counts, params: BuildParams) -> Counts:
    """Return the level of each of an album's match counts as `params` want it; 0: none."""
    if params.levels_by == "bands":
        # Of each count that occurs or could, then looked up: a large album has millions of pairs.
        possible = np.arange(int(counts.max(initial=0)) + 1)
        return levels_by_bands(possible, params.level_bands).astype(np.int8)[counts]
    return levels_by_quantiles(counts, params.levels)
