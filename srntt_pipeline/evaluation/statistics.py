"""How sure a mean is, and whether two methods differ: over images, the unit that was sampled."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control, wilcoxon

from srntt_pipeline.seeds import generator

RESAMPLES = 9999
CONFIDENCE = 0.95
# Of fewer images no signs of differences are rare enough for p < 0.05, and an interval is little
# more than the range of the values.
LEAST_IMAGES = 6
EXACT_UP_TO = 50  # images; for more, and for tied ranks, p is that of the normal approximation


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same images: mean difference, its interval, Wilcoxon's p.

    `low`, `high` and `p` are None where there are fewer than LEAST_IMAGES.
    """

    images: int
    difference: float
    low: float | None
    high: float | None
    p: float | None

    @property
    def differ(self) -> bool | None:
        """Whether both say so: the interval leaves out zero, and p is below 0.05.

        None where there are too few images.
        """
        if self.low is None or self.high is None:
            return None
        return (self.low > 0 or self.high < 0) and self.p is not None and self.p < 1 - CONFIDENCE


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the bootstrap interval (percentiles, 95 %) of the mean of `values`.

    None for fewer than LEAST_IMAGES values, or if any is infinite. The resamples depend on nothing
    but the number of values, so that the same values always have the same interval.
    """
    sample = np.asarray(values, np.float64)
    if len(sample) < LEAST_IMAGES or not np.isfinite(sample).all():
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(_resampling(len(sample)) @ sample, [tail, 1 - tail])
    return float(low), float(high)


@functools.lru_cache(maxsize=4)
def _resampling(count: int) -> npt.NDArray[np.float64]:
    """Return RESAMPLES rows of weights: how often each of `count` values is drawn, by `count`."""
    drawn = generator(0, "bootstrap", count).multinomial(
        count, np.full(count, 1 / count), size=RESAMPLES
    )
    return drawn / count


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Comparison:
    """Compare numbers of the same images, in the same order: the mean of `ours` - `theirs`.

    The interval is `interval`'s of the differences. `p`: Wilcoxon's signed-rank test, two-sided;
    None where no difference is left to rank, or too few images. Differences that are not finite
    (equal images have an infinite PSNR) are left out.
    """
    with np.errstate(invalid="ignore"):  # infinite less infinite
        differences = np.subtract(ours, theirs)
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return Comparison(0, math.nan, None, None, None)
    low, high = interval(differences.tolist()) or (None, None)
    return Comparison(
        len(differences), float(differences.mean()), low, high, _signed_rank(differences)
    )


def _signed_rank(differences: npt.NDArray[np.float64]) -> float | None:
    ranked = np.abs(differences[differences != 0])  # Wilcoxon: equal pairs say nothing
    if not len(ranked) or len(differences) < LEAST_IMAGES:
        return None
    exact = len(ranked) <= EXACT_UP_TO and len(np.unique(ranked)) == len(ranked)
    # Not SciPy's own choice: where ranks are tied it would go through all signs, for a second.
    method = "exact" if exact else "asymptotic"
    return float(wilcoxon(differences[differences != 0], method=method).pvalue)


def corrected(p: Sequence[float | None]) -> list[float | None]:
    """Return each p as it is after Benjamini and Hochberg's correction for their number.

    Of the comparisons whose corrected p is below 0.05, 5 % are wrong in the mean. None stays None.
    """
    known = [value for value in p if value is not None]
    adjusted = iter(false_discovery_control(known) if known else [])
    return [None if value is None else float(next(adjusted)) for value in p]
