"""Random numbers that depend on a seed and on names, never on the order of work."""

import hashlib

import numpy as np


def generator(seed: int, *names: object) -> np.random.Generator:
    """Return NumPy's generator for `seed` and what it is for.

    Each photo, pair or step draws from its own generator, so results are the same whatever the
    number of workers and wherever a killed job resumes.
    """
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], dtype=np.uint32).tolist()])
