"""LapSRN: Charbonnier's loss of luma at ×2 and ×4, SGD, scaled, turned and flipped patches."""

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

_EPSILON = 1e-3  # of Charbonnier's loss, for values in [0, 1]


@recipe("lapsrn")
class LapsrnRecipe(WithMomentum):
    """`train.lapsrn`: LapSRN on luma, which takes no references (Lai et al., CVPR 2017).

    The paper counts an epoch as 1,000 steps, and halves the rate every 50 of them.
    """

    headings: ClassVar[Headings] = {STEPS: ("smallest",)}

    channels: int = Field(64, ge=2, le=1024, description="Set the channels of all feature maps.")
    blocks: int = Field(
        10, ge=0, le=256, description="Set the number of convolutions of each of the two levels."
    )
    steps: Steps = Field(200_000, description="Train for so many steps.")
    batch_size: int = Field(
        64, ge=1, le=4096, description="Take so many pairs in a batch, over all devices."
    )
    patch_px: int = Field(
        128, ge=16, le=4096, multiple_of=4, description="Cut HR patches of this side, px."
    )
    augment: bool = Field(
        True, description="Flip pairs and turn them by multiples of 90° at random."
    )
    smallest: float = Field(
        0.5, gt=0, le=1,
        description="Shrink HR by a random factor between this and 1 before a patch is cut, but "
        "not below a patch.",
    )  # fmt: skip
    learning_rate: float = Field(
        1e-5,
        gt=0,
        le=1,
        description="Set the learning rate; with `sgd` it multiplies the gradient.",
    )
    rate_schedule: RateSchedule = Field(
        "drops",
        description="Choose how the learning rate changes; the paper halves it down to 1e-6.",
    )
    rate_drops: tuple[Share, ...] = Field(
        (0.25, 0.5, 0.75),
        description="With `drops`: set after which shares of all steps the rate drops.",
    )
    rate_drop: float = Field(
        0.5, gt=0, lt=1, description="With `drops`: multiply the rate by this at each drop."
    )
    weight_decay: float = Field(
        1e-4, ge=0, le=1,
        description="Add this times half the squared norm of the weights to the loss (weight "
        "decay); 0: off.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _sizes(self) -> "LapsrnRecipe":
        check_memory(self, self.channels, self.blocks)
        return self

    def least_scale(self) -> float:
        """Return how small HR is made at most."""
        return self.smallest

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `lapsrn` and its sizes."""
        return "lapsrn", self.model_dump(include={"channels", "blocks"})

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return its one phase.

        The paper sums over pixels (Eq. 2), so ×2 has a quarter of the weight; ours are means.
        """
        options = {"channel": "luma", "epsilon": _EPSILON, "levels": {"x2": 0.25}}
        loss = Loss("charbonnier", self.patch_px**2, options=options)
        return (Phase(RECONSTRUCTION, self.steps, "lr", Objective((loss,)), forward="several"),)
