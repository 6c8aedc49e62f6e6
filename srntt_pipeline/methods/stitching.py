"""All references in one image, for protocols of methods that take a single one.

Such methods measured the five references of CUFED5, whose long side is 500 px, as tiles of one.
"""

import numpy as np

from srntt_pipeline.images import RGB, SCALE

_TTSR_PX, _MASA_PX = 500, 512


def stitch(images: list[RGB]) -> RGB:
    """Return `images` side by side in one, uint8 [S, N·S, 3], each at the top left of a black S×S.

    So TTSR (CVPR 2020) used references: S is 500, or the longest side of all up to the next
    multiple of 4 px where that is longer, so that every image begins on relu3_1's grid. Where in
    its tile an image lies, and in which direction tiles follow, TTSR does not say.
    """
    side = _side(images, _TTSR_PX)
    canvas = np.zeros((side, side * len(images), 3), np.uint8)
    for number, image in enumerate(images):
        height, width = image.shape[:2]
        canvas[:height, number * side : number * side + width] = image
    return canvas


def stitch_masa(images: list[RGB]) -> RGB:
    """Return `images` one below the other, uint8 [N·S, S, 3], each in the middle of an S×S.

    So MASA (CVPR 2021) used references: S is 512, or as in `stitch` where they are larger. The
    edge pixels of an image are repeated up to its tile's border; of an odd rest the larger half
    lies below and to the right.
    """
    side = _side(images, _MASA_PX)
    return np.concatenate([_centred(image, side) for image in images])


def _centred(image: RGB, side: int) -> RGB:
    rests = [side - size for size in image.shape[:2]]
    around = [(rest // 2, rest - rest // 2) for rest in rests]
    return np.pad(image, [*around, (0, 0)], mode="edge")


def _side(images: list[RGB], least: int) -> int:
    longest = max(max(image.shape[:2]) for image in images)
    return max(least, longest + -longest % SCALE)
