"""Parts of an array job: `--shard 3/16` runs the third of sixteen, which others may run beside.

A part is of the work; the HDF5 files of swaps that are called shards are `swaps.shards`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from srntt_pipeline.errors import InputError

Item = TypeVar("Item")


@dataclass(frozen=True)
class ArrayPart:
    """Part `k` of `n`, from 1 on; the `n` parts of a sequence have each of its items once."""

    k: int
    n: int

    @classmethod
    def parse(cls, text: str) -> "ArrayPart":
        """Read `k/n`; raise InputError when it is none."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if found:
            k, n = map(int, found.groups())
            if 1 <= k <= n:
                return cls(k, n)
        raise InputError(f"--shard {text}: give k/n with k from 1 to n, such as 3/16")

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return this part's items: every nth, so that parts are much the same size."""
        return items[self.k - 1 :: self.n]

    def __str__(self) -> str:
        return f"{self.k}/{self.n}"
