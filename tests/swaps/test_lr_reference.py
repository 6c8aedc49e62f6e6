"""Pairs whose LR is its own reference: the paper's SISR setting."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srntt_pipeline.config import MatchParams, SwapParams
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.swaps.convert import convert_shards
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.references import augmentations
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.show import show_match
from srntt_pipeline.swaps.verify import verify_shards
from srntt_pipeline.swaps.windowed import swap_features

CPU = torch.device("cpu")
Contents = Callable[[Path], dict[str, bytes]]
PARAMS = SwapParams(
    encoder_weights="random",
    scales=(1.0, 1.4),
    rotations_deg=(0.0,),
    references="lr",
    pairs_per_shard=1,
)


@pytest.fixture
def dataset(tiny_dataset: Path, tmp_path: Path) -> Path:
    """The tiny pairs, one HR cut to no multiple of 4 px."""
    shutil.copytree(tiny_dataset, tmp_path / "dataset")
    path = tmp_path / "dataset" / "train" / "input" / "1.png"
    Image.open(path).crop((0, 0, 47, 38)).save(path)
    return tmp_path / "dataset"


def swaps(dataset: Path, out: Path, **changes: object) -> Path:
    params = PARAMS.model_copy(update=changes)
    precompute_swaps(dataset, out, params, workers=1, device="cpu")
    return out


def low(path: Path) -> Image.Image:
    hr = Image.open(path)
    hr = hr.crop((0, 0, hr.width // 4 * 4, hr.height // 4 * 4))
    return hr.resize((hr.width // 4, hr.height // 4), Image.Resampling.BICUBIC)


def test_swaps_are_those_of_lr_at_its_own_size(dataset: Path, tmp_path: Path) -> None:
    shards = Shards(swaps(dataset, tmp_path / "out"))
    encoder = load_encoder("random", 0, CPU)
    tried = augmentations(PARAMS.scales, PARAMS.rotations_deg)
    pairs = SwappedPairs(read_train_pairs(dataset), shards, encoder)
    for number, pair in enumerate(pairs.pairs):
        image = low(pair.hr)
        up = image.resize((4 * image.width, 4 * image.height), Image.Resampling.BICUBIC)
        refs = [np.asarray(image)]
        expected = match_images(np.asarray(up), refs, tried, encoder, refine=PARAMS.refine)
        stored = shards[pair.name]
        assert stored.ref_sha256 == (stored.hr_sha256,)
        assert stored.correspondence.shapes == expected.shapes
        assert torch.equal(stored.correspondence.index, expected.index)
        assert torch.equal(stored.correspondence.phase, expected.phase)
        swapped = swap_features(expected, refs, tried, encoder)
        for layer, maps in swapped.maps.items():
            torch.testing.assert_close(pairs[number]["maps"][layer], maps)


def test_only_hr_decides(dataset: Path, tmp_path: Path) -> None:
    out = swaps(dataset, tmp_path / "out")
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("*.h5")}
    for side, number in (("ref", 0), ("input", 2)):
        path = dataset / "train" / side / f"{number}.png"
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    swaps(dataset, out)
    changed = {name for name, time in times.items() if (out / name).stat().st_mtime_ns != time}
    assert changed == {"shard-00002.h5"}


def test_shards_of_references_are_remade(dataset: Path, tmp_path: Path, contents: Contents) -> None:
    out = swaps(dataset, tmp_path / "out", references="ref")
    before = contents(out)
    swaps(dataset, out)
    assert contents(out) == contents(swaps(dataset, tmp_path / "fresh"))
    swaps(dataset, out, references="ref")
    assert contents(out) == before


def test_they_are_verified_converted_and_drawn(
    dataset: Path, tmp_path: Path, contents: Contents
) -> None:
    out = swaps(dataset, tmp_path / "out")
    assert verify_shards(out, dataset=dataset).startswith("OK: 3 pairs")
    convert_shards(out, tmp_path / "maps", dataset, store="maps", workers=1, device="cpu")
    assert contents(tmp_path / "maps") == contents(swaps(dataset, tmp_path / "m", store="maps"))
    picture = tmp_path / "match.png"
    show_match("1", picture, MatchParams(), swaps=out, dataset=dataset, device="cpu")
    assert Image.open(picture).width > 500
