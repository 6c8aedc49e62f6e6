"""SCN: the mean squared error of luma, end to end (Wang et al., ICCV 2015)."""

from typing import Any

from pydantic import Field, model_validator

from srntt_pipeline.recipes.recipe import (
    RECONSTRUCTION,
    Objective,
    Phase,
    Recipe,
    check_memory,
    recipe,
    reconstruction,
)
from srntt_pipeline.sections import Steps


@recipe("scn")
class ScnRecipe(Recipe):
    """`train.scn`: SCN on luma, which takes no references (Wang et al., ICCV 2015).

    How its authors trained it is not public. All but the loss is chosen here.
    """

    features: int = Field(
        100,
        ge=1,
        le=1024,
        description="Set the number of features of a 9×9 window that codes are made from.",
    )
    codes: int = Field(
        128, ge=1, le=1024, description="Set the number of entries of the sparse code."
    )
    steps: Steps = Field(300_000, description="Train for so many steps.")
    batch_size: int = Field(
        16, ge=1, le=4096, description="Take so many pairs in a batch, over all devices."
    )
    patch_px: int = Field(
        96, ge=16, le=4096, multiple_of=4, description="Cut HR patches of this side, px."
    )
    augment: bool = Field(
        True, description="Flip pairs and turn them by multiples of 90° at random."
    )

    @model_validator(mode="after")
    def _sizes(self) -> "ScnRecipe":
        check_memory(self, max(self.features, self.codes), 1)
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `scn` and its sizes."""
        return "scn", self.model_dump(include={"features", "codes"})

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return its one phase."""
        loss = reconstruction("mse", channel="luma")
        return (Phase(RECONSTRUCTION, self.steps, "lr", Objective((loss,))),)
