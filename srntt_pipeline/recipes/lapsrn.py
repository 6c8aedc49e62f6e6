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

    channels: int = Field(64, ge=2, le=1024, description="Channels of all features.")
    blocks: int = Field(10, ge=0, le=256, description="Convolutions of each of the two levels.")
    steps: Steps = Field(200_000, description="Steps.")
    batch_size: int = Field(64, ge=1, le=4096, description="Pairs in a batch, over all devices.")
    patch_px: int = Field(128, ge=16, le=4096, multiple_of=4, description="HR patch of a pair, px.")
    augment: bool = Field(True, description="Flip and turn (by 90°) pairs at random.")
    smallest: float = Field(
        0.5, gt=0, le=1,
        description="Make HR smaller at random before a patch is cut, by a factor between this "
        "and 1; never smaller than a patch.",
    )  # fmt: skip
    learning_rate: float = Field(
        1e-5, gt=0, le=1, description="Learning rate, of `sgd` by the gradient as it is."
    )
    rate_schedule: RateSchedule = Field(
        "drops", description="How the learning rate goes on; the paper halves it, down to 1e-6."
    )
    rate_drops: tuple[Share, ...] = Field(
        (0.25, 0.5, 0.75), description="With `drops`, after which shares of all steps it drops."
    )
    rate_drop: float = Field(
        0.5, gt=0, lt=1, description="What the rate is multiplied by at each drop."
    )
    weight_decay: float = Field(
        1e-4, ge=0, le=1,
        description="Weight decay: this times half the squared norm of the weights.",
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
