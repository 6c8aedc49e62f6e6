"""A small level of a real photograph, with what SelfEx searches in."""

from dataclasses import dataclass

import numpy as np
import pytest

from srntt_pipeline.imresize import resized
from srntt_pipeline.selfex.pyramid import Image, Pyramid, level_sizes
from srntt_pipeline.selfex.sampling import Level, patch_weights


@dataclass
class Small:
    levels: list[Image]
    pyramid: Pyramid
    level: Level
    size: tuple[int, int]

    @property
    def blurred(self):
        """The blurred levels as images again."""
        return [
            self.pyramid.blurred[start : start + height * width].reshape(height, width, 3)
            for start, height, width in self.pyramid.shapes
        ]


@pytest.fixture(scope="session")
def small(photograph):
    """LR of 32×40 px, its pyramid, and the level above it, with two planes."""
    lr = photograph[80:112, 200:240].astype(np.float32) / np.float32(255)
    below, above = level_sizes(*lr.shape[:2], 4)
    levels = [*(resized(lr, *size, "replicate") for size in below), lr]
    pyramid = Pyramid.of(levels, "replicate")
    size = above[0]
    image = resized(lr, *size, "replicate")
    target = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge")
    lines = np.array([[0, 0, 1.0], [0.004, -0.006, 1.0]])
    costs = np.random.default_rng(0).random((2, 32, 40), np.float32) * np.float32(1e-2)
    level = Level(target, pyramid.blurred, pyramid.shapes, lines, costs, patch_weights())
    return Small(levels, pyramid, level, size)
