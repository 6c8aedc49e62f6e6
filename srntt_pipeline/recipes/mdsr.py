"""MDSR: ℓ1, Adam, a scale of ×2, ×3 and ×4 drawn for each batch (CVPRW 2017, section 4)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from srntt_pipeline.recipes.recipe import (
    RECONSTRUCTION,
    STEPS,
    Objective,
    Phase,
    RateSchedule,
    Recipe,
    Share,
    check_memory,
    recipe,
    reconstruction,
)
from srntt_pipeline.sections import Headings, Steps

Scale = Annotated[int, Field(ge=2, le=4)]


@recipe("mdsr")
class MdsrRecipe(Recipe):
    """`train.mdsr`: MDSR, which takes no references (Lim et al., CVPRW 2017)."""

    headings: ClassVar[Headings] = {STEPS: ("scales",)}

    channels: int = Field(64, ge=2, le=1024, description="Set the channels of the residual blocks.")
    blocks: int = Field(
        80,
        ge=0,
        le=256,
        description="Set the number of residual blocks (the paper's baseline: 16).",
    )
    res_scale: float = Field(
        1.0, gt=0, le=1, description="Multiply the residual of each block by this."
    )
    scales: tuple[Scale, ...] = Field(
        (2, 3, 4),
        description="Train these scales, one drawn for each batch; the network has parts for "
        "each. 4 must be one of them.",
    )
    steps: Steps = Field(1_000_000, description="Train for so many steps.")
    batch_size: int = Field(
        16, ge=1, le=4096, description="Take so many pairs in a batch, over all devices."
    )
    patch_px: int = Field(
        192,
        ge=16,
        le=4096,
        multiple_of=4,
        description="Cut HR patches of this side at ×4, px (192: LR 48). LR patches are as large "
        "at ×2 and ×3.",
    )
    rate_schedule: RateSchedule = Field(
        "drops", description="Choose how the learning rate changes; the paper halves it four times."
    )
    rate_drops: tuple[Share, ...] = Field(
        (0.2, 0.4, 0.6, 0.8),
        description="With `drops`: set after which shares of all steps the rate drops.",
    )
    rate_drop: float = Field(
        0.5, gt=0, lt=1, description="With `drops`: multiply the rate by this at each drop."
    )
    augment: bool = Field(
        True, description="Flip pairs and turn them by multiples of 90° at random."
    )

    @model_validator(mode="after")
    def _sizes(self) -> "MdsrRecipe":
        if 4 not in self.scales or len(set(self.scales)) < len(self.scales):
            raise ValueError("scales: each once, and 4 among them, by which SR is made")
        check_memory(self, self.channels, self.blocks)
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `mdsr` and its sizes."""
        return "mdsr", self.model_dump(include={"channels", "blocks", "res_scale", "scales"})

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return its one phase."""
        objective = Objective((reconstruction("l1"),))
        return (Phase(RECONSTRUCTION, self.steps, "lr", objective, scales=self.scales),)
