"""Landmark (Yue et al., TIP 2013) as a method: SR of registered references, without training."""

import sys

import cv2

from srntt_pipeline import back_projection, imresize, landmark, sift
from srntt_pipeline.degradation import border_of
from srntt_pipeline.files import fingerprint
from srntt_pipeline.images import RGB
from srntt_pipeline.landmark import restore
from srntt_pipeline.methods.method import BEST, LR, NONE, Method, source_hashes
from srntt_pipeline.methods.scene import Scene


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
        here = sys.modules[__name__]
        code = source_hashes(landmark, back_projection, imresize, sift, here)
        return fingerprint([code, cv2.__version__, scene.making.kernel])
