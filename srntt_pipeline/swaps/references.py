"""Reference images for matching: Ref↓↑, and scaled, rotated and shifted versions (paper 3.1, 3.4).

Rotation leaves corners empty. They are filled with the mirrored image, so that nothing breaks at
their edges, but no patch that sees them may be matched: `valid_patches`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from srntt_pipeline.config import MatchParams, SwapParams
from srntt_pipeline.images import RGB, crop_to_multiple, downscale, resize, upscale
from srntt_pipeline.layout import TrainPair
from srntt_pipeline.maps import STRIDE
from srntt_pipeline.matching.patches import PATCH

# A version smaller than a patch could match nothing.
MIN_SIDE_PX = PATCH * STRIDE

# Position i of relu3_1 sees pixels 4i-10 … 4i+13 along each side: conv3_1 reaches one position of
# pool2 farther, its convolutions two of pool1, theirs two pixels. Three positions see 32 pixels.
_REACH_PX = 10
_PATCH_SEES_PX = 2 * _REACH_PX + MIN_SIDE_PX

Mask = npt.NDArray[np.bool_]

_REMEMBERED_PX = 1 << 18  # masks of larger images are made anew: many would fill the memory


def ref_file(pair: TrainPair, params: SwapParams) -> Path:
    """Return the file that a pair's reference comes from: HR's where LR is its own reference."""
    return pair.hr if params.references == "lr" else pair.ref


def ref_image(image: RGB, params: SwapParams) -> RGB:
    """Return the reference from the image in `ref_file`: itself, or LR of HR (paper 5.1, SISR)."""
    return downscale(crop_to_multiple(image)) if params.references == "lr" else image


@dataclass(frozen=True)
class Augmentation:
    """One version of a reference: scaled by `scale`, turned by `rotation_deg` degrees, then cut by
    `shift_px` (down, right) pixels at the top and the left.
    """

    scale: float
    rotation_deg: float
    shift_px: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        text = f"scale {self.scale:g}, rotation {self.rotation_deg:g}"
        down, right = self.shift_px
        return f"{text}, shift {down} {right}" if down or right else text


def augmentations(
    scales: Sequence[float], rotations: Sequence[float], shifts: Sequence[int] = (0,)
) -> list[Augmentation]:
    """Return every scale with every rotation with every shift, in the order given.

    Scales are outermost, then rotations; then shifts, every one down with every one right.
    """
    return [
        Augmentation(scale, rotation, (down, right))
        for scale in scales
        for rotation in rotations
        for down in shifts
        for right in shifts
    ]


def versions(params: MatchParams) -> list[Augmentation]:
    """Return the versions of each reference that indices of correspondences number, in order.

    Optical flow takes references as they are.
    """
    if params.by_flow:
        return [Augmentation(1.0, 0.0)]
    return augmentations(params.scales, params.rotations_deg, params.shifts_px)


def every_version(
    refs: Sequence[RGB], tried: Sequence[Augmentation]
) -> list[tuple[RGB, Augmentation]]:
    """Return each of `refs` with each version `tried`, in the order of a correspondence's maps.

    By reference first: version v of reference r, both from 0 on, is number r · len(tried) + v.
    """
    return [(ref, version) for ref in refs for version in tried]


def augment(ref: RGB, augmentation: Augmentation) -> RGB:
    """Return a version of `ref`, uint8 [H, W, 3], its sides multiples of 4 px.

    Scaling is bicubic and low-passes. Rotation is about the centre, counter-clockwise; the frame
    keeps its size, so what turns out of it is left to the unturned version, and corners that turn
    in are filled with the mirrored image. A side that a shift would leave below 12 px is not
    shifted. What makes sides multiples of 4 is cut off right and bottom.
    """
    version = _scale(ref, augmentation.scale)
    if augmentation.rotation_deg != 0:
        version = crop_to_multiple(version)
        version = cv2.warpAffine(  # type: ignore[assignment]
            version,
            _turn(version.shape, augmentation.rotation_deg),
            version.shape[1::-1],
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    down, right = _shift(version.shape, augmentation)
    return crop_to_multiple(version[down:, right:])


@lru_cache(maxsize=1024)
def version_shape(height: int, width: int, augmentation: Augmentation) -> tuple[int, int]:
    """Return the size (h, w) of the relu3_1 map of a version of a reference of this size, px."""
    version = augment(np.zeros((height, width, 3), np.uint8), augmentation)
    return version.shape[0] // STRIDE, version.shape[1] // STRIDE


def valid_patches(shape: tuple[int, ...], augmentation: Augmentation) -> Mask | None:
    """Return the relu3_1 patches of a version that see nothing but the reference, None if all.

    `shape`: that of the reference, [H, W, …]. Bool [h-2, w-2]: False where the 32×32 px that the
    patch is computed from touch a corner that rotation left empty.
    """
    valid = valid_places(shape, augmentation)
    return None if valid is None else valid[::STRIDE, ::STRIDE]


def valid_places(shape: tuple[int, ...], augmentation: Augmentation) -> Mask | None:
    """Return the same of patches that begin at any pixel, bool [4h-11, 4w-11]."""
    if shape[0] * shape[1] > _REMEMBERED_PX:
        return _valid_places.__wrapped__(shape[0], shape[1], augmentation)
    return _valid_places(shape[0], shape[1], augmentation)


@lru_cache(maxsize=64)
def _valid_places(height: int, width: int, augmentation: Augmentation) -> Mask | None:
    if augmentation.rotation_deg == 0:
        return None
    version = crop_to_multiple(_scale(np.zeros((height, width, 3), np.uint8), augmentation.scale))
    empty = _empty_corners(version.shape, augmentation.rotation_deg)
    down, right = _shift(version.shape, augmentation)
    empty = empty[down:, right:]
    empty = empty[: empty.shape[0] // STRIDE * STRIDE, : empty.shape[1] // STRIDE * STRIDE]
    # Beyond the frame lies the encoder's zero padding, as for any image.
    counts = np.pad(empty, ((_REACH_PX + 1, _REACH_PX), (_REACH_PX + 1, _REACH_PX)))
    sums = counts.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    side = _PATCH_SEES_PX
    seen = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    valid: Mask = seen == 0
    valid.flags.writeable = False
    return valid


def _empty_corners(shape: tuple[int, ...], degrees: float) -> Mask:
    """Return which pixels of an image [H, W, …] turned by `degrees` come from beyond its frame."""
    rows, columns = shape[:2]
    back = cv2.invertAffineTransform(_turn(shape, degrees))
    slack = 1e-3  # of a pixel: a quarter turn leaves no corner
    empty = np.empty((rows, columns), np.bool_)
    x = np.arange(columns)
    for y in range(rows):  # row by row: coordinates of all pixels take more than the image does
        from_x, from_y = (line[0] * x + line[1] * y + line[2] for line in back)
        empty[y] = (np.minimum(from_x, from_y) < -slack) | (from_x > columns - 1 + slack)
        empty[y] |= from_y > rows - 1 + slack
    return empty


def _scale(ref: RGB, scale: float) -> RGB:
    height, width = ref.shape[:2]
    if scale == 1 and min(height, width) >= MIN_SIDE_PX:
        return ref
    size = [max(MIN_SIDE_PX, round(side * scale) // STRIDE * STRIDE) for side in (height, width)]
    return resize(ref, *size)


def _turn(shape: tuple[int, ...], degrees: float) -> npt.NDArray[np.float64]:
    """Return the affine map, [2, 3], that turns an image [H, W, …] about its centre."""
    centre = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    return np.asarray(cv2.getRotationMatrix2D(centre, degrees, 1.0), np.float64)


def _shift(shape: tuple[int, ...], augmentation: Augmentation) -> list[int]:
    """Return how far down and right a version of this shape is cut."""
    sides = zip(shape[:2], augmentation.shift_px, strict=True)
    return [shift if side - shift >= MIN_SIDE_PX else 0 for side, shift in sides]


def down_up_mean(image: RGB, upscaler: Callable[[RGB], RGB] = upscale) -> RGB:
    """Return the mean of Ref↓↑ over four ways to lay LR's pixels over `image`, rounded.

    They begin 0 or 2 px before it, down and right. Ref↓↑ is sharper between two of LR's pixels than
    at their centres, so the same thing moved by a pixel or two looks otherwise in it; in the mean
    hardly. Matches to the pixel are looked for in this. Sides of `image` are multiples of 4 px.
    """
    total = np.zeros(image.shape, np.float32)
    for down in (0, STRIDE // 2):
        for right in (0, STRIDE // 2):
            moved = np.pad(image, ((down, down), (right, right), (0, 0)), mode="edge")
            blurred = down_up(moved, upscaler)
            total += blurred[down : down + image.shape[0], right : right + image.shape[1]]
    return np.rint(total / 4).astype(np.uint8)


def down_up(image: RGB, upscaler: Callable[[RGB], RGB] = upscale) -> RGB:
    """Return Ref↓↑: `image` bicubic ↓4 then ↑4, of the frequency band of LR↑ (paper 3.1).

    `upscaler` must be what made LR↑ of LR.
    """
    return upscaler(downscale(image))
