"""Scores by Bradley and Terry's model (Biometrika 1952), by maximum likelihood.

The odds that a is preferred to b are exp(score of a - score of b). Found by the iteration of Hunter
(Annals of Statistics 2004, MM algorithms for generalized Bradley-Terry models, equation 3), for
many resamples of the votes at once.
"""

import numpy as np
import numpy.typing as npt

_PRIOR = 0.5  # votes added to either side of each pair that was compared
_MOST_STEPS, _NEAR = 100_000, 1e-10

Array = npt.NDArray[np.float64]


def scores(wins: Array) -> Array:
    """Return the scores [..., m] of `wins` [..., m, m]: votes for row against column.

    Half a vote is added to either side of each pair that has votes, or a method that never loses
    would have no finite score (our choice; the custom for odds). Scores have mean zero over the
    methods. Every method must be compared with every other, be it through others.
    """
    # A pair that one resample has no votes of still connects its methods.
    compared = (wins + np.swapaxes(wins, -1, -2)).sum(tuple(range(wins.ndim - 2))) > 0
    given = wins + _PRIOR * compared
    total, met = given.sum(-1), given + np.swapaxes(given, -1, -2)
    strength = np.ones(total.shape)
    for _ in range(_MOST_STEPS):
        both = strength[..., :, None] + strength[..., None, :]
        new = total / (met / both).sum(-1)
        new /= np.exp(np.log(new).mean(-1, keepdims=True))
        moved = np.abs(np.log(new / strength)).max(initial=0)
        strength = new
        if moved < _NEAR:
            break
    found: Array = np.log(strength)
    return found
