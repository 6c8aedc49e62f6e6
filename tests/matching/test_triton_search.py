"""The Triton kernel: the same answers as plain PyTorch, on any device, and code for CUDA."""

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from srntt_pipeline.matching import triton_search

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)


def test_interpreted_kernel() -> None:
    """In a process of its own: Triton decides on import whether it interprets."""
    tests = Path(__file__).with_name("interpreted_triton.py")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed" in run.stdout


@pytest.mark.parametrize(
    ("tiles", "blocks", "lag", "parts"),
    [(21, 24, 2, 6), (126, 159, 4, 1), (1, 24, 2, 24), (1000, 159, 4, 1)],
)
def test_parts_of_ref_fill_132_multiprocessors(
    tiles: int, blocks: int, lag: int, parts: int
) -> None:
    """The docstring's cases, 160×160 and 500×332 px; one tile, and more than enough."""
    assert triton_search._choose_parts(tiles, blocks, lag, [132] * min(blocks, 64)) == parts


def test_parts_that_leave_no_room_for_a_program_are_not_chosen() -> None:
    assert triton_search._choose_parts(1, 24, 2, [1, 2, 0, -3]) == 2


@pytest.mark.parametrize(
    ("dtype", "precision", "products"),
    [
        ("fp32", "ieee", None),
        ("fp32", "tf32", ".tf32.tf32"),
        ("fp16", "ieee", ".f32.f16.f16"),
        ("bf16", "ieee", ".f32.bf16.bf16"),
    ],
)
def test_code_for_cuda(
    dtype: str,
    precision: str,
    products: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Compiles for a GPU that is not there; float32 never goes to the tensor cores as TF32."""
    compiler = pytest.importorskip("triton.compiler")
    target = pytest.importorskip("triton.backends.compiler").GPUTarget("cuda", 90, 32)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = triton_search._kernel
    constants = {
        "TILE_ROWS": triton_search._TILE_ROWS,
        "TILE_COLUMNS": triton_search._TILE_COLUMNS,
        "BLOCK": triton_search._BLOCK,
        "DEPTH": triton_search._DEPTH,
        "PRECISION": precision,
    }
    types = dict.fromkeys(kernel.arg_names, "i32") | dict.fromkeys(constants, "constexpr")
    types |= dict.fromkeys(("lr", "ref"), f"*{dtype}") | {"indices": "*i32"}
    types |= dict.fromkeys(("factors", "penalties", "rings", "scores"), "*fp32")
    source = compiler.ASTSource(kernel, types, constants)
    code = importlib.import_module("triton").compile(
        source, target=target, options={"num_warps": triton_search._WARPS}
    )
    multiplied = [line for line in code.asm["ptx"].splitlines() if "mma" in line]
    if products is None:
        assert not multiplied
    else:
        assert any(products in line for line in multiplied)
