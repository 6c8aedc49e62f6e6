"""Pairs of crops that show the same thing in two photos (paper section 4).

A square crop is drawn in the HR photo, and the reference crop is cut where the keypoints matched
inside it say that the same thing stands in the other photo.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_ATTEMPTS = 20  # crops drawn per crop wanted before a pair is left as it is


@dataclass(frozen=True)
class CropPair:
    """Crops of one thing: top left corners (x, y) in HR and Ref photo, and matches in both."""

    hr: tuple[int, int]
    ref: tuple[int, int]
    matches: int


def draw_crop_pairs(
    hr_xy: npt.NDArray[np.float32],
    ref_xy: npt.NDArray[np.float32],
    hr_size: tuple[int, int],
    ref_size: tuple[int, int],
    *,
    crop: int,
    most: int,
    least_matches: int,
    rng: np.random.Generator,
) -> list[CropPair]:
    """Draw up to `most` crops of side `crop` px in HR with their counterparts in Ref.

    `hr_xy`, `ref_xy`: matched keypoints, float32 [K, 2], px. Sizes are (height, width), at least
    `crop`. A crop is drawn anew when fewer than `least_matches` matches have one end in it and the
    other in its counterpart. Crops of one pair overlap by at most half a side in x or y, lest one
    place be drawn twice.
    """
    crops: list[CropPair] = []
    room, ref_room = (np.array([width, height]) - crop for height, width in (hr_size, ref_size))
    for _ in range(_ATTEMPTS * most):
        if len(crops) == most:
            break
        corner = rng.integers(0, room, endpoint=True)
        near = [np.abs(corner - np.array(other.hr)).max() < crop / 2 for other in crops]
        inside = _inside(hr_xy, corner, crop)
        if any(near) or inside.sum() < least_matches:
            continue
        moved = corner + _displacement(hr_xy[inside], ref_xy[inside])
        ref_corner = np.clip(np.rint(moved), 0, ref_room).astype(int)
        # Scattered matches, or a place at the rim of Ref, can leave the counterparts outside.
        matches = int((inside & _inside(ref_xy, ref_corner, crop)).sum())
        if matches < least_matches:
            continue
        crops.append(
            CropPair(
                (int(corner[0]), int(corner[1])), (int(ref_corner[0]), int(ref_corner[1])), matches
            )
        )
    return crops


def _inside(
    xy: npt.NDArray[np.float32], corner: npt.NDArray[np.int64], side: int
) -> npt.NDArray[np.bool_]:
    return np.asarray(((xy >= corner) & (xy < corner + side)).all(axis=1))


def _displacement(
    hr_xy: npt.NDArray[np.float32], ref_xy: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Return where the matches move: the median, which shrugs off wrong ones and needs no model."""
    return np.median(ref_xy.astype(np.float64) - hr_xy, axis=0)
