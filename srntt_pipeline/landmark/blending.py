"""Blending what references add to LR↑, by minimising an energy.

E(x) = Σ_p Σ_c w_c(p) (x(p) − d_c(p))²                      what each reference c adds
     + ρ Σ_p x(p)²                                          LR↑ alone, where little is trusted
     + λ Σ_pq Σ_c w_c(p, q) (x(p) − x(q) − d_c(p) + d_c(q))²    its edges, within a block

p, q are neighbours; w_c(p, q) is the smaller trust of both in one block, and 0 between blocks: so
seams have no edges of their own. E is quadratic; its minimum solves a linear system.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from srntt_pipeline.landmark.matching import Matched

Array = npt.NDArray[np.float64]

RHO, LAMBDA = 0.1, 1.0
_TOLERANCE, _MOST_STEPS = 1e-4, 200


class Energy:
    """The sums that E is made of, so that no reference has to be kept: [H, W], or [H, W, 3]."""

    def __init__(self, height: int, width: int, *, rho: float = RHO, lam: float = LAMBDA) -> None:
        self.lam = lam
        self.diagonal: Array = np.full((height, width, 1), rho)
        self.right: Array = np.zeros((height, width, 3))
        self.down_edges: Array = np.zeros((height - 1, width, 1))
        self.right_edges: Array = np.zeros((height, width - 1, 1))

    def add(self, matched: Matched, share: npt.NDArray[np.float32]) -> None:
        """Add what one reference says, its trust multiplied by `share`, float32 [H, W]."""
        trust = (matched.trust * share).astype(np.float64)[..., None]
        detail = matched.detail.astype(np.float64)
        self.diagonal += trust
        self.right += trust * detail
        for edges, one, other in (
            (self.down_edges, np.s_[:-1], np.s_[1:]),
            (self.right_edges, np.s_[:, :-1], np.s_[:, 1:]),
        ):
            same = (matched.block[one] == matched.block[other])[..., None]
            weight = self.lam * same * np.minimum(trust[one], trust[other])
            edges += weight
            pull = weight * (detail[one] - detail[other])
            self.right[one] += pull
            self.right[other] -= pull

    def times(self, x: Array) -> Array:
        """Return the system's matrix times `x`, [H, W, 3]."""
        result = self.diagonal * x
        for edges, one, other in (
            (self.down_edges, np.s_[:-1], np.s_[1:]),
            (self.right_edges, np.s_[:, :-1], np.s_[:, 1:]),
        ):
            flow = edges * (x[one] - x[other])
            result[one] += flow
            result[other] -= flow
        return result

    def minimum(self) -> Array:
        """Return the x of the least E, [H, W, 3], by conjugate gradients from the diagonal's.

        Ends where the residual is 1e-4 of the right side. Sums are NumPy's, whose order does not
        depend on threads.
        """
        centre = self.diagonal.copy()
        for edges, one, other in (
            (self.down_edges, np.s_[:-1], np.s_[1:]),
            (self.right_edges, np.s_[:, :-1], np.s_[:, 1:]),
        ):
            centre[one] += edges
            centre[other] += edges
        x = self.right / centre
        residual = self.right - self.times(x)
        enough = _TOLERANCE**2 * (self.right**2).sum()
        step = residual / centre
        product = (residual * step).sum()
        for _ in range(_MOST_STEPS):
            if (residual**2).sum() <= enough:
                break
            moved = self.times(step)
            length = product / (step * moved).sum()
            x += length * step
            residual -= length * moved
            scaled = residual / centre
            product, before = (residual * scaled).sum(), product
            step = scaled + product / before * step
        return x


def shares(trusts: Iterable[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
    """Return how much each of several references counts at each px, float32 [H, W] in [0, 1].

    By the fourth power of its trust against the highest there: the best counts whole, one that is
    trusted half as much a sixteenth. So a poor match does not blur a good one (our choice).
    """
    trusts = list(trusts)
    best = np.maximum.reduce([np.full_like(trusts[0], 1e-6), *trusts])
    return [(trust / best) ** 4 for trust in trusts]
