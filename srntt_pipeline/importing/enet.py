"""ENet as its authors published it: a TensorFlow checkpoint of ENet-PAT."""

from pathlib import Path

from srntt_pipeline.errors import InputError
from srntt_pipeline.importing.importer import Weights, importer
from srntt_pipeline.importing.in_order import Parameter, convolution, name_in_order
from srntt_pipeline.importing.tf_table import read_tf_table
from srntt_pipeline.recipes.enet import EnetRecipe

CHANNELS, BLOCKS = 64, 10


def order() -> list[Parameter]:
    """Return the parameters in the order of layers: 25 convolutions, kernel and bias."""
    inner = (CHANNELS, CHANNELS)
    found = convolution("head.0", 3, CHANNELS)
    for block in range(BLOCKS):
        for place in (0, 2):  # convolution, ReLU, convolution
            found += convolution(f"body.{block}.body.{place}", *inner)
    for place in (1, 4, 6):  # after enlargements and ReLUs
        found += convolution(f"tail.{place}", *inner)
    return [*found, *convolution("tail.8", CHANNELS, 3)]


@importer("enet", ("WEIGHTS",))
def enet(weights: Path) -> Weights:
    """ENet-PAT by its authors, from the TensorFlow checkpoint of version 1 (`weights`).

    Its licence (CC BY-NC-ND) allows no commercial use, and no passing on of a converted copy.
    """
    tensors = read_tf_table(weights)
    numbers = ["", *(f"_{number}" for number in range(1, len(order()) // 2))]
    names = [f"generator/Conv{n}/{kind}" for n in numbers for kind in ("weights", "biases")]
    if missing := [name for name in names if name not in tensors]:
        raise InputError(f"{weights}: {missing[0]} is missing: not ENet as its authors saved it")
    recipe = EnetRecipe(channels=CHANNELS, blocks=BLOCKS, architecture="released")
    arrays = name_in_order(weights, [tensors[name] for name in names], order())
    return Weights(recipe, arrays, trained_on="pillow-lanczos")
