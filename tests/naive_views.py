"""The eight ways to turn and flip, by transposition and reversal instead of rotation."""

import numpy as np


def naive(array: np.ndarray, way: int) -> np.ndarray:
    """Return an array [H, W, …] turned `way // 2` times, and flipped where `way` is odd."""
    for _ in range(way // 2):  # counter-clockwise: transpose, then upside down
        array = array.swapaxes(0, 1)[::-1]
    return array[:, ::-1] if way % 2 else array
