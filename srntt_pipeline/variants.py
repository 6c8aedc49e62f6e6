"""The networks of the paper by name: what each transfers, from what, and on which losses it trains.

Table 1 and 2: srntt, srntt-l2, srntt-flow; Table 3: srntt-relu1, srntt-relu2, srntt-relu3,
srntt-relu12; Figure 7: srntt-no-texture. Table 1's SRNTT-ℓ2 (SISR) is srntt-l2 with LR as reference
(`methods.srntt.sisr_of`); srntt-l2-sisr is a network trained so.
"""

from dataclasses import dataclass
from typing import Literal

from srntt_pipeline.maps import LAYERS

VariantName = Literal[
    "srntt",
    "srntt-l2",
    "srntt-l2-sisr",
    "srntt-flow",
    "srntt-relu1",
    "srntt-relu2",
    "srntt-relu3",
    "srntt-relu12",
    "srntt-no-texture",
]
# How layers are built (`models.content.Layout`): as the paper says, or as its released code does.
Architecture = Literal["paper", "released"]


@dataclass(frozen=True)
class Variant:
    """A network and its training, as the paper names them.

    `method`: its name in the paper's tables (manifests/paper_tables.csv); `layers`: where texture
    is transferred; `flow`: swaps by optical flow in place of matching; `references`: `ref`, or `lr`
    where the LR image is its own reference; then what params leave open (paper section 3.4): the
    reconstruction loss and the weights of the others; `truth_share`: of the steps on the maps of HR
    itself, as the released code has them (docs/training.md).
    """

    name: VariantName
    method: str
    layers: tuple[str, ...] = LAYERS
    flow: bool = False
    references: Literal["ref", "lr"] = "ref"
    reconstruction: Literal["l1", "mse"] = "l1"
    perceptual_weight: float = 1e-4
    adversarial_weight: float = 1e-6
    texture_weight: float = 1e-4
    truth_share: float = 0.5


def _l2(name: VariantName, method: str, references: Literal["ref", "lr"] = "ref") -> Variant:
    return Variant(
        name,
        method,
        references=references,
        reconstruction="mse",
        perceptual_weight=0,
        adversarial_weight=0,
        texture_weight=0,
        # LR as reference never has the maps of HR.
        truth_share=0 if references == "lr" else 0.5,
    )


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("srntt", "SRNTT"),
        _l2("srntt-l2", "SRNTT-l2"),
        _l2("srntt-l2-sisr", "SRNTT-l2 (SISR)", "lr"),
        Variant("srntt-flow", "SRNTT-flow", flow=True),
        Variant("srntt-relu1", "SRNTT [relu1]", ("relu1_1",)),
        Variant("srntt-relu2", "SRNTT [relu2]", ("relu2_1",)),
        Variant("srntt-relu3", "SRNTT [relu3]", ("relu3_1",)),
        Variant("srntt-relu12", "SRNTT [relu1/2]", ("relu2_1", "relu1_1")),
        Variant("srntt-no-texture", "SRNTT without texture loss", texture_weight=0),
    )
}
