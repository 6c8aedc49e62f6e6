"""SelfEx as a method: SR from the image's own patches, without references and without training."""

from collections.abc import Sequence

import numpy as np

from srntt_pipeline import back_projection, imresize, memory, selfex
from srntt_pipeline.degradation import border_of
from srntt_pipeline.files import fingerprint
from srntt_pipeline.images import RGB
from srntt_pipeline.memory import Size
from srntt_pipeline.methods.method import Method, source_hashes
from srntt_pipeline.methods.scene import Scene
from srntt_pipeline.selfex.enlarging import enlarge

# Bytes for each pixel of LR, for the pyramid, the field of matches and the votes (measured: 3,480),
# and for the compiler (measured: 52 MiB).
_PIXEL, _COMPILER = 4500, 1 << 27


class SelfEx(Method):
    """SelfEx (Huang, Singh, Ahuja, CVPR 2015), on one thread of the processor, with seed 0."""

    name = "SelfEx"
    seed = 0

    def identity(self, scene: Scene, reference: str) -> str:
        """Return a hash of the algorithm's source files, the seed, and how LR was made."""
        code = source_hashes(selfex, back_projection, imresize)
        return fingerprint([self.name, self.seed, border_of(scene.making), code])

    def prepare(self, scene: Scene, reference: str) -> None:
        """Compile its loops, or read them where they are compiled."""
        enlarge(np.zeros((8, 8, 3), np.uint8))

    def super_resolve(self, scene: Scene, reference: str) -> RGB:
        """Return SR. Raises InputError where the scene allows too little memory."""
        size = scene.lr.shape[:2]
        if scene.max_memory is not None:
            least = self.least_memory(size, (), scene.device)
            memory.check(scene.max_memory, least, f"LR of {size[1]}×{size[0]} px")
        return enlarge(scene.lr, seed=self.seed, border=border_of(scene.making))

    def least_memory(self, lr: Size, refs: Sequence[Size], device: str) -> int:
        """Return the bytes below which a process cannot super-resolve LR of this size."""
        return memory.START_MEMORY + _COMPILER + _PIXEL * memory.pixels(lr)
