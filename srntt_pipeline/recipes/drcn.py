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

    channels: int = Field(256, ge=1, le=1024, description="Channels of all features.")
    depth: int = Field(
        16, ge=1, le=256, description="How often the one convolution is applied to features."
    )
    fading_steps: Steps = Field(
        50_000,
        description="Steps in which the weight of the single depths' errors falls from 1 to 0, and "
        "that of the mean's rises; the paper does not tell how many.",
    )
    steps: Steps = Field(200_000, description="Steps.")
    batch_size: int = Field(64, ge=1, le=4096, description="Pairs in a batch, over all devices.")
    patch_px: int = Field(
        40, ge=16, le=4096, multiple_of=4, description="HR patch of a pair, px (the paper: 41)."
    )
    learning_rate: float = Field(
        0.01, gt=0, le=1, description="Learning rate, of `sgd` by the gradient as it is."
    )
    rate_schedule: RateSchedule = Field("drops", description="How the learning rate goes on.")
    rate_drops: tuple[Share, ...] = Field(
        (0.4, 0.6, 0.8), description="With `drops`, after which shares of all steps it drops."
    )
    weight_decay: float = Field(
        2e-4,
        ge=0,
        le=1,
        description="Weight decay: this times half the squared norm of the weights.",
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
