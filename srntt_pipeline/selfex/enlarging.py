"""SelfEx as a whole: LR is enlarged by α from level to level until it is four times as large."""

import numpy as np

from srntt_pipeline.images import RGB, SCALE
from srntt_pipeline.imresize import Border
from srntt_pipeline.seeds import generator
from srntt_pipeline.selfex.back_projection import back_projected
from srntt_pipeline.selfex.field import Field, Search
from srntt_pipeline.selfex.planes import Planes, find_planes
from srntt_pipeline.selfex.pyramid import Image, Pyramid, level_sizes, lr_level, resized
from srntt_pipeline.selfex.sampling import RADIUS
from srntt_pipeline.selfex.voting import vote

FIRST_ITERATIONS, FEWER, LEAST_ITERATIONS = 15, 3, 3


def enlarge(lr: RGB, *, seed: int = 0, border: Border = "replicate") -> RGB:
    """Return SR, uint8 [4h, 4w, 3], of `lr`, uint8 [h, w, 3], by SelfEx.

    `border`: how the bicubic kernel that made LR takes what lies beyond an image. Equal inputs and
    seeds give equal bytes. Numbers that are not said in the paper are those of its public code,
    where docs/tables.md does not say otherwise.
    """
    small = lr.astype(np.float32) / np.float32(255)
    sizes = level_sizes(*lr.shape[:2], SCALE)
    levels = [resized(small, *size, border) for size in sizes[: lr_level()]] + [small]
    planes = find_planes(lr, seed)
    field = None
    for index, size in enumerate(sizes[len(levels) :]):
        iterations = max(FIRST_ITERATIONS - index * FEWER, LEAST_ITERATIONS)
        image = resized(levels[-1], *size, border)
        field, voted = _level(image, levels, planes, field, iterations, (seed, index), border)
        levels.append(back_projected(voted, small, border))
    made: RGB = np.floor(levels[-1] * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return made


def _level(
    image: Image,
    levels: list[Image],
    planes: Planes,
    field: Field | None,
    iterations: int,
    seed_and_index: tuple[int, int],
    border: Border,
) -> tuple[Field, Image]:
    """Return the matches of `image`, the last level enlarged, and what they vote for."""
    height, width = image.shape[:2]
    below = tuple(max(1, round(side / 2 ** (1 / 3))) for side in levels[0].shape[:2])
    pyramid = Pyramid.of(levels, (below[0], below[1]), border)
    target = np.pad(image, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="edge")
    random = generator(seed_and_index[0], "selfex", seed_and_index[1])
    lines = planes.lines_at(height, width)
    if field is None:
        field = Field.start(height, width, planes.likeliest(height, width))
    else:
        field = field.enlarged(height, width)
    search = Search(target, pyramid, lines, planes.costs, planes.odds)
    search.run(field, iterations, random.integers(0, 2**64, iterations, np.uint64))
    return field, vote(target, pyramid, field, lines)
