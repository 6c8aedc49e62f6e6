"""LapSRN's weights, as its authors published them for MatConvNet (DagNN)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from srntt_pipeline.errors import InputError
from srntt_pipeline.importing.importer import Weights, importer, recipe_of
from srntt_pipeline.importing.mat import array_of, contiguous, struct_of
from srntt_pipeline.matlab import read_mat
from srntt_pipeline.recipes.lapsrn import LapsrnRecipe

_LEVELS = {"level2": 0, "level1": 1}  # ×2 and ×4


@importer("lapsrn", ("LAPSRN_X4.mat",))
def lapsrn(file: Path) -> Weights:
    """LapSRN for ×4, from `LapSRN_x4.mat`."""
    values = _by_name(file, struct_of(file, read_mat(file), "net"))
    channels = array_of(file, values, "input_conv_f", (3, 3, 1, None)).shape[3]
    depths = [_depth(values, level) for level in _LEVELS]
    if depths[0] != depths[1] or len(values) != 2 + sum(2 * depth + 5 for depth in depths):
        raise InputError(f"{file}: not the parameters of LapSRN for ×4 alone")
    arrays = _layer(file, values, "input_conv", "head.0", (1, channels))
    inner = (channels, channels)
    for level, number in _LEVELS.items():
        ours = f"levels.{number}"
        for conv in range(depths[0]):
            name = f"{ours}.features.{2 * conv}"
            arrays |= _layer(file, values, f"{level}_conv{conv + 1}", name, inner)
        arrays |= _layer(file, values, f"{level}_upconv", f"{ours}.enlarge", inner)
        residual = f"{level}_residual_conv"
        arrays |= _layer(file, values, residual, f"{ours}.residual", (channels, 1))
        image = array_of(file, values, f"{level}_img_up_f", (4, 4, 1, 1))
        arrays[f"{ours}.image.weight"] = image.transpose(3, 2, 0, 1)
    recipe = recipe_of(file, LapsrnRecipe, channels=channels, blocks=depths[0])
    return Weights(recipe, contiguous(arrays), trained_on="matlab-replicate")


def _by_name(file: Path, net: Mapping[str, Any]) -> dict[str, Any]:
    params = net.get("params")
    found = [one for one in params if isinstance(one, Mapping)] if isinstance(params, list) else []
    values = {str(one.get("name")): one.get("value") for one in found}
    if not values:
        raise InputError(f"{file}: holds no list net.params")
    return values


def _depth(values: Mapping[str, Any], level: str) -> int:
    return sum(f"{level}_conv{number}_f" in values for number in range(1, len(values)))


def _layer(
    file: Path, values: Mapping[str, Any], theirs: str, ours: str, sizes: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Return kernel and bias; theirs is [h, w, in, out], of transposed ones [h, w, out, in]."""
    kernel = array_of(file, values, f"{theirs}_f", (3, 3, *sizes))
    bias = array_of(file, values, f"{theirs}_b", (1, sizes[1]))
    return {f"{ours}.weight": kernel.transpose(3, 2, 0, 1), f"{ours}.bias": bias[0]}
