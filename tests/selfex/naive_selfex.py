"""SelfEx's matches and votes in float64, by matrices and SciPy, one pixel after the other."""

import numpy as np
from scipy import ndimage


def homography(x, y, match, line):
    """Return T of a match, float64 [3, 3], from pixels of the target's level to such pixels."""
    source_x, source_y, scale, angle, shear_x, shear_y = map(float, match)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.eye(3)
    affine[:2, :2] = scale * turn @ np.array([[1, shear_x], [shear_y, 1]])
    rectify = np.array([[1, 0, 0], [0, 1, 0], line], float)
    there, here = rectify @ [source_x, source_y, 1], rectify @ [x, y, 1]
    move = moved(there[:2] / there[2] - here[:2] / here[2])
    about = moved([x, y]) @ affine @ moved([-x, -y])
    return np.linalg.inv(rectify) @ move @ rectify @ about


def moved(by):
    matrix = np.eye(3)
    matrix[:2, 2] = by
    return matrix


def places(x, y, match, line):
    """Return where the 25 pixels of a patch come from, [2, 5, 5], in px of the target's level."""
    rows, columns = np.mgrid[y - 2 : y + 3, x - 2 : x + 3]
    points = homography(x, y, match, line) @ [columns.ravel(), rows.ravel(), np.ones(25)]
    return (points[:2] / points[2]).reshape(2, 5, 5)


def scale_of(x, y, match, line):
    """Return the root of the map's Jacobian at the centre, by differences."""
    step = 1e-4
    matrix = homography(x, y, match, line)

    def at(a, b):
        point = matrix @ [a, b, 1]
        return point[:2] / point[2]

    across = (at(x + step, y) - at(x - step, y)) / (2 * step)
    down = (at(x, y + step) - at(x, y - step)) / (2 * step)
    return np.sqrt(abs(across[0] * down[1] - across[1] * down[0]))


def level_of(levels, scale):
    """Return which level has pixels of that scale, the target's being the one after the last."""
    return min(max(levels - round(3 * np.log2(scale)), 0), levels - 1)


def patch(level, where, size):
    """Return the pixels of a level [h, w, 3] at places of a level of `size`, bilinearly."""
    ratio_y, ratio_x = level.shape[0] / size[0], level.shape[1] / size[1]
    at = [(where[1] + 0.5) * ratio_y - 0.5, (where[0] + 0.5) * ratio_x - 0.5]
    return np.stack(
        [ndimage.map_coordinates(level[..., c].astype(float), at, order=1, mode="nearest")
         for c in range(3)],
        axis=-1,
    )  # fmt: skip


def gaussian():
    weights = np.array(
        [[np.exp(-(i * i + j * j) / 18) for i in range(-2, 3)] for j in range(-2, 3)]
    )
    return weights / weights.sum()


def cost(target, levels, x, y, match, line):
    """Return the cost without the plane's; `target` with its border, `levels` blurred."""
    size = target.shape[0] - 4, target.shape[1] - 4
    scale = scale_of(x, y, match, line)
    source = patch(levels[level_of(len(levels), scale)], places(x, y, match, line), size)
    gap = target[y : y + 5, x : x + 5].astype(float) - source
    weights = gaussian()[..., None]
    bias = (weights * gap).sum(axis=(0, 1)).clip(-0.25, 0.25)
    return (weights * (gap - bias) ** 2).sum() + 1e-3 * max(0, 2 ** (1 / 3) - scale)
