"""SRResNet and SRGAN ×4 (Ledig et al., "Photo-Realistic Single Image SR", CVPR 2017, Figure 4).

One network; SRGAN is SRResNet trained on against a critic. It is built of the pieces of SRNTT's
content extractor, which is made after it.
"""

from torch import Tensor, nn

from srntt_pipeline.models.content import ContentExtractor, Layout, from_tail
from srntt_pipeline.models.registry import register

LAYOUTS = {
    "paper": Layout(
        batch_norm=True, closing_norm=True, bias=False, last=9, first=9, activation="prelu"
    ),
    "released": Layout(batch_norm=True, closing_norm=True, bias=False, last=1),
}


@register("srgan", inputs="lr", row="SRGAN")
@register("srresnet", inputs="lr", row="SRResNet")
class SRResNet(nn.Module):
    """Residual blocks with batch norm under a long skip, two sub-pixel layers, one image.

    `architecture`: `paper`, 9×9 convolutions at both ends and PReLU, fed with LR in [0, 1]; or
    `released`, the implementation that SRNTT names, 3×3 and 1×1 and ReLU, fed with LR in [-1, 1],
    which is the network of SRNTT's `sisr`. `tanh`: bound the image so; without, it is what the last
    convolution gives, as in common implementations. `bicubic_skip`: predict what LR↑ lacks, as
    `SRNTT` can.

    The defaults have 1,547,350 weights. Others count 1,549,462, with biases of the convolutions
    before batch norm, which takes them out again.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: int = 16,
        architecture: str = "paper",
        tanh: bool = True,
        bicubic_skip: bool = False,
    ) -> None:
        super().__init__()
        if architecture not in LAYOUTS:
            raise ValueError(f"architecture {architecture}: not one of {', '.join(LAYOUTS)}")
        self.architecture, self.bicubic_skip = architecture, bicubic_skip
        self.plain = not (tanh or bicubic_skip)
        self.content = ContentExtractor(channels, blocks, LAYOUTS[architecture])

    def forward(self, lr: Tensor) -> Tensor:
        """Return SR [N, 3, 4h, 4w], about [0, 1], of LR [N, 3, h, w] in [0, 1]."""
        seen = lr if self.architecture == "paper" else lr * 2 - 1
        output: Tensor = self.content.sisr_tail(self.content(seen))
        return output if self.plain else from_tail(output, lr, self.bicubic_skip)
