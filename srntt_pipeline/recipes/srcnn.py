"""SRCNN: the mean squared error of luma, SGD, no augmentation (Dong et al., PAMI 2016)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from srntt_pipeline.recipes.recipe import (
    RECONSTRUCTION,
    Objective,
    Phase,
    WithMomentum,
    check_memory,
    recipe,
    reconstruction,
)
from srntt_pipeline.sections import Steps

Kernel = Annotated[int, Field(ge=1, le=15)]
Channels = Annotated[int, Field(ge=1, le=1024)]


@recipe("srcnn")
class SrcnnRecipe(WithMomentum):
    """`train.srcnn`: SRCNN on luma, which takes no references (Dong et al., PAMI 2016).

    The paper makes 8e8 patches' steps, of 33×33 px; ours are of multiples of 4.
    """

    slower: ClassVar[Mapping[str, float]] = {"bias": 0.1, "layers.4.weight": 0.1}

    kernels: tuple[Kernel, Kernel, Kernel] = Field(
        (9, 5, 5),
        description="Set the kernels of the three convolutions; the paper has 9-3-5 and 9-1-5 too.",
    )
    channels: tuple[Channels, Channels] = Field(
        (64, 32), description="Set the channels after the first and the second convolution."
    )
    bicubic_skip: bool = Field(
        False,
        description="Predict the difference between HR and LR↑ (bicubic). The paper predicts HR "
        "itself.",
    )
    steps: Steps = Field(6_250_000, description="Train for so many steps.")
    batch_size: int = Field(
        128, ge=1, le=4096, description="Take so many pairs in a batch, over all devices."
    )
    patch_px: int = Field(
        32, ge=16, le=4096, multiple_of=4, description="Cut HR patches of this side, px."
    )

    @model_validator(mode="after")
    def _sizes(self) -> "SrcnnRecipe":
        check_memory(self, max(self.channels), 1)
        if not all(kernel % 2 for kernel in self.kernels):
            raise ValueError(f"kernels {self.kernels} are not odd")
        if self._valid_px < 1:
            raise ValueError(
                f"patch_px {self.patch_px}: of kernels {self.kernels} nothing is left within "
                f"{self._border_px} px of border; take a larger patch"
            )
        return self

    @property
    def _border_px(self) -> int:
        """How far SR depends on what lies beyond a patch: there it is not compared."""
        return sum(kernel // 2 for kernel in self.kernels)

    @property
    def _valid_px(self) -> int:
        return self.patch_px - 2 * self._border_px

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return `srcnn` and its sizes."""
        return "srcnn", self.model_dump(include={"kernels", "channels", "bicubic_skip"})

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return its one phase.

        The weight makes half the sum over a patch of squares in [0, 1], for which the paper's rate
        is; ours are means in [-1, 1].
        """
        weight = self._valid_px**2 / 8
        loss = reconstruction("mse", weight, channel="luma", border=self._border_px)
        return (Phase(RECONSTRUCTION, self.steps, "lr", Objective((loss,))),)
