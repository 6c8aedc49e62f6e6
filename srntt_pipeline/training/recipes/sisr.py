"""SISR: SRNTT's content extractor alone, with a tail of its own (paper section 3.2)."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from srntt_pipeline.sections import Section
from srntt_pipeline.training.recipes.recipe import (
    Objective,
    Phase,
    Recipe,
    check_memory,
    recipe,
    reconstruction,
)

SISR, WARMUP = "sisr", "SISR warm-up"

Blocks = Annotated[int, Field(ge=0, le=256)]


class ContentOptions(Section):
    """Options of the content extractor, alone and as a part of SRNTT."""

    bicubic_skip: bool = Field(
        False, description="Predict what LR↑ (bicubic) lacks, not the image itself as the paper."
    )
    batch_norm: bool = Field(
        False, description="Batch norm in each residual block, as in the paper's released code."
    )


@recipe(SISR)
class SisrRecipe(ContentOptions, Recipe):
    """`train.sisr`: the content extractor alone, to upscale LR and Ref↓ before they are matched."""

    channels: int = Field(64, ge=2, le=1024, description="Channels of the residual blocks.")
    blocks: Blocks = Field(16, description="Residual blocks.")
    reconstruction: Literal["l1", "mse"] = Field("l1", description="Reconstruction loss.")

    @model_validator(mode="after")
    def _sizes(self) -> "SisrRecipe":
        check_memory(self, self.channels, self.blocks)
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `sisr` and its sizes."""
        return SISR, self.model_dump(include={"channels", "blocks", "bicubic_skip", "batch_norm"})

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return its one phase, which is SRNTT's first too."""
        return (Phase(WARMUP, self.steps, "lr", Objective((reconstruction(self.reconstruction),))),)
