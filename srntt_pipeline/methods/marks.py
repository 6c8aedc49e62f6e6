"""Names of several checkpoints of one network: `SRNTT-l2 #seed 0`, `SRNTT-l2 #lr 1e-4`.

What follows ` #` is a mark that tells them apart; before it stands the row of the network.
"""

import re

MARK = " #"
_SEED = re.compile(r"(?P<network>.+) #seed (?P<seed>[^#]+)")


def row_of(name: str) -> str:
    """Return the row of the network without any mark: `SRNTT-l2 #lr 1e-4` → `SRNTT-l2`."""
    return name.partition(MARK)[0]


def mark_of(name: str) -> str:
    """Return the mark with what begins it: `SRNTT-l2 #lr 1e-4` → ` #lr 1e-4`; or nothing."""
    return name[len(row_of(name)) :]


def seeds_of(name: str) -> str | None:
    """Return what a method is one seed of: `EDSR #seed 1` → `EDSR`; None if it is not one."""
    found = _SEED.fullmatch(name)
    return found["network"] if found else None


def seed_name(network: str, seed: object) -> str:
    """Return the name of a network trained with this seed."""
    return f"{network}{MARK}seed {seed}"
