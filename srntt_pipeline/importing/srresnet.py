"""SRResNet and SRGAN by the names of a common PyTorch implementation (SRGAN-PyTorch).

Its network is the paper's, with one slope for each PReLU, and gives the image itself, without tanh.
"""

import re
from pathlib import Path

from srntt_pipeline.importing.importer import Weights, importer, recipe_of
from srntt_pipeline.importing.state_dict import (
    Entry,
    batch_norm,
    channels_of,
    convolution,
    count_of,
    read_state_dict,
    take,
)
from srntt_pipeline.recipes.srgan import SrganRecipe, SrresnetRecipe


@importer("srresnet", ("WEIGHTS.pth",))
def srresnet(weights: Path) -> Weights:
    """SRResNet ×4 from a state dict with the names conv1, trunk.0.rcb, upsampling.0 and so on."""
    return _read(weights, SrresnetRecipe)


@importer("srgan", ("WEIGHTS.pth",))
def srgan(weights: Path) -> Weights:
    """SRGAN ×4 from a state dict with the names conv1, trunk.0.rcb, upsampling.0 and so on."""
    return _read(weights, SrganRecipe)


def _read(path: Path, kind: type[SrresnetRecipe] | type[SrganRecipe]) -> Weights:
    # Older files call the three outer convolutions so.
    found = read_state_dict(path)
    state = {re.sub(r"^conv_block([123])\.", r"conv\1.", name): v for name, v in found.items()}
    channels = channels_of(path, state, "conv1.0.weight")
    blocks = count_of(state, "trunk.", ".rcb.0.weight")
    arrays = take(path, state, _entries(channels, blocks), ())
    sizes = {"channels": channels, "blocks": blocks, "architecture": "paper", "tanh": False}
    return Weights(recipe_of(path, kind, **sizes), arrays, trained_on="matlab")


def _entries(channels: int, blocks: int) -> list[Entry]:
    found = convolution("content.head.0", "conv1.0", 3, channels, 9)
    found.append(_slope("content.head.1", "conv1.1"))
    for block in range(blocks):
        ours, theirs = f"content.body.{block}.body", f"trunk.{block}.rcb"
        for place in (0, 3):
            found += _normed(f"{ours}.{place}", f"{ours}.{place + 1}",
                             f"{theirs}.{place}", f"{theirs}.{place + 1}", channels)  # fmt: skip
        found.append(_slope(f"{ours}.2", f"{theirs}.2"))
    found += _normed(f"content.body.{blocks}", f"content.body.{blocks + 1}",
                     "conv2.0", "conv2.1", channels)  # fmt: skip
    for number in (0, 1):
        ours, theirs = f"content.sisr_tail.{number}", f"upsampling.{number}.upsample_block"
        found += convolution(f"{ours}.0", f"{theirs}.0", channels, 4 * channels)
        found.append(_slope(f"{ours}.2", f"{theirs}.2"))
    return [*found, *convolution("content.sisr_tail.2", "conv3", channels, 3, 9)]


def _normed(ours: str, our_norm: str, theirs: str, their_norm: str, channels: int) -> list[Entry]:
    """Return a convolution without bias, and the batch norm behind it."""
    inner = convolution(ours, theirs, channels, channels, bias=False)
    return [*inner, *batch_norm(our_norm, their_norm, channels)]


def _slope(ours: str, theirs: str) -> Entry:
    return Entry(f"{ours}.weight", f"{theirs}.weight", (1,))
