"""Landmark as a whole: from LR and references to SR."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from srntt_pipeline.back_projection import back_project
from srntt_pipeline.images import RGB
from srntt_pipeline.imresize import Border, resized
from srntt_pipeline.landmark.blending import Energy, shares
from srntt_pipeline.landmark.matching import match
from srntt_pipeline.landmark.registration import register
from srntt_pipeline.portable import one_thread
from srntt_pipeline.sift import SiftFeatures, detect

_ROUNDS = 10  # of back-projection


def features(lr_up: RGB) -> SiftFeatures:
    """Return what references are registered on: the SIFT features of LR↑, uint8 [4h, 4w, 3]."""
    with one_thread():
        return detect(lr_up)


def restore(
    lr: RGB, lr_up: RGB, target: SiftFeatures, references: Sequence[RGB], border: Border
) -> RGB:
    """Return SR, uint8 [4h, 4w, 3], of `lr`, uint8 [h, w, 3], with references of any size.

    `lr_up`: LR↑ by bicubic, uint8 [4h, 4w, 3], and `target`, its `features`; `border`: of the
    bicubic kernel that LR is held against. Where nothing registers, or no block fits, SR is LR↑.
    """
    with one_thread():
        up = lr_up.astype(np.float32)
        seen = (one for image in references for one in register(target, lr_up, image))
        found = [matched for one in seen if (matched := match(up, one))]
        if not found:
            return lr_up
        energy = Energy(*lr_up.shape[:2])
        for matched, share in zip(found, shares([m.trust for m in found]), strict=True):
            energy.add(matched, share)
        sr = back_project(
            up + energy.minimum(), lr.astype(np.float64), partial(resized, border=border),
            highest=255, rounds=_ROUNDS,
        )  # fmt: skip
        return np.rint(sr).astype(np.uint8)
