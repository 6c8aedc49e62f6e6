"""Arrays out of .mat files that hold the parameters of a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from srntt_pipeline.errors import InputError


def array_of(path: Path, content: Any, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return the array `name` of a struct, or of a file, as float32; None in `shape` is any.

    MATLAB drops sides of 1 at the end of a shape; they are added. Raises InputError that names the
    file for one that is missing, of another shape, or not finite.
    """
    values = content.get(name) if isinstance(content, Mapping) else None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise InputError(f"{path}: holds no array {name}")
    sides = (*values.shape, *(1 for _ in shape[values.ndim :]))
    known = len(sides) == len(shape) and 0 not in sides
    if not known or any(want not in (None, side) for want, side in zip(shape, sides, strict=True)):
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise InputError(f"{path}: {name} is of shape {values.shape}, expected ({wanted})")
    with np.errstate(over="ignore"):
        found = values.astype(np.float32).reshape(sides, order="F")
    if not np.isfinite(found).all():
        raise InputError(f"{path}: {name} is not finite: it holds NaN or infinity")
    return found


def struct_of(path: Path, content: Any, name: str) -> Mapping[str, Any]:
    """Return the struct `name`; raise InputError where there is none."""
    found = content.get(name) if isinstance(content, Mapping) else None
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: holds no struct {name}")
    return found


def square_side(path: Path, name: str, count: int) -> int:
    """Return the side of a square, odd kernel of `count` numbers; raise InputError for another."""
    side = round(count**0.5)
    if side**2 != count or side % 2 == 0:
        raise InputError(f"{path}: {name} has kernels of {count} numbers, no odd square")
    return side


def contiguous(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays with their values in the order of their axes."""
    return {name: np.ascontiguousarray(values) for name, values in arrays.items()}
