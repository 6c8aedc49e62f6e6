from pathlib import Path

import pytest
import torch
from PIL import Image

from srntt_pipeline import memory
from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.matcher import Matcher, load_matcher
from srntt_pipeline.swaps.pair_memory import check_pairs, largest, pair_memory
from srntt_pipeline.swaps.precompute import precompute_swaps

PARAMS = SwapParams(encoder_weights="random", scales=(1.0,), rotations_deg=(0.0,))
GIB = 1 << 30


def matcher(params: SwapParams) -> Matcher:
    return load_matcher(params, load_encoder("random", 0, torch.device("cpu")))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A pair of 160×160 px and one of 12 megapixels."""
    for side in ("input", "ref"):
        folder = tmp_path / "dataset" / "train" / side
        folder.mkdir(parents=True)
        Image.new("RGB", (160, 160)).save(folder / "a_small.png")
        Image.new("RGB", (4000, 3000)).save(folder / "b_large.png")
    return tmp_path / "dataset"


def test_a_pair_takes_what_its_parameters_ask_for(dataset: Path) -> None:
    small, large = read_train_pairs(dataset)

    def needs(**changes: object) -> int:
        params = PARAMS.model_copy(update=changes)
        return pair_memory(large, params, matcher(params)).least

    plain = needs()
    assert 1.5 * GIB < plain < 2 * GIB
    assert needs(scales=(1.0, 1.4)) > plain
    assert needs(matching="flow-dis") > plain + 12_000_000 * 64 * 2  # whole relu3_1 maps
    assert needs(store="maps") > plain + 12_000_000 * 448 * 2
    assert needs(references="lr") < plain
    of_small = pair_memory(small, PARAMS, matcher(PARAMS))
    # Dense maps take 900 bytes for each pixel of the small reference.
    assert of_small.least < memory.LEAST_TO_MATCH + (25 << 20)
    on_grid = PARAMS.model_copy(update={"refine": "none"})
    of_small = pair_memory(small, on_grid, matcher(on_grid))
    assert of_small.least < memory.LEAST_TO_MATCH + (1 << 20)
    both = largest([of_small, pair_memory(large, PARAMS, matcher(PARAMS))])
    assert both.least == plain


def test_a_damaged_image_counts_as_none(dataset: Path) -> None:
    small, _ = read_train_pairs(dataset)
    small.ref.write_bytes(b"no image")
    assert pair_memory(small, PARAMS, matcher(PARAMS)).least == 0


def test_a_pair_too_large_is_refused_by_name_before_any_is_matched(
    dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"--max-memory: .* b_large .*4000×3000 px") as refusal:
        precompute_swaps(
            dataset, tmp_path / "out", PARAMS, workers=1, device="cpu", max_memory=3 << 29
        )
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()
    least = float(str(refusal.value).split()[-2])
    check_pairs(read_train_pairs(dataset), PARAMS, matcher(PARAMS), int(least * GIB))
