"""ENet: squared error (E), or VGG19's maps, texture and a critic (PAT) (ICCV 2017, section 4).

The critic makes its steps with each batch; the paper's pauses while it wins, which is not here.
The weights of the losses are those of the paper's supplement (Table 2), as two public
re-implementations quote them.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from srntt_pipeline.recipes.adversarial import AdversarialOptions
from srntt_pipeline.recipes.recipe import (
    LOSSES,
    RECONSTRUCTION,
    Loss,
    Objective,
    Phase,
    Recipe,
    Weight,
    check_memory,
    recipe,
    reconstruction,
)
from srntt_pipeline.sections import Headings, Steps
from srntt_pipeline.variants import Architecture

_NAMES = {"pat": "enet", "e": "enet-e"}
_PERCEPTUAL = ("pool2", "pool5")
_TEXTURE = ("relu1_1", "relu2_1", "relu3_1")
_STAGES = 5  # of the critic (Table 2)


@recipe("enet")
class EnetRecipe(AdversarialOptions, Recipe):
    """`train.enet`: ENet-PAT or ENet-E, which take no references (Sajjadi et al., ICCV 2017)."""

    headings: ClassVar[Headings] = {
        LOSSES: ("perceptual_weights", "texture_weights", "texture_patch"),
    }
    counted = (*Recipe.counted, "pretraining_steps")

    variant: Literal["pat", "e"] = Field(
        "pat",
        description="Choose the losses: `pat`, perceptual, adversarial and texture loss (the "
        "paper's tables); `e`, mean squared error.",
    )
    channels: int = Field(64, ge=2, le=1024, description="Set the channels of the residual blocks.")
    blocks: int = Field(10, ge=0, le=256, description="Set the number of residual blocks.")
    architecture: Architecture = Field(
        "paper",
        description="Choose the LR↑ that the output is added to: bicubic (`paper`), or TensorFlow "
        "1's, which the published weights need (`released`).",
    )
    perceptual_weights: tuple[Weight, Weight] = Field(
        (0.2, 0.02),
        description="Weigh the perceptual loss on VGG19's pool2 and pool5 by these. 0 leaves a "
        "layer out; the encoder's weights may then end before it.",
    )
    texture_weights: tuple[Weight, Weight, Weight] = Field(
        (3e-7, 1e-6, 1e-6),
        description="Weigh the texture loss on relu1_1, relu2_1 and relu3_1 by these; zeros: off.",
    )
    texture_patch: int = Field(
        16,
        ge=1,
        le=4096,
        description="Compare textures of patches of this side, positions of the maps.",
    )
    adversarial_weight: Weight = Field(2.0, description="Weigh the adversarial loss by this.")
    critic_channels: int = Field(
        32,
        ge=1,
        le=256,
        description="Set the channels of the critic's first convolution; they double four times.",
    )
    steps: Steps = Field(300_000, description="Train for so many steps on all losses.")
    batch_size: int = Field(
        64, ge=1, le=4096, description="Take so many pairs in a batch, over all devices."
    )
    patch_px: int = Field(
        128,
        ge=16,
        le=4096,
        multiple_of=4,
        description="Cut HR patches of this side, px (128: LR 32).",
    )
    augment: bool = Field(
        True, description="Flip pairs and turn them by multiples of 90° at random."
    )

    @model_validator(mode="after")
    def _sizes(self) -> "EnetRecipe":
        check_memory(self, self.channels, self.blocks)
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `enet`, or `enet-e`, and its sizes."""
        sizes = self.model_dump(include={"channels", "blocks", "architecture"})
        return _NAMES[self.variant], sizes

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return the one phase of ENet-E; of ENet-PAT those on the squared error and all losses."""
        if self.variant == "e":
            objective = Objective((reconstruction("mse"),))
            return (Phase(RECONSTRUCTION, self.steps, "lr", objective),)
        others = (
            _weighed("perceptual", _PERCEPTUAL, self.perceptual_weights),
            _weighed("texture", _TEXTURE, self.texture_weights, patch=self.texture_patch),
        )
        return self.adversarial_phases(
            others, self.steps, stages=_STAGES, batch_norm=False, started=started
        )


def _weighed(
    name: str, layers: tuple[str, ...], weights: tuple[float, ...], **options: Any
) -> Loss:
    """Return a loss on the layers whose weights are not 0; of weight 0 itself where none is."""
    kept = [(layer, weight) for layer, weight in zip(layers, weights, strict=True) if weight]
    told = {"form": "enet", "layer_weights": tuple(weight for _, weight in kept), **options}
    return Loss(name, 1.0 if kept else 0.0, tuple(layer for layer, _ in kept), told)
