"""SRNTT of the paper's released code: content extractor and texture transfer, two files."""

from pathlib import Path

from srntt_pipeline.errors import InputError
from srntt_pipeline.importing import sisr as content
from srntt_pipeline.importing.importer import Weights, importer
from srntt_pipeline.importing.in_order import Parameter, convolution, name_in_order
from srntt_pipeline.importing.npz import read_arrays
from srntt_pipeline.maps import CHANNELS as MAPS
from srntt_pipeline.recipes.srntt import SrnttRecipe

BLOCKS = {"relu3_1": 16, "relu2_1": 8, "relu1_1": 4}
# That code matches on the grid, with the reference as it is.
_SWAPS = {"scales": (1.0,), "rotations_deg": (0.0,), "refine": "none"}


def order() -> list[Parameter]:
    """Return the parameters of `srntt.npz`: 309 arrays, of the texture transfer alone."""
    channels = content.CHANNELS
    found: list[Parameter] = []
    for layer, blocks in BLOCKS.items():
        found += convolution(f"transfer.{layer}.head.0", channels + MAPS[layer], channels)
        found += content.body(f"transfer.{layer}.body", blocks)
        if layer != "relu1_1":
            found += content.twice(f"upscale.{layer}")
    found += convolution("tail.0", channels, channels // 2)
    return [*found, *convolution("tail.1", channels // 2, 3, 1)]


@importer("srntt", ("UPSCALE.npz", "SRNTT.npz"), swaps=_SWAPS)
def srntt(upscale: Path, transfer: Path) -> Weights:
    """SRNTT of the paper's released code, from `upscale.npz` and `srntt.npz`.

    The first holds the content extractor, which the second, the texture transfer, builds on. A file
    of the second kind under another name (`srntt_init.npz`) is read as well.
    """
    first, second = read_arrays(upscale), read_arrays(transfer)
    if (len(first), len(second)) == (len(order()), len(content.order())):
        raise InputError(f"{upscale}: the texture transfer; name {transfer} before it")
    recipe = SrnttRecipe(
        variant="srntt",
        channels=content.CHANNELS,
        blocks=(content.BLOCKS, *BLOCKS.values()),
        architecture="released",
        bicubic_skip=False,
        weight_maps=False,
        gate=False,
    )
    arrays = name_in_order(upscale, first, content.order())
    return Weights(recipe, {**arrays, **name_in_order(transfer, second, order())})
