"""Metrics beside PSNR and SSIM: a new one is a function under `@metric(NAME, …)` in this file.

The parameters, their help, the columns of tables and what measures read `METRICS`. That is
before PyTorch is loaded, so functions import what is slow themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srntt_pipeline.images import RGB

Measure = Callable[["RGB", "RGB"], float]


@dataclass(frozen=True)
class Metric:
    """How near SR is to HR, by one number an image.

    `name`: in parameters, and its column in CSV and JSON; `heading`: in tables for people;
    `meaning`: what readers of the numbers must know. `measure`: takes HR and SR, uint8 [H, W, 3]
    each, whole, and returns a finite number; None where `evaluation.perceptual` has a network for
    it. `min_side_px`: the least side of an image that it can measure.
    """

    name: str
    heading: str
    meaning: str
    measure: Measure | None = None
    min_side_px: int = 1


_IMAGENET_PX = 32  # pooling and strides of such networks leave nothing of smaller images
METRICS = {
    metric.name: metric
    for metric in (
        Metric("lpips", "LPIPS", "distance by AlexNet", min_side_px=_IMAGENET_PX),
        Metric("dists", "DISTS", "distance by VGG16", min_side_px=_IMAGENET_PX),
    )
}


def metric(
    name: str, heading: str, meaning: str, min_side_px: int = 1
) -> Callable[[Measure], Measure]:
    """Add a function to `METRICS`; the rest is described at `Metric`."""

    def add(measure: Measure) -> Measure:
        METRICS[name] = Metric(name, heading, meaning, measure, min_side_px)
        return measure

    return add


# Your own functions stand here.
