"""The baseline of every table: LR by bicubic interpolation, the way that LR was made."""

from srntt_pipeline.images import RGB
from srntt_pipeline.methods.method import Method
from srntt_pipeline.methods.scene import Scene

BICUBIC = "Bicubic"


class Bicubic(Method):
    """LR↑ by Pillow's bicubic kernel, or by MATLAB's where LR was made by that."""

    name = BICUBIC

    def identity(self, scene: Scene, reference: str) -> str:
        """Return the kernel: what else it is made from is LR."""
        return f"bicubic {scene.making.kernel}"

    def super_resolve(self, scene: Scene, reference: str) -> RGB:
        """Return LR↑."""
        return scene.bicubic()
