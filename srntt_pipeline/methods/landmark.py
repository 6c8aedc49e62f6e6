"""Landmark (Yue et al., TIP 2013) as a method: SR of registered references, without training."""

import functools
import importlib
import inspect
from pathlib import Path

import cv2

from srntt_pipeline.degradation import border_of
from srntt_pipeline.files import fingerprint, sha256
from srntt_pipeline.images import RGB
from srntt_pipeline.landmark import restore
from srntt_pipeline.methods.method import BEST, LR, NONE, Method
from srntt_pipeline.methods.scene import Scene

_MADE_BY = (
    "back_projection", "imresize", "sift", "landmark.registration", "landmark.matching",
    "landmark.blending", "landmark.restore", "methods.landmark",
)  # fmt: skip


class Landmark(Method):
    """Details of registered references on LR↑; LR↑ alone where nothing registers."""

    name = "Landmark"
    shares = "landmark"

    def takes(self, reference: str) -> bool:
        """Tell whether it takes the reference: photos, one or several.

        Not LR, in which there is no detail; nor the best, for which it has no score.
        """
        return reference not in (NONE, LR, BEST)

    def super_resolve(self, scene: Scene, reference: str) -> RGB:
        """Return SR; the features of LR↑ are found once."""
        lr_up = scene.bicubic()
        target = scene.share("SIFT features of LR↑", lambda: restore.features(lr_up))
        images = scene.images(reference)
        return restore.restore(scene.lr, lr_up, target, images, border_of(scene.making))

    def identity(self, scene: Scene, reference: str) -> str:
        """Return a hash of its code, of OpenCV's version and of LR's kernel."""
        return fingerprint([_code(), cv2.__version__, scene.making.kernel])


@functools.cache
def _code() -> list[str]:
    modules = [importlib.import_module(f"srntt_pipeline.{name}") for name in _MADE_BY]
    return [sha256(Path(inspect.getfile(module)).read_bytes()) for module in modules]
