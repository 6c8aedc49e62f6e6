"""How PSNR and SSIM are measured: a number carries its protocol.

The paper does not say how its numbers were measured, and later papers measure in other ways. All of
them stand in one table, `PROTOCOLS`; common to all is that SR is clipped and rounded to 8 bits.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srntt_pipeline.degradation import KERNELS, Kernel, Making
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB, SCALE
from srntt_pipeline.methods.method import (
    ALL,
    BEST,
    BEST_PSNR,
    NONE,
    PAPER_ALL,
    RANDOM,
    STITCHED,
    STITCHED_MASA,
    is_single,
)

# The references of one number per method and image; each: all rows of Table 2.
References = Literal["each", "all", "stitched", "stitched-masa", "best", "best-psnr", "random"]
_GIVEN = "LR as given"  # how the column `kernel` begins of LR that came with the test set

_HALF_SLACK = 1e-7  # luma of 8-bit RGB is a multiple of 1/255000, which is larger
# ITU-R BT.601 luma of R, G, B in 0…255: 16…235.
_LUMA = np.array([65.481, 128.553, 24.966]) / 255


@dataclass(frozen=True)
class Protocol:
    """One way to measure.

    `channel`: BT.601 luma, or all three of RGB. `border_px`: left out on all sides. `ssim_window`:
    `uniform 7×7` (sample covariance; scikit-image's default) or `gaussian 11×11` (σ = 1.5, as in
    the SSIM paper). `kernel`: of the bicubic ↓4 that makes LR and of the bicubic baseline, Pillow's
    or that of MATLAB's imresize. `lr`: whether LR is made, or came with the test set; then the
    kernel is of the baseline alone. `crop_multiple`: HR is cut at right and bottom to sides that
    are multiples of it. `rounding`: SR is 8-bit RGB always; `8-bit luma` rounds its luma and HR's
    too, as MATLAB's rgb2ycbcr does. `references`: which ones are measured, `each` of them and all
    together, or one choice only: `all` in one search (where there are more than the paper's four
    also these alone, `paper-all`), `stitched` into one image as TTSR does it or, `stitched-masa`,
    as MASA does, the `best`, which the method chooses by LR (SRNTT: the highest mean S*),
    `best-psnr`, the single one whose SR is nearest to HR, or one drawn at `random`, by seed.
    """

    name: str
    channel: Literal["luma", "rgb"]
    border_px: int
    ssim_window: Literal["uniform 7×7", "gaussian 11×11"]
    meaning: str
    kernel: Kernel = "pillow"
    crop_multiple: int = SCALE
    rounding: Literal["8-bit RGB", "8-bit luma"] = "8-bit RGB"
    references: References = "each"
    lr: Literal["made", "given"] = "made"

    @property
    def making(self) -> Making:
        """How HR and LR are made."""
        return Making(self.kernel, self.crop_multiple, self.lr == "given")

    def with_given_lr(self) -> "Protocol":
        """Return this protocol on the LR images that came with a test set."""
        return replace(self, lr="given")

    def measures(self, reference: str) -> bool:
        """Tell whether SR made with `reference` (`none`, `L1`, `all`, …) belongs in this table."""
        if self.references == "each":
            return reference not in (STITCHED, STITCHED_MASA, BEST, BEST_PSNR, RANDOM)
        wanted = (ALL, PAPER_ALL) if self.references == "all" else (self.references,)
        return reference in (NONE, *wanted)

    def needs(self, reference: str) -> bool:
        """Tell whether SR made with `reference` is looked at for this table."""
        return self.measures(reference) or (self.references == BEST_PSNR and is_single(reference))

    @property
    def columns(self) -> dict[str, Any]:
        """What a row of numbers says of how it was measured."""
        own = {key: asdict(self)[key] for key in _COLUMNS}
        return {"protocol": self.name} | own | {"kernel": self._kernel}

    @property
    def _kernel(self) -> str:
        by = f"{KERNELS[self.kernel]} ×{SCALE}"
        return f"{_GIVEN}, enlarged by {by}" if self.lr == "given" else by

    @property
    def words(self) -> str:
        """The columns in a sentence, for people."""
        return (
            f"{self.channel}, border {self.border_px} px, SSIM window {self.ssim_window}, "
            f"{self._kernel}, HR cropped to a multiple of {self.crop_multiple} px,"
            f" {self.rounding}, references: {self.references}"
        )

    def measure(self, hr: RGB, sr: RGB) -> tuple[float, float]:
        """Return PSNR (dB; infinite for equal images) and SSIM of `sr` against `hr`.

        Both are uint8 [H, W, 3].

        Raises InputError when the images are too small for border and window.
        """
        self.check_size(hr)
        true, test = self._values(hr), self._values(sr)
        options = (
            {"win_size": 7}
            if self._window == 7
            else {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        )
        axis = 2 if self.channel == "rgb" else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # equal images: log of 1/0 is meant
            psnr = peak_signal_noise_ratio(true, test, data_range=255)
        ssim = structural_similarity(true, test, data_range=255, channel_axis=axis, **options)
        return float(psnr), float(ssim)

    def check_size(self, hr: RGB) -> None:
        """Raise InputError when `hr`, uint8 [H, W, 3], is too small for border and window."""
        height, width = hr.shape[:2]
        if min(height, width) - 2 * self.border_px < self._window:
            raise InputError(
                f"protocol {self.name} cannot measure {width}×{height} px: a border of "
                f"{self.border_px} px leaves no window of {self._window} px"
            )

    @property
    def _window(self) -> int:
        return 7 if self.ssim_window == "uniform 7×7" else 11

    def _values(self, image: RGB) -> npt.NDArray[np.float64]:
        border = self.border_px
        inner = image[border : image.shape[0] - border, border : image.shape[1] - border]
        values = inner.astype(np.float64)
        if self.channel == "rgb":
            return values
        luma = 16 + values @ _LUMA
        # Halves go up, as in MATLAB, also where the sum of floats falls just below one.
        return np.floor(luma + 0.5 + _HALF_SLACK) if self.rounding == "8-bit luma" else luma


_COLUMNS = (
    "channel", "border_px", "ssim_window", "kernel", "crop_multiple", "rounding", "references",
)  # fmt: skip

_GAUSSIAN: Literal["gaussian 11×11"] = "gaussian 11×11"
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "luma", "luma", 4, _GAUSSIAN,
            "BT.601 luma (16…235), border of 4 px left out, Gaussian SSIM: the custom of most SR "
            "papers. So C2-Matching, AMSA and DATSR measured CUFED5, with L1 alone.",
        ),
        Protocol(
            "paper-urban100", "luma", 4, "uniform 7×7",
            "Luma, border 4, uniform SSIM. Bicubic on the full Urban100 gives 23.140 dB / 0.6735, "
            "the paper prints 23.14 / 0.674: so was that column of Table 1 measured.",
        ),
        Protocol(
            "rgb", "rgb", 4, _GAUSSIAN,
            "All three channels, border 4, Gaussian SSIM. Bicubic on the full Sun80 gives 27.29 / "
            "0.743, the paper prints 27.24 / 0.739: near enough for that column of Table 1.",
        ),
        Protocol(
            "luma-full", "luma", 0, _GAUSSIAN,
            "Luma over the whole image, Gaussian SSIM, for code that removes no border: so TTSR "
            "and MASA measured one reference of CUFED5 (L1).",
        ),
        Protocol(
            "rgb-full", "rgb", 0, _GAUSSIAN,
            "All three channels over the whole image, Gaussian SSIM. No paper of the tables' says "
            "that it measured so.",
        ),
        Protocol(
            "matlab", "luma", 4, _GAUSSIAN,
            "As SR papers measure in MATLAB: LR and bicubic by imresize, luma by rgb2ycbcr, which "
            "rounds it to 8 bits. Borders are mirrored, as in newer MATLAB.",
            kernel="matlab", rounding="8-bit luma",
        ),
        Protocol(
            "matlab-replicate", "luma", 4, _GAUSSIAN,
            "As matlab, with replicated borders, as in older MATLAB: this LR equals the files of "
            "the self-exemplar benchmark to the last value, and so SelfEx (CVPR 2015) measured "
            "Urban100.",
            kernel="matlab-replicate", rounding="8-bit luma",
        ),
        Protocol(
            "luma-all", "luma", 4, _GAUSSIAN,
            "As luma, with all references in one search only: Table 1's number alone. The paper "
            "has four references, the released CUFED5 five: there paper-all is the paper's number.",
            references="all",
        ),
        Protocol(
            "luma-stitched", "luma", 4, _GAUSSIAN,
            "As luma, with the references side by side in one image, each on a black square of 500 "
            "px (or of the longest side): TTSR's stitching, but with a border left out, which TTSR "
            "keeps.",
            references="stitched",
        ),
        Protocol(
            "luma-best", "luma", 4, _GAUSSIAN,
            "As luma, with that one reference that the method finds best by LR alone: SRNTT that "
            "whose patches match LR best (highest mean S*), CrossNet that which, warped, is nearest"
            " to LR. No paper of the tables' says that it measured so.",
            references="best",
        ),
        Protocol(
            "luma-best-psnr", "luma", 4, _GAUSSIAN,
            "As luma, with that one reference whose SR has the highest PSNR: THIS CHOICE LOOKS AT "
            "HR, which is unknown where SR is wanted. So SRNTT's paper measured CrossNet, which "
            "takes one reference; luma-best is the choice without HR.",
            references="best-psnr",
        ),
        Protocol(
            "luma-random", "luma", 4, _GAUSSIAN,
            "As luma, with one reference of each image, drawn at random by the seed. No paper of "
            "the tables' says that it measured so.",
            references="random",
        ),
        Protocol(
            "luma-full-all", "luma", 0, _GAUSSIAN,
            "As luma-full, with all references in one search only. No paper of the tables' says "
            "that it measured so: it is what a method that searches in several references has to "
            "show beside TTSR and MASA, which stitch them.",
            references="all",
        ),
        Protocol(
            "luma-full-stitched", "luma", 0, _GAUSSIAN,
            "As luma-full, with the references side by side in one image, each on a black square of"
            " 500 px (or of the longest side): so TTSR (CVPR 2020) measured CUFED5 with its five "
            "references, 27.09 dB.",
            references="stitched",
        ),
        Protocol(
            "luma-full-stitched-masa", "luma", 0, _GAUSSIAN,
            "As luma-full, with the references one below the other in one image, each in the middle"
            " of a square of 512 px (or of the longest side) that its edge pixels fill: so MASA "
            "(CVPR 2021) measured CUFED5 with its five references, 27.54 dB.",
            references="stitched-masa",
        ),
        Protocol(
            "luma-full-random", "luma", 0, _GAUSSIAN,
            "As luma-full, with one reference of each image, drawn at random by the seed: so TTSR "
            "and MASA measured Sun80, where an image has about 20.",
            references="random",
        ),
    )
}  # fmt: skip


def of_given_lr(row: Mapping[str, Any]) -> bool:
    """Tell whether a row that has `columns` is of LR images that came with the test set."""
    return str(row.get("kernel", "")).startswith(_GIVEN)


def get_protocol(name: str) -> Protocol:
    """Return the protocol called `name`; raises InputError that lists them all."""
    if name not in PROTOCOLS:
        raise InputError(f"protocol {name!r} is unknown; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def get_protocols(names: Sequence[str]) -> tuple[Protocol, ...]:
    """Return the protocols called `names`, each once, in that order; raises InputError."""
    if not names:
        raise InputError(f"no protocol to measure by; known: {', '.join(PROTOCOLS)}")
    return tuple(get_protocol(name) for name in dict.fromkeys(names))
