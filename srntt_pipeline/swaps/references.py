"""Reference images for matching: Ref↓↑, and scaled and rotated versions (paper 3.1 and 3.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from srntt_pipeline.images import RGB, crop_to_multiple, downscale, resize, upscale
from srntt_pipeline.swaps.encoder import STRIDE

# Three positions of relu3_1 make one patch; a version smaller than that could match nothing.
MIN_SIDE_PX = 3 * STRIDE


@dataclass(frozen=True)
class Augmentation:
    """One version of a reference: scaled by `scale`, then turned by `rotation_deg` degrees."""

    scale: float
    rotation_deg: float


def augmentations(scales: Sequence[float], rotations: Sequence[float]) -> list[Augmentation]:
    """Return every scale with every rotation, scales outermost, in the order given."""
    return [Augmentation(scale, rotation) for scale in scales for rotation in rotations]


def augment(ref: RGB, augmentation: Augmentation) -> RGB:
    """Return a version of `ref`, uint8 [H, W, 3], its sides multiples of 4 px.

    Scaling is bicubic and low-passes. Rotation is about the centre, counter-clockwise; the frame
    keeps its size, so what turns out of it is left to the unturned version, and corners that turn
    in are filled with the mirrored image, which is texture of the reference too.
    """
    height, width = ref.shape[:2]
    size = [
        max(MIN_SIDE_PX, round(side * augmentation.scale) // STRIDE * STRIDE)
        for side in (height, width)
    ]
    if augmentation.scale == 1 and min(height, width) >= MIN_SIDE_PX:
        version = crop_to_multiple(ref)
    else:
        version = resize(ref, *size)
    if augmentation.rotation_deg == 0:
        return version
    rows, columns = version.shape[:2]
    centre = (columns - 1) / 2, (rows - 1) / 2
    turn = cv2.getRotationMatrix2D(centre, augmentation.rotation_deg, 1.0)
    return cv2.warpAffine(  # type: ignore[return-value]
        version, turn, (columns, rows), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )


def down_up(image: RGB) -> RGB:
    """Return Ref↓↑: `image` bicubic ↓4 then ↑4, of the frequency band of LR↑ (paper 3.1)."""
    return upscale(downscale(image))
