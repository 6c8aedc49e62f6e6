"""Which part of an image grids and the page show enlarged: where there is most to restore."""

import numpy as np

from srntt_pipeline.images import RGB, SCALE


def finest_detail(hr: RGB, most_px: int | None = None) -> tuple[int, int, int, int]:
    """Return top, left, height, width of the window of `hr`, uint8 [H, W, 3], with most gradient.

    A quarter of each side, at most `most_px`, in whole pixels of LR.
    """
    grey = hr.mean(axis=2)
    energy = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    height, width = (_side(side, most_px) for side in hr.shape[:2])
    sums = np.pad(energy.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    windows = (
        sums[height:, width:]
        - sums[:-height, width:]
        - sums[height:, :-width]
        + sums[:-height, :-width]
    )
    windows = windows[::SCALE, ::SCALE]
    top, left = np.unravel_index(windows.argmax(), windows.shape)
    return int(top) * SCALE, int(left) * SCALE, height, width


def _side(side: int, most_px: int | None) -> int:
    quarter = side // 4 if most_px is None else min(side // 4, most_px)
    return quarter // SCALE * SCALE or SCALE
