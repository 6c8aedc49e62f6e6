"""SRResNet: squared error; SRGAN: then VGG19's maps and a critic (CVPR 2017, sections 2.2, 3.2)."""

from typing import Any, ClassVar

from pydantic import Field, model_validator

from srntt_pipeline.recipes.adversarial import AdversarialOptions, Layer
from srntt_pipeline.recipes.recipe import (
    LOSSES,
    RECONSTRUCTION,
    Loss,
    Objective,
    Phase,
    RateSchedule,
    Recipe,
    Share,
    Start,
    Weight,
    check_memory,
    recipe,
    reconstruction,
)
from srntt_pipeline.sections import Headings, Section, Steps
from srntt_pipeline.variants import Architecture

_STAGES = 4  # of the critic (Figure 4)


class ResNetOptions(Section):
    """The network's sizes, and what both are trained on."""

    channels: int = Field(64, ge=2, le=1024, description="Set the channels of the residual blocks.")
    blocks: int = Field(16, ge=0, le=256, description="Set the number of residual blocks.")
    architecture: Architecture = Field(
        "paper",
        description="Build layers as the `paper` says (9×9 convolutions at both ends, PReLU), or "
        "as the implementation that SRNTT names (`released`: 3×3, 1×1 and ReLU).",
    )
    tanh: bool = Field(True, description="Bound the output by tanh.")
    bicubic_skip: bool = Field(
        False,
        description="Predict the difference between HR and LR↑ (bicubic). The paper predicts HR "
        "itself.",
    )
    batch_size: int = Field(
        16, ge=1, le=4096, description="Take so many pairs in a batch, over all devices."
    )
    patch_px: int = Field(
        96,
        ge=16,
        le=4096,
        multiple_of=4,
        description="Cut HR patches of this side, px (96: LR 24).",
    )
    augment: bool = Field(
        True, description="Flip pairs and turn them by multiples of 90° at random."
    )

    def sizes(self) -> dict[str, Any]:
        """Return the network's sizes."""
        names = {"channels", "blocks", "architecture", "tanh", "bicubic_skip"}
        return self.model_dump(include=names)


@recipe("srresnet")
class SrresnetRecipe(ResNetOptions, Recipe):
    """`train.srresnet`: SRResNet, which takes no references (Ledig et al., CVPR 2017)."""

    steps: Steps = Field(1_000_000, description="Train for so many steps.")

    @model_validator(mode="after")
    def _sizes(self) -> "SrresnetRecipe":
        check_memory(self, self.channels, self.blocks)
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `srresnet` and its sizes."""
        return "srresnet", self.sizes()

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return its one phase."""
        objective = Objective((reconstruction("mse"),))
        return (Phase(RECONSTRUCTION, self.steps, "lr", objective),)


@recipe("srgan")
class SrganRecipe(ResNetOptions, AdversarialOptions, Recipe):
    """`train.srgan`: SRGAN, SRResNet against a critic (Ledig et al., CVPR 2017).

    The implementation that SRNTT names has other weights: reconstruction_weight 1, and
    perceptual_weight 2e-6 on perceptual_layer pool4.
    """

    headings: ClassVar[Headings] = {LOSSES: ("perceptual_layer", "perceptual_weight")}
    counted = (*Recipe.counted, "pretraining_steps")

    perceptual_layer: Layer = Field(
        "relu5_4",
        description="Compare this layer of VGG19 in the perceptual loss; the encoder's weights "
        "must reach it.",
    )
    perceptual_weight: Weight = Field(
        0.006,
        description="Weigh the perceptual loss by this: the mean squared difference of maps at "
        "the scale of Caffe's.",
    )
    adversarial_weight: Weight = Field(1e-3, description="Weigh the adversarial loss by this.")
    critic_channels: int = Field(
        64,
        ge=1,
        le=256,
        description="Set the channels of the critic's first convolution; they double three times.",
    )
    pretraining_steps: Steps = Field(
        1_000_000,
        description="Train for so many steps on the mean squared error alone, before `steps` on "
        "all losses; none with --content.",
    )
    steps: Steps = Field(200_000, description="Train for so many steps on all losses.")
    rate_schedule: RateSchedule = Field(
        "drops",
        description="Choose how the learning rate changes; the paper drops it in the last half.",
    )
    rate_drops: tuple[Share, ...] = Field(
        (11 / 12,),
        description="With `drops`: set after which shares of all steps the rate drops (11/12: "
        "after 1.1 million steps).",
    )

    @model_validator(mode="after")
    def _sizes(self) -> "SrganRecipe":
        check_memory(self, self.channels, self.blocks)
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `srgan` and its sizes."""
        return "srgan", self.sizes()

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return the phases on the squared error and on all losses; `started`: the second alone."""
        form = {"form": "released"}
        perceptual = Loss("perceptual", self.perceptual_weight, (self.perceptual_layer,), form)
        return self.adversarial_phases(
            (perceptual,), self.steps, stages=_STAGES, batch_norm=True, started=started
        )

    def start(self) -> Start:
        """Return that the network may be a trained `srresnet`."""
        return Start("srresnet", "content", self.sizes())
