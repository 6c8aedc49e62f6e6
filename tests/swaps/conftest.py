"""A tiny data set and its swaps, for the tests of what is done with shards."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from srntt_pipeline.config import SwapParams
from srntt_pipeline.swaps.precompute import precompute_swaps

TINY = SwapParams(
    encoder_weights="random", scales=(1.0, 0.7), rotations_deg=(0.0,), pairs_per_shard=2
)

ON_GRID = TINY.model_copy(update={"refine": "none"})


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs of 48×40 px, crops of a photograph that ships with scikit-image."""
    folder = tmp_path_factory.mktemp("tiny")
    photograph = skimage.data.astronaut()
    for side, shift in (("input", 0), ("ref", 6)):
        (folder / "train" / side).mkdir(parents=True)
        for number in range(3):
            left = 150 + 40 * number + shift
            crop = np.ascontiguousarray(photograph[100:140, left : left + 48])
            Image.fromarray(crop).save(folder / "train" / side / f"{number}.png")
    return folder


def _made(dataset: Path, factory: pytest.TempPathFactory, params: SwapParams) -> Path:
    out = factory.mktemp("tiny") / "swaps"
    precompute_swaps(dataset, out, params, workers=1, device="cpu")
    return out


@pytest.fixture(scope="session")
def tiny_swaps(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their correspondences, to the pixel, in two shards."""
    return _made(tiny_dataset, tmp_path_factory, TINY)


@pytest.fixture(scope="session")
def tiny_maps(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with maps."""
    return _made(tiny_dataset, tmp_path_factory, TINY.model_copy(update={"store": "maps"}))


@pytest.fixture(scope="session")
def grid_swaps(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Matches on relu3_1's grid, as they were before they were refined."""
    return _made(tiny_dataset, tmp_path_factory, ON_GRID)


@pytest.fixture(scope="session")
def grid_maps(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those with maps."""
    return _made(tiny_dataset, tmp_path_factory, ON_GRID.model_copy(update={"store": "maps"}))
