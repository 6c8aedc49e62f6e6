"""SRNTT and its variants (paper sections 3.2–3.4): warm-up, reconstruction, texture transfer."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from srntt_pipeline.errors import InputError
from srntt_pipeline.recipes.recipe import (
    LOSSES,
    RECONSTRUCTION,
    STEPS,
    CriticPlan,
    Loss,
    Objective,
    Phase,
    Recipe,
    Start,
    WantedSwaps,
    Weight,
    check_memory,
    recipe,
    reconstruction,
)
from srntt_pipeline.recipes.sisr import (
    SISR,
    WARMUP,
    Blocks,
    ContentOptions,
)
from srntt_pipeline.sections import Headings, Steps
from srntt_pipeline.variants import VARIANTS, Variant, VariantName

TRANSFER = "texture transfer"
_OF_VARIANT = (
    "reconstruction",
    "perceptual_weight",
    "texture_weight",
    "adversarial_weight",
    "truth_share",
)


@recipe("srntt")
class SrnttRecipe(ContentOptions, Recipe):
    """`train.srntt`: SRNTT, by its variant, sizes, losses and schedule (paper 3.2–3.4)."""

    headings: ClassVar[Headings] = {
        LOSSES: (
            "loss_form",
            "reconstruction",
            "reconstruction_weight",
            "perceptual_weight",
            "perceptual_layer",
            "texture_weight",
            "adversarial_weight",
            "critic_channels",
            "critic_steps",
            "gradient_penalty",
        ),
        STEPS: ("warmup_steps", "reconstruction_steps", "freeze_content", "truth_share"),
    }
    before: ClassVar[Mapping[str, Any]] = {"loss_form": "paper", "truth_share": 0, "gate": False}
    counted = (*Recipe.counted, "warmup_steps", "reconstruction_steps")

    variant: VariantName = Field(
        "srntt-l2",
        description="Train this SRNTT of the paper's tables. It sets the layers that transfer "
        "texture, the swaps that are needed, and the losses that are not set here.",
    )
    channels: int = Field(64, ge=2, le=1024, description="Set the channels of the residual blocks.")
    blocks: tuple[Blocks, Blocks, Blocks, Blocks] = Field(
        (16, 16, 8, 4),
        description="Set the number of residual blocks of the content extractor and of the "
        "texture transfer at relu3_1, relu2_1, relu1_1 (defaults: the released code's).",
    )
    weight_maps: bool = Field(
        False, description="Multiply swapped maps by the weight map S* before transfer."
    )
    gate: bool | None = Field(
        None,
        description="Multiply swapped maps by sigmoid(a·S* + b) instead, with a and b learnt, as "
        "the released code can; default: on unless `weight_maps` is.",
    )
    warmup_steps: Steps = Field(
        3058,
        description="Train the content extractor alone, as SISR, for so many steps first (3058: 2 "
        "epochs of 13,761 pairs by 9); none with --content.",
    )
    reconstruction_steps: Steps = Field(
        3058,
        description="Train for so many steps with swapped maps on the reconstruction loss alone, "
        "before `steps` on all losses (3058: the paper's 2 epochs).",
    )
    steps: Steps = Field(
        30580,
        description="Train for so many steps on all losses (30580: 20 epochs of 13,761 pairs by "
        "9).",
    )
    freeze_content: bool = Field(
        False,
        description="Train the texture transfer alone after the warm-up, as the released code "
        "does; the content extractor no longer changes.",
    )
    truth_share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="Use maps of HR itself, and a weight map of 1, in this share of the steps "
        "with swapped maps; default: the variant's (0.5 as the released code, 0 with LR as "
        "reference; the paper: 0).",
    )
    loss_form: Literal["paper", "released"] = Field(
        "released",
        description="Compute perceptual and texture loss as the `paper` prints them, or as its "
        "`released` code does: squares, of maps at the scale of Caffe's (docs/training.md).",
    )
    reconstruction: Literal["l1", "mse"] | None = Field(
        None,
        description="Choose the reconstruction loss; default: the variant's (l1, with `-l2`: mse).",
    )
    reconstruction_weight: Weight = Field(1.0, description="Weigh the reconstruction loss by this.")
    perceptual_weight: Weight | None = Field(
        None, description="Weigh the perceptual loss by this; default: the variant's (1e-4 or 0)."
    )
    perceptual_layer: Literal["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"] = Field(
        "relu5_1",
        description="Compare this layer of VGG19 in the perceptual loss; the encoder's weights "
        "must reach it.",
    )
    texture_weight: Weight | None = Field(
        None, description="Weigh the texture loss by this; default: the variant's (1e-4 or 0)."
    )
    adversarial_weight: Weight | None = Field(
        None, description="Weigh the adversarial loss by this; default: the variant's (1e-6 or 0)."
    )
    critic_channels: int = Field(
        32,
        ge=1,
        le=256,
        description="Set the channels of the critic's first convolution; they double four times.",
    )
    critic_steps: int = Field(
        1,
        ge=1,
        le=1000,
        description="Train the critic for so many steps in each step of the network.",
    )
    gradient_penalty: Weight = Field(10.0, description="Weigh WGAN-GP's gradient penalty by this.")

    @model_validator(mode="after")
    def _sizes(self) -> "SrnttRecipe":
        if self.gate and self.weight_maps:
            raise ValueError("gate and weight_maps are two ways to weigh swapped maps; set one")
        check_memory(self, self.channels, sum(self.blocks))
        return self

    @property
    def defaults(self) -> Variant:
        """The variant, whose values hold where none are set here."""
        return VARIANTS[self.variant]

    def resolved(self) -> "SrnttRecipe":
        """Return this with the variant's losses and weights, where none are set here."""
        open_ = [key for key in _OF_VARIANT if getattr(self, key) is None]
        values = {key: getattr(self.defaults, key) for key in open_}
        if self.gate is None:
            values["gate"] = not self.weight_maps
        return self.model_validate({**self.model_dump(), **values})

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return the variant's name and its sizes."""
        names = {"channels", "blocks", "bicubic_skip", "weight_maps", "gate", "batch_norm"}
        chosen = self.resolved().model_dump(include={*names, "architecture"})
        return self.variant, {**chosen, "layers": self.defaults.layers}

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return the paper's three phases; `started`: without the warm-up."""
        objective = self._objective()
        # The reconstruction loss alone needs no weighing against others.
        alone = Objective((reconstruction(str(self.resolved().reconstruction)),))
        warm = 0 if started else self.warmup_steps
        if self.freeze_content and not (warm or started):
            raise InputError(
                "freeze_content: the content extractor would stay as it was drawn; set "
                "warmup_steps, or start from one with --content"
            )
        before = warm + self.reconstruction_steps
        of_maps: dict[str, Any] = {
            "frozen": ("content",) if self.freeze_content else (),
            "truth_share": self.resolved().truth_share,
        }
        return (
            Phase(WARMUP, warm, "lr", alone, forward="sisr"),
            Phase(RECONSTRUCTION, before, "maps", alone, **of_maps),
            Phase(TRANSFER, before + self.steps, "maps", objective, **of_maps),
        )

    def _objective(self) -> Objective:
        """Return the objective on all losses (section 3.3); a weight of 0 leaves a loss out."""
        params = self.resolved()
        form = {"form": self.loss_form}
        others = (
            Loss("perceptual", params.perceptual_weight or 0, (params.perceptual_layer,), form),
            Loss("texture", params.texture_weight or 0, self.defaults.layers, form),
            Loss("adversarial", params.adversarial_weight or 0),
        )
        kept = tuple(loss for loss in others if loss.weight)
        critic = CriticPlan(self.critic_channels, self.critic_steps, self.gradient_penalty)
        return Objective(
            (reconstruction(str(params.reconstruction), self.reconstruction_weight), *kept),
            critic if params.adversarial_weight else None,
        )

    def swaps(self) -> WantedSwaps:
        """Return the swaps of the variant."""
        matching: Literal["patches", "flow"] = "flow" if self.defaults.flow else "patches"
        return WantedSwaps(matching, self.defaults.references, self.variant)

    def start(self) -> Start:
        """Return that the content extractor may be that of a trained `sisr`."""
        sizes = {
            "channels": self.channels,
            "blocks": self.blocks[0],
            "batch_norm": self.batch_norm,
            "architecture": self.architecture,
        }
        return Start(SISR, "content", sizes)
