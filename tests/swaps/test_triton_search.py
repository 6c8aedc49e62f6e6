"""The kernel in Triton's interpreter: the same answers as plain PyTorch, on any device."""

import importlib.util
import os
import subprocess
import sys

import pytest

_COMPARE = """
import torch
from srntt_pipeline.swaps import torch_search, triton_search

torch.manual_seed(0)
for shape in ((3, 3, 3, 3), (4, 6, 5, 7), (5, 4, 40, 33), (3, 9, 12, 90)):
    for products in (torch.rand(shape), torch.randint(0, 2, shape).float()):
        factors = torch.randint(1, 3, (shape[2] - 2, shape[3] - 2)) / 2
        penalties = torch.zeros_like(factors)
        penalties[torch.rand_like(penalties) < 0.3] = -torch.inf
        penalties[-1, -1] = 0
        score, index = torch_search.best_of_tile(products, factors, penalties)
        found_score, found = triton_search.best_of(products, factors, penalties)
        assert torch.equal(found, index), shape
        torch.testing.assert_close(found_score, score, rtol=1e-6, atol=0)
print("same")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_interpreted_kernel() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _COMPARE],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.stdout.strip() == "same", run.stderr
