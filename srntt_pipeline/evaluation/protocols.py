"""How PSNR and SSIM are measured: a number carries its protocol.

The paper does not say how its numbers were measured, and later papers measure in other ways. Common
to all protocols: HR is cropped to sides that are multiples of 4 px, LR is made of it with Pillow's
bicubic ↓4 (a = -0.5, low-passed), and SR is clipped and rounded to 8 bits.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB

KERNEL = "Pillow bicubic ×4"
# ITU-R BT.601 luma of R, G, B in 0…255: 16…235.
_LUMA = np.array([65.481, 128.553, 24.966]) / 255


@dataclass(frozen=True)
class Protocol:
    """One way to measure: which channel, how much border is left out, which window SSIM slides.

    `ssim_window`: `uniform 7×7` (sample covariance; scikit-image's default) or `gaussian 11×11`
    (σ = 1.5, as in the SSIM paper).
    """

    name: str
    channel: Literal["luma", "rgb"]
    border_px: int
    ssim_window: Literal["uniform 7×7", "gaussian 11×11"]
    meaning: str

    def measure(self, hr: RGB, sr: RGB) -> tuple[float, float]:
        """Return PSNR (dB; infinite for equal images) and SSIM of `sr` against `hr`.

        Both are uint8 [H, W, 3].

        Raises InputError when the images are too small for border and window.
        """
        true, test = self._values(hr), self._values(sr)
        window = 7 if self.ssim_window == "uniform 7×7" else 11
        if min(true.shape[:2]) < window:
            raise InputError(
                f"protocol {self.name} cannot measure {hr.shape[1]}×{hr.shape[0]} px: a border of "
                f"{self.border_px} px leaves no window of {window} px"
            )
        options = (
            {"win_size": 7}
            if window == 7
            else {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        )
        axis = 2 if self.channel == "rgb" else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # equal images: log of 1/0 is meant
            psnr = peak_signal_noise_ratio(true, test, data_range=255)
        ssim = structural_similarity(true, test, data_range=255, channel_axis=axis, **options)
        return float(psnr), float(ssim)

    def _values(self, image: RGB) -> npt.NDArray[np.float64]:
        border = self.border_px
        inner = image[border : image.shape[0] - border, border : image.shape[1] - border]
        values = inner.astype(np.float64)
        return 16 + values @ _LUMA if self.channel == "luma" else values


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "luma", "luma", 4, "gaussian 11×11",
            "BT.601 luma (16…235), border of 4 px left out, Gaussian SSIM: the custom of most SR "
            "papers. The default.",
        ),
        Protocol(
            "paper-urban100", "luma", 4, "uniform 7×7",
            "Luma, border 4, uniform SSIM. Bicubic on the full Urban100 gives 23.140 dB / 0.6735, "
            "the paper prints 23.14 / 0.674: so was that column of Table 1 measured.",
        ),
        Protocol(
            "rgb", "rgb", 4, "gaussian 11×11",
            "All three channels, border 4, Gaussian SSIM. Bicubic on the full Sun80 gives 27.29 / "
            "0.743, the paper prints 27.24 / 0.739: near enough for that column of Table 1.",
        ),
        Protocol(
            "luma-full", "luma", 0, "gaussian 11×11",
            "Luma over the whole image, Gaussian SSIM: for code that removes no border.",
        ),
        Protocol(
            "rgb-full", "rgb", 0, "gaussian 11×11",
            "All three channels over the whole image, Gaussian SSIM.",
        ),
    )
}  # fmt: skip


def get_protocol(name: str) -> Protocol:
    """Return the protocol called `name`; raises InputError that lists them all."""
    if name not in PROTOCOLS:
        raise InputError(f"protocol {name!r} is unknown; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
