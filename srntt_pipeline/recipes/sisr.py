"""SISR: SRNTT's content extractor alone, with a tail of its own (paper section 3.2)."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from srntt_pipeline.recipes.recipe import (
    LOSSES,
    Objective,
    Phase,
    Recipe,
    check_memory,
    recipe,
    reconstruction,
)
from srntt_pipeline.sections import Headings, Section
from srntt_pipeline.variants import Architecture

SISR, WARMUP = "sisr", "SISR warm-up"

Blocks = Annotated[int, Field(ge=0, le=256)]


class ContentOptions(Section):
    """Options of the content extractor, alone and as a part of SRNTT."""

    bicubic_skip: bool = Field(
        False,
        description="Predict the difference between HR and LR↑ (bicubic). The paper predicts HR "
        "itself.",
    )
    batch_norm: bool = Field(
        False, description="Put batch norm into each residual block of the architecture `paper`."
    )
    architecture: Architecture = Field(
        "paper",
        description="Build layers as the `paper` says, or as its `released` code does: batch norm "
        "after every convolution of the residual bodies, the closing one too, no bias before it, "
        "a 1×1 convolution at the end.",
    )

    @model_validator(mode="after")
    def _one_batch_norm(self) -> "ContentOptions":
        if self.batch_norm and self.architecture == "released":
            raise ValueError(
                "architecture released has batch norm of its own: leave batch_norm out"
            )
        return self


@recipe(SISR)
class SisrRecipe(ContentOptions, Recipe):
    """`train.sisr`: the content extractor alone, to upscale LR and Ref↓ before they are matched."""

    headings: ClassVar[Headings] = {LOSSES: ("reconstruction",)}

    channels: int = Field(64, ge=2, le=1024, description="Set the channels of the residual blocks.")
    blocks: Blocks = Field(16, description="Set the number of residual blocks.")
    reconstruction: Literal["l1", "mse"] = Field(
        "l1", description="Choose the reconstruction loss."
    )

    @model_validator(mode="after")
    def _sizes(self) -> "SisrRecipe":
        check_memory(self, self.channels, self.blocks)
        return self

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `sisr` and its sizes."""
        names = {"channels", "blocks", "bicubic_skip", "batch_norm", "architecture"}
        return SISR, self.model_dump(include=names)

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return its one phase, which is SRNTT's first too."""
        return (Phase(WARMUP, self.steps, "lr", Objective((reconstruction(self.reconstruction),))),)
