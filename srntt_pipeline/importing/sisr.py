"""The content extractor of SRNTT's released code with its own tail, which its upscaler is."""

from pathlib import Path

from srntt_pipeline.importing.importer import Weights, importer
from srntt_pipeline.importing.in_order import Parameter, batch_norm, convolution, name_in_order
from srntt_pipeline.importing.npz import read_arrays
from srntt_pipeline.recipes.sisr import SisrRecipe

CHANNELS, BLOCKS = 64, 16


def body(name: str, blocks: int) -> list[Parameter]:
    """Return a residual body: blocks of two convolutions, one that closes it; batch norm each."""
    inner = (CHANNELS, CHANNELS)
    order: list[Parameter] = []
    for block in range(blocks):
        for place in (0, 3):  # convolution, batch norm, ReLU, convolution, batch norm
            order += convolution(f"{name}.{block}.body.{place}", *inner, bias=False)
            order += batch_norm(f"{name}.{block}.body.{place + 1}", CHANNELS)
    order += convolution(f"{name}.{blocks}", *inner, bias=False)
    return [*order, *batch_norm(f"{name}.{blocks + 1}", CHANNELS)]


def twice(name: str) -> list[Parameter]:
    """Return the convolution of a sub-pixel layer ↑2×."""
    return convolution(f"{name}.0", CHANNELS, 4 * CHANNELS, subpixels=True)


def order() -> list[Parameter]:
    """Return the parameters of `upscale.npz`: 173 arrays."""
    return [
        *convolution("content.head.0", 3, CHANNELS),
        *body("content.body", BLOCKS),
        *twice("content.sisr_tail.0"),
        *twice("content.sisr_tail.1"),
        *convolution("content.sisr_tail.2", CHANNELS, 3, 1),
    ]


@importer("sisr", ("UPSCALE.npz",))
def sisr(upscale: Path) -> Weights:
    """The network by which SRNTT's released code upscales LR and Ref↓, from `upscale.npz`."""
    recipe = SisrRecipe(
        channels=CHANNELS, blocks=BLOCKS, architecture="released", bicubic_skip=False
    )
    return Weights(recipe, name_in_order(upscale, read_arrays(upscale), order()))
