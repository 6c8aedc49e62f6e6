"""What recipes with a standard critic have in common: squared error first, then all losses."""

from typing import ClassVar, Literal

from pydantic import Field

from srntt_pipeline.recipes.recipe import (
    LOSSES,
    RECONSTRUCTION,
    STEPS,
    CriticPlan,
    Loss,
    Objective,
    Phase,
    Weight,
    reconstruction,
)
from srntt_pipeline.sections import Headings, Section, Steps

ADVERSARIAL = "adversarial"

# Layers of VGG19 that a perceptual loss may compare; `maps.INDEX` has where they are.
Layer = Literal[
    "relu1_1", "relu2_1", "pool2", "relu3_1", "relu4_1", "pool4", "relu5_1", "relu5_4", "pool5"
]


class AdversarialOptions(Section):
    """Options of a network that is trained against a critic which tells it from HR."""

    headings: ClassVar[Headings] = {
        LOSSES: (
            "encoder_weights",
            "reconstruction_weight",
            "adversarial_weight",
            "critic_channels",
            "critic_steps",
        ),
        STEPS: ("pretraining_steps",),
    }

    pretraining_steps: Steps = Field(
        0,
        description="Train for so many steps on the mean squared error alone, before `steps` on "
        "all losses.",
    )
    encoder_weights: str = Field(
        "imagenet",
        min_length=1,
        description="Compare maps of this VGG19: `imagenet`, `random`, or a file of its weights, "
        "as for swaps.encoder_weights.",
    )
    reconstruction_weight: Weight = Field(0, description="Weigh the mean squared error by this.")
    adversarial_weight: Weight = Field(1e-3, description="Weigh the adversarial loss by this.")
    critic_channels: int = Field(
        64,
        ge=1,
        le=256,
        description="Channels of the critic's first convolution, doubled stage by stage.",
    )
    critic_steps: int = Field(
        1,
        ge=1,
        le=1000,
        description="Train the critic for so many steps in each step of the network.",
    )

    def loss_encoder(self) -> str | None:
        """Return which VGG19 the losses compare maps of."""
        return self.encoder_weights

    def adversarial_phases(
        self, others: tuple[Loss, ...], steps: int, *, stages: int, batch_norm: bool, started: bool
    ) -> tuple[Phase, ...]:
        """Return the phases: on the squared error, if there is one, and on all losses.

        `others`: losses beside these; those of weight 0 are left out. `stages`, `batch_norm`: of
        the critic. `started`: from a checkpoint, so without the first phase.
        """
        plan = CriticPlan(
            self.critic_channels,
            self.critic_steps,
            kind="standard",
            stages=stages,
            batch_norm=batch_norm,
        )
        losses = (
            reconstruction("mse", self.reconstruction_weight),
            *others,
            Loss(ADVERSARIAL, self.adversarial_weight),
        )
        before = 0 if started else self.pretraining_steps
        alone = Objective((reconstruction("mse"),))
        full = Objective(
            tuple(loss for loss in losses if loss.weight),
            plan if self.adversarial_weight else None,
        )
        last = Phase(ADVERSARIAL, before + steps, "lr", full)
        return (Phase(RECONSTRUCTION, before, "lr", alone), last) if before else (last,)
