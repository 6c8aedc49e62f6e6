"""The reference `HR (warp)` of Table 2: HR itself, moved so that no patch is where it was."""

import cv2
import numpy as np

from srntt_pipeline.images import RGB

HR_WARP = "HR (warp)"


def warp_hr(hr: RGB, rng: np.random.Generator) -> RGB:
    """Return `hr`, uint8 [H, W, 3], under a random similarity (paper section 5.3.1).

    Translation of a quarter to half of width and height, rotation of 10–30°, scale of 1.2–2.0;
    directions are random too. What the warp leaves open is filled with the mirrored image.
    """
    height, width = hr.shape[:2]
    angle = rng.uniform(10, 30) * rng.choice([-1, 1])
    warp = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, rng.uniform(1.2, 2))
    shift = rng.uniform(0.25, 0.5, 2) * rng.choice([-1, 1], 2)
    warp[:, 2] += shift * (width, height)
    warped = cv2.warpAffine(
        hr, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(warped, np.uint8)
