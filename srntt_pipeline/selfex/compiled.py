"""Loops over pixels, compiled by Numba: one thread, and rounding as written (no fast maths)."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Return `function` compiled at its first call, and kept on disk where a folder can be written.

    Division by zero gives infinity or NaN, as in NumPy.
    """
    made: Any = _kept(function) or numba.njit(error_model="numpy")(function)
    return cast(_Function, made)


def _kept(function: _Function) -> Any:
    try:
        return numba.njit(error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written
        return None
