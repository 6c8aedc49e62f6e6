"""SelfEx as a whole: LR grows by 1/α from level to level, until it is four times as large."""

from functools import partial

import numpy as np
import numpy.typing as npt

from srntt_pipeline.back_projection import back_project
from srntt_pipeline.images import RGB, SCALE
from srntt_pipeline.imresize import Border, resized
from srntt_pipeline.seeds import generator
from srntt_pipeline.selfex.field import Field, enlarged, first_field, improve
from srntt_pipeline.selfex.planes import Planes, find_planes
from srntt_pipeline.selfex.pyramid import Image, Pyramid, level_sizes
from srntt_pipeline.selfex.sampling import RADIUS, Level, patch_weights
from srntt_pipeline.selfex.voting import vote

FIRST_ITERATIONS, FEWER, LEAST_ITERATIONS = 15, 3, 3  # at each further level 3 fewer


def enlarge(lr: RGB, *, seed: int = 0, border: Border = "replicate") -> RGB:
    """Return SR, uint8 [4h, 4w, 3], of `lr`, uint8 [h, w, 3], by SelfEx.

    `border`: what the bicubic kernel that made LR took to lie beyond an image. It runs on one
    thread; equal inputs and seeds give equal bytes.
    """
    small = lr.astype(np.float32) / np.float32(255)
    below, above = level_sizes(lr.shape[0], lr.shape[1], SCALE)
    levels = [*(resized(small, *size, border) for size in below), small]
    planes = find_planes(lr, seed)
    field = first_field(planes.likeliest(*above[0]))
    for index, size in enumerate(above):
        field = enlarged(field, *size)
        iterations = max(FIRST_ITERATIONS - FEWER * index, LEAST_ITERATIONS)
        random = generator(seed, "SelfEx", index)
        seeds = random.integers(0, 2**64, iterations, np.uint64)
        voted = _matched_and_voted(levels, planes, field, seeds, border)
        levels.append(back_project(voted, small, partial(resized, border=border), highest=1))
    return np.floor(levels[-1] * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _matched_and_voted(
    levels: list[Image],
    planes: Planes,
    field: Field,
    seeds: npt.NDArray[np.uint64],
    border: Border,
) -> Image:
    """Return the next level, float32 of the size of `field`, whose matches are improved here."""
    height, width = field.costs.shape
    image = resized(levels[-1], height, width, border)
    target = np.pad(image, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="edge")
    pyramid = Pyramid.of(levels, border)
    lines = planes.lines_at(height, width)
    level = Level(target, pyramid.blurred, pyramid.shapes, lines, planes.costs, patch_weights())
    improve(field, level, planes.odds, seeds)
    return vote(field, level, pyramid.sharp)
