"""Vanishing points of an image: where its straight lines meet, if many of them do.

The paper detects line segments and finds up to three points by voting, and names no numbers:
those here are our choice.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from srntt_pipeline.images import RGB
from srntt_pipeline.seeds import generator

Array = npt.NDArray[np.float64]

MOST_POINTS = 3
_ENLARGED = 2  # times LR: there the detector finds more of the short segments
_LEAST_LENGTH = 0.03  # of the diagonal
_TOLERANCE = np.sin(np.deg2rad(2.0))  # of the direction of a segment that belongs to a point
_LEAST_SHARE = 0.15  # of the length of all segments
_LEAST_SEGMENTS = 6
_HYPOTHESES = 1000
_REFINEMENTS = 5


@dataclass(frozen=True)
class VanishingPoint:
    """`point`: float64 [3], homogeneous, LR px; `segments`: float64 [n, 4], which meet there."""

    point: Array
    segments: Array


def line_segments(lr: RGB) -> Array:
    """Return the straight edges of `lr`, uint8 [h, w, 3], as float64 [n, 4]: x, y, x, y in px.

    By OpenCV's LSD (von Gioi et al., PAMI 2010), on LR enlarged twice. Those shorter than 3 % of
    the diagonal are left out: their directions are too uncertain.
    """
    height, width = lr.shape[:2]
    grey = cv2.cvtColor(lr, cv2.COLOR_RGB2GRAY)
    size = _ENLARGED * width, _ENLARGED * height
    large = cv2.resize(grey, size, interpolation=cv2.INTER_CUBIC)
    found = cv2.createLineSegmentDetector().detect(large)[0]
    if found is None:
        return np.zeros((0, 4))
    segments = (found.reshape(-1, 4).astype(np.float64) + 0.5) / _ENLARGED - 0.5
    return segments[_lengths(segments) >= _LEAST_LENGTH * np.hypot(height, width)]


def vanishing_points(segments: Array, height: int, width: int, seed: int) -> list[VanishingPoint]:
    """Return up to three points at which at least 15 % of the segments' length each meet.

    Points of pairs of segments are drawn at random (longer ones more often); that with the most
    length of segments which point at it within 2° wins, is fitted to these by least squares, and
    they are taken out before the next is looked for.
    """
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    unit = np.hypot(height, width) / 2
    left = (segments.reshape(-1, 2, 2) - centre) / unit
    total = _lengths(left.reshape(-1, 4)).sum()
    back = np.array([[unit, 0, centre[0]], [0, unit, centre[1]], [0, 0, 1]])
    random = generator(seed, "vanishing points")
    points: list[VanishingPoint] = []
    while len(points) < MOST_POINTS and len(left) >= _LEAST_SEGMENTS:
        point = _best_point(left, random)
        ours = _belong(left, point[None])[0]
        lengths = _lengths(left.reshape(-1, 4))
        if ours.sum() < _LEAST_SEGMENTS or lengths[ours].sum() < _LEAST_SHARE * total:
            break
        members = (left[ours] * unit + centre).reshape(-1, 4)
        points.append(VanishingPoint(back @ point, members))
        left = left[~ours]
    return points


def _lengths(segments: Array) -> Array:
    lengths: Array = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    return lengths


def _best_point(segments: Array, random: np.random.Generator) -> Array:
    lengths = _lengths(segments.reshape(-1, 4))
    lines = _lines(segments)
    first, second = random.choice(len(lines), (2, _HYPOTHESES), p=lengths / lengths.sum())
    drawn = np.cross(lines[first], lines[second])
    norms = np.linalg.norm(drawn, axis=1, keepdims=True)
    drawn = drawn / np.where(norms > 0, norms, 1)
    point: Array = drawn[np.argmax(_belong(segments, drawn) @ lengths)]
    for _ in range(_REFINEMENTS):
        ours = _belong(segments, point[None])[0]
        if ours.sum() < 2:
            break
        weighted = lines[ours] * np.sqrt(lengths[ours])[:, None]
        point = np.linalg.svd(weighted)[2][-1]
    return point


def _lines(segments: Array) -> Array:
    """Return the lines through segments [n, 2, 2], [n, 3], with normals of length 1."""
    ends = np.concatenate([segments, np.ones((len(segments), 2, 1))], axis=2)
    lines = np.cross(ends[:, 0], ends[:, 1])
    made: Array = lines / np.hypot(lines[:, 0], lines[:, 1])[:, None]
    return made


def _belong(segments: Array, points: Array) -> npt.NDArray[np.bool_]:
    """Tell, [points, n], which segments point at which points, seen from their middles."""
    middles = segments.mean(axis=1)
    along = segments[:, 1] - segments[:, 0]
    along = along / np.hypot(along[:, 0], along[:, 1])[:, None]
    to = points[:, None, :2] - points[:, None, 2:] * middles
    across = np.abs(to[..., 0] * along[:, 1] - to[..., 1] * along[:, 0])
    belong: npt.NDArray[np.bool_] = across < _TOLERANCE * np.hypot(to[..., 0], to[..., 1])
    return belong
