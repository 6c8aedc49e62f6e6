"""DRCN: the squared error of luma, of each depth's image and of their mean (CVPR 2016, Eq. 11)."""

from typing import Any, ClassVar

from pydantic import Field, model_validator

from srntt_pipeline.recipes.recipe import (
    RECONSTRUCTION,
    STEPS,
    Loss,
    Objective,
    Phase,
    RateSchedule,
    Share,
    WithMomentum,
    check_memory,
    recipe,
)
from srntt_pipeline.sections import Headings, Steps


@recipe("drcn")
class DrcnRecipe(WithMomentum):
    """`train.drcn`: DRCN on luma, which takes no references (Kim et al., CVPR 2016).

    The paper drops the rate where validation no longer gains; ours at shares of all steps.
    """

    headings: ClassVar[Headings] = {STEPS: ("fading_steps",)}
    counted = (*WithMomentum.counted, "fading_steps")

    channels: int = Field(256, ge=1, le=1024, description="Set the channels of all feature maps.")
    depth: int = Field(
        16, ge=1, le=256, description="Apply the recursive convolution so many times."
    )
    fading_steps: Steps = Field(
        50_000,
        description="Shift the loss from the images of the single depths to their mean over so "
        "many steps; the paper does not say how many.",
    )
    steps: Steps = Field(200_000, description="Train for so many steps.")
    batch_size: int = Field(
        64, ge=1, le=4096, description="Take so many pairs in a batch, over all devices."
    )
    patch_px: int = Field(
        40,
        ge=16,
        le=4096,
        multiple_of=4,
        description="Cut HR patches of this side, px (the paper: 41).",
    )
    learning_rate: float = Field(
        0.01,
        gt=0,
        le=1,
        description="Set the learning rate; with `sgd` it multiplies the gradient.",
    )
    rate_schedule: RateSchedule = Field(
        "drops", description="Choose how the learning rate changes."
    )
    rate_drops: tuple[Share, ...] = Field(
        (0.4, 0.6, 0.8),
        description="With `drops`: set after which shares of all steps the rate drops.",
    )
    weight_decay: float = Field(
        2e-4,
        ge=0,
        le=1,
        description="Add this times half the squared norm of the weights to the loss (weight "
        "decay); 0: off.",
    )

    @model_validator(mode="after")
    def _sizes(self) -> "DrcnRecipe":
        check_memory(self, self.channels, 3)
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `drcn` and its sizes."""
        return "drcn", self.model_dump(include={"channels", "depth"})

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return its one phase. The paper halves squared norms over patches; ours are means."""
        loss = Loss("recursive", self.patch_px**2 / 2, options={"fading_steps": self.fading_steps})
        return (Phase(RECONSTRUCTION, self.steps, "lr", Objective((loss,)), forward="several"),)
