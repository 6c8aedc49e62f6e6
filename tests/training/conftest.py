"""Real pairs and their swaps, small enough to train on within seconds."""

from pathlib import Path

import pytest
from PIL import Image

from srntt_pipeline.config import SwapParams
from srntt_pipeline.swaps.precompute import precompute_swaps

SWAPS = SwapParams(encoder_weights="random", scales=(1.0,), rotations_deg=(0.0,))


@pytest.fixture(scope="module", autouse=True)
def always(one_thread: None) -> None:
    """The killed processes run on one thread."""


@pytest.fixture(scope="session")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six real CUFED pairs, cut to 64×64 px, and their swaps."""
    folder = tmp_path_factory.mktemp("cufed")
    source = shared / "data" / "cufed" / "train"
    for side in ("input", "ref"):
        (folder / "train" / side).mkdir(parents=True)
        for path in sorted((source / side).glob("*.png"))[:6]:
            Image.open(path).crop((48, 48, 112, 112)).save(folder / "train" / side / path.name)
    precompute_swaps(folder, folder / "swaps", SWAPS, workers=1, device="cpu")
    return folder
