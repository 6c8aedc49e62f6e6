"""EDSR and MDSR by the names of their authors' PyTorch code, EDSR by those of BasicSR too.

Their networks take 0…255 less the mean and give the same, ours 0…1. All layers are linear but ReLU,
which keeps factors: so the first kernel is multiplied by 255, the last and its bias divided.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from srntt_pipeline.errors import InputError
from srntt_pipeline.importing.importer import Weights, importer, recipe_of
from srntt_pipeline.importing.state_dict import (
    Entry,
    channels_of,
    convolution,
    count_of,
    read_state_dict,
    take,
)
from srntt_pipeline.recipes.edsr import EdsrRecipe
from srntt_pipeline.recipes.mdsr import MdsrRecipe

_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K, as `models.edsr` has it
_RANGE = 255.0
_SHIFTS = ("sub_mean", "add_mean")
_LARGE = 256  # channels of the large EDSR, whose blocks add a tenth
# Names of BasicSR, and what the authors call the same.
_BASICSR = (
    (r"conv_first\.", "head.0."),
    (r"body\.(\d+)\.conv1\.", r"body.\1.body.0."),
    (r"body\.(\d+)\.conv2\.", r"body.\1.body.2."),
    (r"upsample\.", "tail.0."),
    (r"conv_last\.", "tail.1."),
)


@importer("edsr", ("WEIGHTS.pth",))
def edsr(weights: Path) -> Weights:
    """EDSR ×4, large or baseline, from a state dict of its authors' PyTorch code or of BasicSR."""
    state = _authors_names(read_state_dict(weights))
    channels, blocks, whole = _common(weights, state)
    entries = [
        *convolution("head", "head.0", 3, channels, factors=(whole, 1)),
        *_body(channels, blocks),
        *convolution("tail.0", "tail.0.0", channels, 4 * channels),
        *convolution("tail.2", "tail.0.2", channels, 4 * channels),
        *convolution("tail.4", "tail.1", channels, 3, factors=(1 / whole, 1 / whole)),
    ]
    arrays = take(weights, state, entries, _shifts(state))
    scale = 0.1 if channels == _LARGE else 1.0
    recipe = recipe_of(weights, EdsrRecipe, channels=channels, blocks=blocks, res_scale=scale)
    return Weights(recipe, arrays, trained_on="matlab")


@importer("mdsr", ("WEIGHTS.pth",))
def mdsr(weights: Path) -> Weights:
    """MDSR or its baseline, from a state dict of its authors' PyTorch code."""
    state = read_state_dict(weights)
    channels, blocks, whole = _common(weights, state)
    scales = _scales(weights, state, channels)
    entries = [
        *convolution("head", "head.0", 3, channels, factors=(whole, 1)),
        *_body(channels, blocks),
        *convolution("tail", "tail.0", channels, 3, factors=(1 / whole, 1 / whole)),
    ]
    for number, scale in enumerate(scales):
        for block in (0, 1):
            for place in (0, 2):
                ours = f"before.{scale}.{block}.body.{place}"
                theirs = f"pre_process.{number}.{block}.body.{place}"
                entries += convolution(ours, theirs, channels, channels, 5)
        for place in (0, 2) if scale == 4 else (0,):
            steps = 9 if scale == 3 else 4
            ours, theirs = f"enlarge.{scale}.{place}", f"upsample.{number}.{place}"
            entries += convolution(ours, theirs, channels, steps * channels)
    arrays = take(weights, state, entries, _shifts(state))
    recipe = recipe_of(weights, MdsrRecipe, channels=channels, blocks=blocks, scales=scales)
    return Weights(recipe, arrays, trained_on="matlab")


def _authors_names(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if "conv_first.weight" not in state:
        return dict(state)
    closing = count_of(state, "body.", ".conv1.weight")
    names = (*_BASICSR, (r"conv_after_body\.", f"body.{closing}."))
    found = {}
    for name, values in state.items():
        for theirs, authors in names:
            name = re.sub(f"^{theirs}", authors, name)
        found[name] = values
    return found


def _common(path: Path, state: Mapping[str, np.ndarray]) -> tuple[int, int, float]:
    """Return channels, blocks and the range of values of such a network."""
    channels = channels_of(path, state, "head.0.weight")
    blocks = count_of(state, "body.", ".body.0.weight")
    return channels, blocks, _range(path, state)


def _range(path: Path, state: Mapping[str, np.ndarray]) -> float:
    """Return the range of the values that the network takes, as the mean's layer tells."""
    bias = state.get("sub_mean.bias")
    if bias is None:
        return _RANGE
    if bias.shape == (3,):
        for whole in (_RANGE, 1.0):
            if np.allclose(-bias / whole, _MEAN, atol=1e-4):
                return whole
    raise InputError(f"{path}: sub_mean.bias is not the mean of DIV2K, which EDSR was trained on")


def _shifts(state: Mapping[str, np.ndarray]) -> set[str]:
    """Return the names of the layers of the mean, which our network has as a number."""
    return {name for name in state if name.partition(".")[0] in _SHIFTS}


def _body(channels: int, blocks: int) -> list[Entry]:
    found = []
    for block in range(blocks):
        for place in (0, 2):
            name = f"body.{block}.body.{place}"
            found += convolution(name, name, channels, channels)
    closing = f"body.{blocks}"
    return [*found, *convolution(closing, closing, channels, channels)]


def _scales(path: Path, state: Mapping[str, np.ndarray], channels: int) -> tuple[int, ...]:
    """Return the scales that the network has parts for, in their order."""
    found = []
    for number in range(count_of(state, "upsample.", ".0.weight")):
        several = channels_of(path, state, f"upsample.{number}.0.weight") // channels
        twice = f"upsample.{number}.2.weight" in state
        found.append(3 if several == 9 else 4 if twice else 2)
    if 4 not in found or len(set(found)) < len(found):
        told = ", ".join(f"×{scale}" for scale in found) or "none"
        raise InputError(f"{path}: its scales are {told}; ×4 must be one, each once")
    return tuple(found)
