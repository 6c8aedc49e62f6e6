"""EDSR-baseline: ℓ1, Adam, patches turned and flipped (Lim et al., CVPRW 2017, section 4)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from srntt_pipeline.recipes.recipe import (
    RECONSTRUCTION,
    Objective,
    Phase,
    RateSchedule,
    Recipe,
    Share,
    check_memory,
    recipe,
    reconstruction,
)
from srntt_pipeline.sections import Steps


@recipe("edsr")
class EdsrRecipe(Recipe):
    """`train.edsr`: EDSR-baseline, which takes no references (Lim et al., CVPRW 2017)."""

    before: ClassVar[Mapping[str, Any]] = {"rate_schedule": "constant"}

    channels: int = Field(64, ge=2, le=1024, description="Set the channels of the residual blocks.")
    blocks: int = Field(16, ge=0, le=256, description="Set the number of residual blocks.")
    res_scale: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Multiply the residual of each block by this (large EDSR: 0.1).",
    )
    steps: Steps = Field(300_000, description="Train for so many steps.")
    batch_size: int = Field(
        16, ge=1, le=4096, description="Take so many pairs in a batch, over all devices."
    )
    patch_px: int = Field(
        192,
        ge=16,
        le=4096,
        multiple_of=4,
        description="Cut HR patches of this side, px (192: LR 48).",
    )
    rate_schedule: RateSchedule = Field(
        "drops",
        description="Choose how the learning rate changes; the paper halves it after 200,000 "
        "steps.",
    )
    rate_drops: tuple[Share, ...] = Field(
        (2 / 3,), description="With `drops`: set after which shares of all steps the rate drops."
    )
    rate_drop: float = Field(
        0.5, gt=0, lt=1, description="With `drops`: multiply the rate by this at each drop."
    )
    augment: bool = Field(
        True, description="Flip pairs and turn them by multiples of 90° at random."
    )

    @model_validator(mode="after")
    def _sizes(self) -> "EdsrRecipe":
        check_memory(self, self.channels, self.blocks)
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `edsr` and its sizes."""
        return "edsr", self.model_dump(include={"channels", "blocks", "res_scale"})

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return its one phase."""
        return (Phase(RECONSTRUCTION, self.steps, "lr", Objective((reconstruction("l1"),))),)
