"""CrossNet: Charbonnier's loss or the squared error, Adam with weight decay (ECCV 2018, section 4).

How many steps there are is our choice, and so is Charbonnier's ε.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from srntt_pipeline.recipes.recipe import (
    LOSSES,
    OPTIMISER,
    RECONSTRUCTION,
    Loss,
    Objective,
    OptimiserPlan,
    Phase,
    RateSchedule,
    RawReferences,
    Share,
    Start,
    check_memory,
    recipe,
    reconstruction,
)
from srntt_pipeline.sections import Headings, Steps

_EPSILON = 1e-3  # of Charbonnier's loss, for values in [0, 1]


@recipe("crossnet")
class CrossnetRecipe(RawReferences):
    """`train.crossnet`: CrossNet, on one raw reference (Zheng et al., ECCV 2018).

    --content names the checkpoint that makes its SISR image; bicubic makes it without one.
    """

    headings: ClassVar[Headings] = {LOSSES: ("loss",), OPTIMISER: ("weight_decay",)}

    channels: int = Field(64, ge=2, le=1024, description="Set the channels of encoder and decoder.")
    flow_channels: int = Field(
        64,
        ge=4,
        le=128,
        description="Set the channels of the flow network's first convolution; the deepest have "
        "16 times as many.",
    )
    sisr_skip: bool = Field(
        False,
        description="Predict the difference between HR and the SISR image. The paper predicts HR "
        "itself.",
    )
    loss: Literal["charbonnier", "mse"] = Field(
        "charbonnier", description="Minimise Charbonnier's loss, or the mean squared error."
    )
    steps: Steps = Field(200_000, description="Train for so many steps.")
    batch_size: int = Field(
        8, ge=1, le=4096, description="Take so many pairs in a batch, over all devices."
    )
    patch_px: int = Field(
        128,
        ge=16,
        le=4096,
        multiple_of=4,
        description="Cut HR patches of this side, px; a side that is not a multiple of 64 is "
        "padded to one.",
    )
    augment: bool = Field(
        True, description="Flip pairs and turn them by multiples of 90° at random."
    )
    rate_schedule: RateSchedule = Field(
        "drops",
        description="Choose how the learning rate changes; the authors' code drops it to 0.2 of "
        "itself.",
    )
    rate_drops: tuple[Share, ...] = Field(
        (0.75,),
        description="With `drops`: set after which shares of all steps the rate drops (0.75: "
        "150,000 steps).",
    )
    rate_drop: float = Field(
        0.2, gt=0, lt=1, description="With `drops`: multiply the rate by this at each drop."
    )
    weight_decay: float = Field(
        5e-5, ge=0, le=1,
        description="Add this times half the squared norm of the weights to the loss (weight "
        "decay); 0: off.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _sizes(self) -> "CrossnetRecipe":
        check_memory(self, self.channels, 1)
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `crossnet` and its sizes."""
        return "crossnet", self.model_dump(include={"channels", "flow_channels", "sisr_skip"})

    def optimiser_plan(self) -> OptimiserPlan:
        """Return Adam with weight decay."""
        return OptimiserPlan(weight_decay=self.weight_decay)

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return its one phase."""
        loss = reconstruction("mse")
        if self.loss == "charbonnier":
            loss = Loss("charbonnier", options={"epsilon": _EPSILON, "levels": {}})
        return (Phase(RECONSTRUCTION, self.steps, "images", Objective((loss,))),)

    def start(self) -> Start:
        """Return that its front end may be any network on LR alone."""
        return Start("", "front", {})
