"""TTSR: ℓ1, then VGG19's maps, the extractor's own and a critic (CVPR 2020, sections 3.3 and 4.1).

Weights, rates and schedule are those of the authors' code, but for the critic's Adam, whose β1 is 0
there and the network's here.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from srntt_pipeline.recipes.adversarial import ADVERSARIAL, Layer
from srntt_pipeline.recipes.recipe import (
    LOSSES,
    OPTIMISER,
    RECONSTRUCTION,
    STEPS,
    CriticPlan,
    Loss,
    Objective,
    OptimiserPlan,
    Phase,
    RawReferences,
    Recipe,
    Weight,
    check_memory,
    recipe,
    reconstruction,
)
from srntt_pipeline.recipes.sisr import Blocks
from srntt_pipeline.sections import Headings, Steps

_NAMES = {"full": "ttsr", "rec": "ttsr-rec"}
_EXTRACTOR = "extractor.features"  # laid out as VGG19 up to relu3_1
_CONVOLUTIONS, _WEIGHTS = (0, 2, 5, 7, 10), ("weight", "bias")


@recipe("ttsr")
class TtsrRecipe(RawReferences):
    """`train.ttsr`: TTSR or TTSR-rec, on raw references (Yang et al., CVPR 2020)."""

    headings: ClassVar[Headings] = {
        LOSSES: (
            "reconstruction",
            "perceptual_weight",
            "perceptual_layer",
            "transferal_weight",
            "adversarial_weight",
            "critic_channels",
            "critic_steps",
            "gradient_penalty",
        ),
        STEPS: ("pretraining_steps",),
        OPTIMISER: ("extractor_rate",),
    }
    counted = (*Recipe.counted, "pretraining_steps")

    variant: Literal["full", "rec"] = Field(
        "full",
        description="Train on all losses (`full`, the row TTSR), or on the reconstruction loss "
        "alone (`rec`, the row TTSR-rec).",
    )
    channels: int = Field(64, ge=2, le=1024, description="Set the channels of the residual blocks.")
    blocks: tuple[Blocks, Blocks, Blocks, Blocks] = Field(
        (16, 16, 8, 4),
        description="Set the number of residual blocks before the first texture, and of each "
        "scale after the texture at ×1, ×2 and ×4.",
    )
    bicubic_skip: bool = Field(
        False,
        description="Predict the difference between HR and LR↑ (bicubic). The paper predicts HR "
        "itself.",
    )
    encoder_weights: str = Field(
        "imagenet",
        min_length=1,
        description="Start the extractor as this VGG19, and compare its maps in the perceptual "
        "loss: `imagenet`, `random`, or a file of its weights, as for swaps.encoder_weights.",
    )
    extractor_rate: float = Field(
        0.1, gt=0, le=1, description="Multiply the learning rate by this for the extractor."
    )
    pretraining_steps: Steps = Field(
        3058,
        description="With `full`: train for so many steps on the reconstruction loss alone, "
        "before `steps` on all losses (3058: 2 epochs of 13,761 pairs by 9).",
    )
    steps: Steps = Field(
        76450,
        description="Train for so many steps (76450: 50 epochs of 13,761 pairs by 9; the authors "
        "train `rec` for 200 epochs).",
    )
    reconstruction: Literal["l1", "mse"] = Field(
        "l1", description="Choose the reconstruction loss."
    )
    perceptual_weight: Weight = Field(
        1e-2,
        description="Weigh the perceptual loss by this: the mean squared difference of VGG19's "
        "maps.",
    )
    perceptual_layer: Layer = Field(
        "relu5_1",
        description="Compare this layer of VGG19 in the perceptual loss; the encoder's weights "
        "must reach it.",
    )
    transferal_weight: Weight = Field(
        1e-2,
        description="Weigh the transferal loss by this: the mean squared difference of the "
        "extractor's maps of SR and the transferred texture, mean over three layers.",
    )
    adversarial_weight: Weight = Field(1e-3, description="Weigh the adversarial loss by this.")
    critic_channels: int = Field(
        32, ge=1, le=256,
        description="Set the channels of the critic's first convolution; they double four times.",
    )  # fmt: skip
    critic_steps: int = Field(
        2,
        ge=1,
        le=1000,
        description="Train the critic for so many steps in each step of the network.",
    )
    gradient_penalty: Weight = Field(10.0, description="Weigh WGAN-GP's gradient penalty by this.")
    references: Literal["whole", "cut", "pad"] = Field(
        "pad",
        description="Choose what a batch holds of each reference: the `whole` image (all "
        "references are then of one size); the box of HR's patch (`cut`); or a square of "
        "`reference_px`, cut or padded with zeros (`pad`).",
    )
    augment: bool = Field(
        True, description="Flip pairs and turn them by multiples of 90° at random."
    )

    @model_validator(mode="after")
    def _sizes(self) -> "TtsrRecipe":
        check_memory(self, self.channels, sum(self.blocks))
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `ttsr`, or `ttsr-rec`, and its sizes."""
        sizes = self.model_dump(include={"channels", "blocks", "bicubic_skip"})
        return _NAMES[self.variant], sizes

    def optimiser_plan(self) -> OptimiserPlan:
        """Return Adam, slower for the extractor."""
        names = [f"{_EXTRACTOR}.{layer}.{kind}" for layer in _CONVOLUTIONS for kind in _WEIGHTS]
        return OptimiserPlan(rates=dict.fromkeys(names, self.extractor_rate))

    def vgg19_part(self) -> str:
        """Return that the extractor begins as VGG19."""
        return _EXTRACTOR

    def loss_encoder(self) -> str:
        """Return which VGG19 the extractor begins as, and the losses compare maps of."""
        return self.encoder_weights

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return the phases on the reconstruction loss, and with `full` on all losses."""
        alone = Objective((reconstruction(self.reconstruction),))
        if self.variant == "rec":
            return (Phase(RECONSTRUCTION, self.steps, "images", alone),)
        before = self.pretraining_steps
        others = (
            Loss("perceptual", self.perceptual_weight, (self.perceptual_layer,), {"form": "mse"}),
            Loss("transferal", self.transferal_weight),
            Loss(ADVERSARIAL, self.adversarial_weight),
        )
        critic = CriticPlan(self.critic_channels, self.critic_steps, self.gradient_penalty)
        full = Objective(
            (*alone.losses, *(loss for loss in others if loss.weight)),
            critic if self.adversarial_weight else None,
        )
        last = Phase(ADVERSARIAL, before + self.steps, "images", full, forward="several")
        return (Phase(RECONSTRUCTION, before, "images", alone), last) if before else (last,)
