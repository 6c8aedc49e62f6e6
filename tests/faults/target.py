"""A kind of files to be fuzzed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Target:
    """Spoilt files, and what reads one.

    `share` of the asked inputs, where a read takes long; `always`: inputs that are read first.
    """

    files: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    share: float = 1.0
    always: Sequence[Any] = ()
