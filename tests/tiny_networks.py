"""Tiny networks of random weights, saved as if they had been trained."""

from pathlib import Path
from typing import Any

import torch

from srntt_pipeline.checkpoints import CheckpointInfo, save_checkpoint
from srntt_pipeline.config import SwapParams
from srntt_pipeline.models import build_model
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.training.recipes.srntt import SrnttRecipe


def save_as(path: Path, model: str, sizes: dict[str, Any], seed: int = 0, **known: Any) -> Path:
    """Save a network of `sizes` with seeded random weights under the name `model`."""
    torch.manual_seed(seed)
    given = {"encoder": None, "swaps": None, **known}
    info = CheckpointInfo(
        model=model, sizes=sizes, step=3, train=SrnttRecipe(), dataset="", metrics={}, **given
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, build_model(model, sizes), info)
    return path


def save_srntt(path: Path, model: str = "srntt-l2", seed: int = 0) -> Path:
    """Save a tiny SRNTT of the variant `model`, with the maps of a random encoder."""
    sizes = {"channels": 4, "blocks": (1, 1, 1, 1), "bicubic_skip": True}
    swaps = SwapParams(encoder_weights="random", scales=(1.0,), rotations_deg=(0.0,))
    identity = load_encoder("random", 0, torch.device("cpu")).identity
    return save_as(path, model, sizes, seed, encoder=identity, swaps=swaps)
