"""Registration of a reference on LR↑: SIFT matches, and the homographies that explain them."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from srntt_pipeline.images import RGB, resize
from srntt_pipeline.portable import portable
from srntt_pipeline.sift import Mask, SiftFeatures, detect, ratio_test, squared_distances

Points = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

_RATIO = 0.8
_REACH_PX = 3.0  # of a match from where the homography puts it: less than a pixel of LR
_LEAST_INLIERS = 12
_MOST_PLANES = 4  # of a reference: HR (warp), whose shift is cyclic, has four parts
_SCALES = 0.3, 4.0  # of a reference against HR; beyond, nothing is to be had from it


@dataclass(frozen=True)
class Registered:
    """A reference in the frame of HR: `image` float32 [4h, 4w, 3], 0…255, and where it is known.

    `valid`: bool [4h, 4w]; elsewhere the image is of no meaning. `inliers`: matches that agree.
    """

    image: npt.NDArray[np.float32]
    valid: Mask
    inliers: int


def register(target: SiftFeatures, lr_up: RGB, reference: RGB) -> Iterator[Registered]:
    """Yield `reference`, uint8 [H, W, 3], as seen from LR↑, by one plane after the other.

    `target`: features of `lr_up`, uint8 [4h, 4w, 3]. Each plane is the homography that most of the
    matches left agree with; these are taken away, and the next is looked for, four at most (our
    choice: one global homography would explain one part of HR (warp) alone). Yields nothing where
    the reference does not register: fewer than 12 matches agree, or the homography mirrors, or
    shrinks or enlarges beyond reason.
    """
    found = detect(reference)
    places, others = _matches(target, found)
    for _ in range(_MOST_PLANES):
        fitted = fit_homography(places, others)
        if fitted is None:
            return
        matrix, agree = fitted
        scale = scale_at(matrix, places[agree].mean(axis=0))
        if scale is not None and _SCALES[0] <= scale <= _SCALES[1] and _fits(reference, scale):
            image, valid = resample(reference, matrix, scale, lr_up.shape[:2])
            yield Registered(image, valid, int(agree.sum()))
        places, others = places[~agree], others[~agree]


def _fits(reference: RGB, scale: float) -> bool:
    """Tell whether OpenCV can warp the reference: sides, once shrunk, are below 2^15 px."""
    return max(reference.shape[:2]) / max(scale, 1) < (1 << 15) - 1


def _matches(target: SiftFeatures, found: SiftFeatures) -> tuple[Points, Points]:
    """Return the places of best matches in LR↑ and in the reference, px, [K, 2] each."""
    distances = squared_distances(target.descriptors, found.descriptors)
    nearest = ratio_test(distances, _RATIO)
    places = target.xy[nearest.is_match].astype(np.float64)
    others = found.xy[nearest.place[nearest.is_match]].astype(np.float64)
    # A keypoint of two directions is matched twice: pairs of places count once.
    pairs = np.unique(np.hstack([places, others]), axis=0)
    return pairs[:, :2], pairs[:, 2:]


def fit_homography(places: Points, others: Points) -> tuple[Matrix, Mask] | None:
    """Return the homography [3, 3] from `places` to `others`, px, and which matches agree with it.

    OpenCV's MAGSAC, a RANSAC, with a fixed seed and one thread, so the same matches give the same
    matrix. None where fewer than 12 agree.
    """
    if len(places) < _LEAST_INLIERS:
        return None
    params = cv2.UsacParams()
    params.confidence, params.maxIterations, params.threshold = 0.999, 5000, _REACH_PX
    params.score, params.sampler = cv2.SCORE_METHOD_MAGSAC, cv2.SAMPLING_UNIFORM
    params.loMethod, params.final_polisher = cv2.LOCAL_OPTIM_SIGMA, cv2.MAGSAC
    params.randomGeneratorState, params.isParallel = 0, False
    with portable():
        try:
            matrix, mask = cv2.findHomography(places, others, params)
        except cv2.error:  # matches of which none makes a model, as all in one place
            return None
    if matrix is None or mask is None or not np.isfinite(matrix).all():
        return None
    agree = mask.ravel().astype(np.bool_)
    enough = agree.sum() >= _LEAST_INLIERS
    return (np.asarray(matrix, np.float64), agree) if enough else None


def scale_at(matrix: Matrix, place: npt.NDArray[np.float64]) -> float | None:
    """Return how many px of the reference a px at `place` becomes; None where it is mirrored."""
    x, y, w = matrix @ (*place, 1.0)
    if w <= 0:
        return None
    moved = np.array([x, y]) / w
    jacobian = (matrix[:2, :2] - np.outer(moved, matrix[2, :2])) / w
    area = np.linalg.det(jacobian)
    return float(np.sqrt(area)) if area > 0 else None


def resample(
    reference: RGB, matrix: Matrix, scale: float, size: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], Mask]:
    """Return the reference in a frame of `size`, float32 [H, W, 3], and where it is known.

    `matrix` leads from there to the reference. One that is finer than the frame (`scale` > 1) is
    first shrunk by bicubic with antialiasing, then it is sampled by Lanczos over 8 px.
    """
    if scale > 1:
        height, width = (max(1, round(side / scale)) for side in reference.shape[:2])
        y, x = height / reference.shape[0], width / reference.shape[1]
        shrink = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
        reference, matrix = resize(reference, height, width), shrink @ matrix
    height, width = size
    flags = {"lanczos": cv2.INTER_LANCZOS4, "nearest": cv2.INTER_NEAREST}

    def warped(image: npt.NDArray[np.float32], by: str) -> npt.NDArray[np.float32]:
        with portable():
            there = cv2.warpPerspective(
                image, matrix, (width, height), flags=flags[by] | cv2.WARP_INVERSE_MAP
            )
        return np.asarray(there, np.float32)

    image = np.clip(warped(reference.astype(np.float32), "lanczos"), 0, 255)
    known = warped(np.ones(reference.shape[:2], np.float32), "nearest")
    # Lanczos reaches 4 px: nearer to the border it mixes in what is not there.
    known = np.asarray(
        cv2.erode(known, np.ones((9, 9)), borderType=cv2.BORDER_REPLICATE), np.float32
    )
    return image, known > 0
