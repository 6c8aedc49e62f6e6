"""The planes of the scene, and where in the image each of them is likely (paper, section 3.2)."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from srntt_pipeline.images import RGB
from srntt_pipeline.selfex.vanishing import VanishingPoint, line_segments, vanishing_points

PLANE_WEIGHT = 1e-3
_SPREAD = 0.05  # σ of the blur of a point's segments, of the diagonal; our choice
_FACING = 0.05  # the density of the plane that faces the camera, of 1 at most; our choice
_BENT = 0.05  # a plane whose scale varies by less within the image faces the camera


@dataclass(frozen=True)
class Planes:
    """`lines`: float64 [planes, 3], vanishing lines in LR px; the first plane faces the camera.

    `shares`: float32 [planes, h, w], how likely each plane is at each LR pixel; their sum is 1.
    """

    lines: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float32]

    @property
    def costs(self) -> npt.NDArray[np.float32]:
        """Return what it costs that a target or source lies in a plane: −1e-3·log of the share."""
        tiny = np.finfo(np.float32).tiny
        return -np.float32(PLANE_WEIGHT) * np.log(self.shares + tiny)

    @property
    def odds(self) -> npt.NDArray[np.float32]:
        """Return the shares, summed up over planes, of which one is drawn."""
        return np.cumsum(self.shares, axis=0, dtype=np.float32)

    def lines_at(self, height: int, width: int) -> npt.NDArray[np.float64]:
        """Return the vanishing lines in px of a level [height, width]."""
        rows, columns = self.shares.shape[1:]
        across, down = columns / width, rows / height
        to_lr = [[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]]
        return self.lines @ np.array(to_lr)

    def likeliest(self, height: int, width: int) -> npt.NDArray[np.uint8]:
        """Return the likeliest plane at each pixel of a level, uint8 [height, width]."""
        rows, columns = self.shares.shape[1:]
        best = self.shares.argmax(axis=0).astype(np.uint8)
        return best[
            np.arange(height)[:, None] * rows // height, np.arange(width) * columns // width
        ]


def find_planes(lr: RGB, seed: int) -> Planes:
    """Return the planes of `lr`, uint8 [h, w, 3]: one for each pair of its vanishing points.

    Where there are fewer than two of these, it is the plane alone that faces the camera.
    """
    height, width = lr.shape[:2]
    points = vanishing_points(line_segments(lr), height, width, seed)
    lines, densities = [np.array([0.0, 0.0, 1.0])], [np.full((height, width), _FACING)]
    support = [_density(point, height, width) for point in points]
    for one, other in itertools.combinations(range(len(points)), 2):
        line = np.cross(points[one].point, points[other].point)
        if _bends(line, height, width):
            lines.append(line / np.linalg.norm(line))
            densities.append(support[one] * support[other])
    shares = np.stack(densities)
    return Planes(np.stack(lines), (shares / shares.sum(axis=0)).astype(np.float32))


def _density(point: VanishingPoint, height: int, width: int) -> npt.NDArray[np.float64]:
    """Return how much of the segments that meet in a point lies around each pixel, at most 1."""
    drawn = np.zeros((height, width))
    for x_1, y_1, x_2, y_2 in point.segments:
        places = np.linspace(0, 1, int(np.hypot(x_2 - x_1, y_2 - y_1)) + 1)
        rows = np.rint(y_1 + (y_2 - y_1) * places).astype(int).clip(0, height - 1)
        columns = np.rint(x_1 + (x_2 - x_1) * places).astype(int).clip(0, width - 1)
        np.add.at(drawn, (rows, columns), 1.0)
    blurred = ndimage.gaussian_filter(drawn, _SPREAD * np.hypot(height, width), mode="constant")
    density: npt.NDArray[np.float64] = blurred / blurred.max()
    return density


def _bends(line: npt.NDArray[np.float64], height: int, width: int) -> bool:
    """Tell whether the scale of a plane with this vanishing line varies within the image."""
    corners = [(x, y, 1) for x in (0, width - 1) for y in (0, height - 1)]
    depths = np.array(corners) @ line
    return bool(depths.min() <= 0 <= depths.max() or np.ptp(np.log(np.abs(depths))) > _BENT)
