"""SCN's weights, as its authors published them: a .mat file for each ×2 of the cascade."""

from pathlib import Path

import numpy as np

from srntt_pipeline.errors import InputError
from srntt_pipeline.importing.importer import Weights, importer, recipe_of
from srntt_pipeline.importing.mat import array_of, contiguous, struct_of
from srntt_pipeline.matlab import read_mat
from srntt_pipeline.recipes.scn import ScnRecipe

_PATCH, _WINDOW, _MEAN = 5, 9, 13  # px a side
_EQUAL = 1e-5


@importer("scn", ("FIRST.mat", "SECOND.mat"))
def scn(first: Path, second: Path) -> Weights:
    """SCN for ×4, from the files of its two ×2: `…_x2_52.mat`, then `…_x2_310.mat`."""
    stages = [_stage(file) for file in (first, second)]
    if stages[0]["encode"].shape != stages[1]["encode"].shape:
        raise InputError(f"{second}: of other sizes than {first}")
    arrays = {
        f"stages.{number}.{name}": values
        for number, stage in enumerate(stages)
        for name, values in stage.items()
    }
    codes, features = stages[0]["encode"].shape
    named = {n if n.endswith("shares") else f"{n}.weight": v for n, v in arrays.items()}
    for name, values in named.items():
        if name.endswith(("encode.weight", "again.weight", "decode.weight")):
            named[name] = values[:, :, None, None]
    recipe = recipe_of(first, ScnRecipe, features=features, codes=codes)
    return Weights(recipe, contiguous(named), trained_on="matlab-replicate")


def _stage(file: Path) -> dict[str, np.ndarray]:
    """Return the parameters of one ×2.

    Theirs are convolutions, ours correlations: so windows and patches are turned by half. Pixels
    of a window are column by column, those of a patch row by row.
    """
    model = struct_of(file, read_mat(file), "model")
    windows = array_of(file, model, "conv", (_WINDOW**2, None))
    features = windows.shape[1]
    encode = array_of(file, model, "wd", (features, None))
    codes = encode.shape[1]
    again = array_of(file, model, "usd1", (codes, codes))
    decode = array_of(file, model, "ud", (codes, _PATCH**2))
    shares = array_of(file, model, "addp", (_PATCH**2, 1))[:, 0]
    _check_fixed(file, array_of(file, model, "diffms", (_WINDOW**2, _PATCH**2)),
                 array_of(file, model, "mean2", (_MEAN**2, 1))[:, 0])  # fmt: skip
    turned = windows.T[:, ::-1].reshape(features, 1, _WINDOW, _WINDOW)
    return {
        "features": turned.swapaxes(2, 3),
        "encode": encode.T,
        "again": again.T,
        "decode": decode.T[::-1],
        "shares": shares[::-1],
    }


def _check_fixed(file: Path, differences: np.ndarray, mean: np.ndarray) -> None:
    """Raise InputError unless these are the filters that our network does not learn.

    They are what a pixel has more than its patch of 5×5, and the mean of the means of all patches
    that hold a pixel.
    """
    margin = (_WINDOW - _PATCH) // 2
    each = np.eye(_PATCH**2) - 1 / _PATCH**2
    wanted = np.zeros((_WINDOW, _WINDOW, _PATCH**2))
    wanted[margin:-margin, margin:-margin] = each.reshape(_PATCH, _PATCH, -1)
    line = np.convolve(np.ones(_PATCH), np.ones(_PATCH)) / _PATCH**2
    tent = np.pad(np.outer(line, line), (_MEAN - len(line)) // 2)
    near = np.abs(differences - wanted.reshape(_WINDOW**2, -1)).max() < _EQUAL
    if not near or np.abs(mean - tent.ravel()).max() >= _EQUAL:
        raise InputError(f"{file}: diffms and mean2 are not those of SCN's published weights")
