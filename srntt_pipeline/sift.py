"""SIFT features of an image, and their nearest neighbours by the ratio test, exactly as OpenCV's.

OpenCV's SIFT descriptors hold whole numbers 0…255, so squared distances between them are exact in
float32. For albums, which count matches, and for methods that register references.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from srntt_pipeline.images import RGB
from srntt_pipeline.portable import portable

Descriptors = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SiftFeatures:
    """Features of a photo: keypoints `xy` float32 [N, 2], px, and `descriptors` uint8 [N, 128]."""

    xy: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]


class Nearest(NamedTuple):
    """For N descriptors: the place of the nearest one in the other photo; is it a best match."""

    place: npt.NDArray[np.intp]
    is_match: Mask


def to_grey(image: RGB) -> npt.NDArray[np.uint8]:
    """Return what `cv2.imread(png, cv2.IMREAD_GRAYSCALE)` gives for an RGB image, uint8 [H, W].

    That is libpng's luma, cut off rather than rounded as cvtColor's is. Counts differ by a few with
    it, and those known of the released CUFED5 (PNG files) are made this way.
    """
    weighted = image.astype(np.int32) @ np.array([9797, 19234, 3737], np.int32)
    return (weighted >> 15).astype(np.uint8)


def detect(image: RGB, most: int = 0) -> SiftFeatures:
    """Return the SIFT features of `image`, uint8 [H, W, 3]: OpenCV's defaults on its grey version.

    `most` > 0 keeps that many of highest contrast.
    """
    sift = cv2.SIFT.create(nfeatures=most)
    with portable():
        keypoints, descriptors = sift.detectAndCompute(to_grey(image), None)
    if descriptors is None:
        return SiftFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
    xy = np.array([keypoint.pt for keypoint in keypoints], np.float32)
    return SiftFeatures(xy, descriptors.astype(np.uint8))


def squared_distances(a: Descriptors, b: Descriptors) -> npt.NDArray[np.float32]:
    """Return squared distances, float32 [N, M], between descriptors uint8 [N, 128] and [M, 128].

    They are exact: every term is a whole number below 2^24.
    """
    first, second = a.astype(np.float32), b.astype(np.float32)
    products = first @ second.T
    squares_a = np.einsum("nd,nd->n", first, first)
    squares_b = np.einsum("nd,nd->n", second, second)
    products *= -2
    products += squares_a[:, None]
    products += squares_b[None, :]
    return products


def ratio_test(squared: npt.NDArray[np.float32], ratio: float) -> Nearest:
    """Return the nearest neighbour of each row of `squared` [N, M], and whether it is a best match.

    Distances are compared as OpenCV users do: float32 roots, in double precision. Fewer than two
    neighbours make no best match.
    """
    count, neighbours = squared.shape
    if neighbours < 2:
        return Nearest(np.zeros(count, np.intp), np.zeros(count, np.bool_))
    rows = np.arange(count)
    nearest = squared.argmin(axis=1)
    first = squared[rows, nearest]
    squared[rows, nearest] = np.inf  # put back below: a copy of the matrix would cost more
    second = squared.min(axis=1)
    squared[rows, nearest] = first
    is_match = np.sqrt(first).astype(np.float64) < ratio * np.sqrt(second).astype(np.float64)
    return Nearest(nearest, is_match)
