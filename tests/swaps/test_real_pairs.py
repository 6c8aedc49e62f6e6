"""What the ten real training pairs take on disk, and what is rebuilt from it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srntt_pipeline.config import SwapParams
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.references import versions
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.windowed import swap_features


@pytest.fixture(scope="module")
def weights(shared: Path) -> str:
    return str(shared / "weights" / "vgg19_relu3_1.pth")


@pytest.fixture(scope="module")
def swaps(shared: Path, weights: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real") / "swaps"
    params = SwapParams(encoder_weights=weights, rotations_deg=(0.0,))
    assert precompute_swaps(shared / "data" / "cufed", out, params, workers=1, device="cpu") == 10
    return out


def test_a_pair_takes_at_most_20_kb(swaps: Path) -> None:
    assert sum(path.stat().st_size for path in swaps.iterdir()) <= 10 * 20_000


@pytest.mark.parametrize("number", [0, 5])
def test_maps_rebuilt_are_those_computed_directly(
    swaps: Path, shared: Path, weights: str, number: int
) -> None:
    encoder = load_encoder(weights, 0, torch.device("cpu"))
    pairs = SwappedPairs(read_train_pairs(shared / "data" / "cufed"), Shards(swaps), encoder)
    pair, item = pairs.pairs[number], pairs[number]
    hr = Image.open(pair.hr)
    hr = hr.crop((0, 0, hr.width // 4 * 4, hr.height // 4 * 4))
    lr = hr.resize((hr.width // 4, hr.height // 4), Image.Resampling.BICUBIC)
    lr_up, ref = np.asarray(lr.resize(hr.size, Image.Resampling.BICUBIC)), np.asarray(
        Image.open(pair.ref)
    )  # fmt: skip
    tried = versions(Shards(swaps).params)
    found = match_images(lr_up, [ref], tried, encoder, refine="relu3_1")
    expected = swap_features(found, [ref], tried, encoder)
    for layer, maps in expected.maps.items():
        assert (item["maps"][layer] - maps).norm() < 1e-5 * maps.norm()
    torch.testing.assert_close(item["weight"], expected.weight, rtol=1e-5, atol=1e-5)
