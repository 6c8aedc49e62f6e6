"""Blending against the same energy as a dense linear system, and as a sum by a loop."""

import numpy as np
import pytest

from srntt_pipeline.landmark.blending import LAMBDA, RHO, Energy, shares
from srntt_pipeline.landmark.matching import Matched

HEIGHT, WIDTH = 5, 6


@pytest.fixture
def references():
    rng = np.random.default_rng(0)
    blocks = np.kron(np.arange(6).reshape(2, 3), np.ones((3, 2))).astype(np.int32)[:HEIGHT]
    return [
        Matched(
            rng.normal(0, 10, (HEIGHT, WIDTH, 3)).astype(np.float32),
            (rng.random((HEIGHT, WIDTH)) * (rng.random((HEIGHT, WIDTH)) > 0.2)).astype(np.float32),
            blocks,
        )
        for _ in range(3)
    ]


def energy_of(x, references):
    """E by its formula, pixel by pixel, in float64; x [H, W]: of the first channel."""
    total = RHO * (x**2).sum()
    for one in references:
        detail, trust = one.detail[..., 0].astype(float), one.trust.astype(float)
        for y in range(HEIGHT):
            for column in range(WIDTH):
                total += trust[y, column] * (x[y, column] - detail[y, column]) ** 2
                for q in ((y + 1, column), (y, column + 1)):
                    p = y, column
                    if q[0] < HEIGHT and q[1] < WIDTH and one.block[p] == one.block[q]:
                        weight = min(trust[p], trust[q])
                        step = x[p] - x[q] - detail[p] + detail[q]
                        total += LAMBDA * weight * step**2
    return total


def test_the_minimum_is_that_of_the_dense_system(references):
    energy = Energy(HEIGHT, WIDTH)
    for one in references:
        energy.add(one, np.ones((HEIGHT, WIDTH), np.float32))
    size = HEIGHT * WIDTH
    zero = energy_of(np.zeros((HEIGHT, WIDTH)), references)
    unit = np.eye(size).reshape(size, HEIGHT, WIDTH)
    alone = np.array([energy_of(one, references) for one in unit])
    matrix = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            both = energy_of(unit[i] + unit[j], references)
            matrix[i, j] = (both - alone[i] - alone[j] + zero) / 2
    right = (np.diag(matrix) - (alone - zero)) / 2
    expected = np.linalg.solve(matrix, right).reshape(HEIGHT, WIDTH)
    found = energy.minimum()
    np.testing.assert_allclose(found[..., 0], expected, atol=0.02)  # of 8-bit levels
    product = energy.times(found)[..., 0].ravel()
    np.testing.assert_allclose(product, matrix @ found[..., 0].ravel(), rtol=1e-6, atol=1e-8)


def test_one_reference_that_is_trusted_is_taken_nearly_whole():
    rng = np.random.default_rng(1)
    detail = rng.normal(0, 10, (8, 8, 3)).astype(np.float32)
    ones = np.ones((8, 8), np.float32)
    energy = Energy(8, 8)
    energy.add(Matched(detail, ones, np.ones((8, 8), np.int32)), ones)
    assert np.abs(energy.minimum() - detail).max() < 0.1 * np.abs(detail).max()


def test_where_nothing_is_trusted_nothing_is_added():
    nothing = np.zeros((8, 8), np.float32)
    energy = Energy(8, 8)
    detail = np.full((8, 8, 3), 50, np.float32)
    energy.add(Matched(detail, nothing, np.zeros((8, 8), np.int32)), nothing + 1)
    assert (energy.minimum() == 0).all()


def test_shares_favour_the_best():
    trusts = [np.float32([[0.8, 0.0]]), np.float32([[0.4, 0.0]])]
    first, second = shares(trusts)
    np.testing.assert_allclose(first, [[1, 0]])
    np.testing.assert_allclose(second, [[1 / 16, 0]])
