"""What enlarges LR to LR↑ and Ref↓ to Ref↓↑ (paper section 3.1): bicubic, or a trained network.

The paper says bicubic; its released code uses a network for single images, our model `sisr`.
"""

import functools
from pathlib import Path

import numpy as np
import torch
from torch import nn

from srntt_pipeline.checkpoints import load_checkpoint, weights_file
from srntt_pipeline.config import BICUBIC
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB, SCALE, upscale
from srntt_pipeline.maps import to_image, to_tensor

MODEL = "sisr"
# LR pixels along each side that a tile gives. What lies around it goes through the network too:
# with 64 channels and 16 blocks 170×170 pixels at once, for which 350 MiB were measured.
TILE_PX = 96


class Upscaler:
    """LR, uint8 [h, w, 3], to uint8 [4h, 4w, 3], by `model` on `device`; without one, bicubic.

    `identity`: `bicubic`, or the SHA-256 of the checkpoint's weights. Images larger than TILE_PX
    go through the network in tiles that overlap by what an output pixel sees, so memory is bounded
    and no seam is left.
    """

    def __init__(
        self,
        identity: str = BICUBIC,
        model: nn.Module | None = None,
        reach_px: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.identity = identity
        self._model = None if model is None else model.to(device)
        self._reach_px, self._device = reach_px, device

    def __str__(self) -> str:
        return BICUBIC if self._model is None else f"{MODEL} (sha256 {self.identity[:12]})"

    @property
    def networks(self) -> dict[str, str]:
        """The hash of the network by the parameter that names it; empty for bicubic."""
        return {} if self._model is None else {"upscaler": self.identity}

    @torch.inference_mode()
    def __call__(self, lr: RGB) -> RGB:
        """Return LR↑; values of the network are clipped to [0, 1] and rounded."""
        if self._model is None:
            return upscale(lr)
        height, width = lr.shape[:2]
        out = np.empty((SCALE * height, SCALE * width, 3), np.uint8)
        for top in range(0, height, TILE_PX):
            for left in range(0, width, TILE_PX):
                bottom, right = min(top + TILE_PX, height), min(left + TILE_PX, width)
                place = np.s_[SCALE * top : SCALE * bottom, SCALE * left : SCALE * right]
                out[place] = self._tile(lr, top, bottom, left, right)
        return out

    def _tile(self, lr: RGB, top: int, bottom: int, left: int, right: int) -> RGB:
        """Return LR↑ of these rows and columns of LR, computed from all that they depend on."""
        assert self._model is not None
        # Windows of one size, at the border too: for every other size PyTorch would keep buffers.
        side = TILE_PX + 2 * self._reach_px
        first_row, first_column = (
            max(0, min(start - self._reach_px, whole - side))
            for start, whole in zip((top, left), lr.shape[:2], strict=False)
        )
        seen = lr[first_row : first_row + side, first_column : first_column + side]
        values = self._model(to_tensor(seen)[None].to(self._device))[0]
        if not bool(values.isfinite().all()):
            raise InputError(f"--upscaler: {self} gives values that are no numbers; use another")
        rows = slice(SCALE * (top - first_row), SCALE * (bottom - first_row))
        columns = slice(SCALE * (left - first_column), SCALE * (right - first_column))
        return to_image(values[:, rows, columns])


def load_upscaler(name: str, device: torch.device) -> Upscaler:
    """Return the upscaler `name`: `bicubic`, or the checkpoint of `sisr` that lies there.

    The last one is kept while its file is unchanged. Raises InputError for a checkpoint that is
    missing, damaged or of another model.
    """
    if name == BICUBIC:
        return Upscaler()
    try:
        path = weights_file(Path(name))
        status = path.stat()
        return _load(path, (status.st_mtime_ns, status.st_size), device)
    except OSError:
        raise InputError(f"--upscaler {name}: no such file (nor is it `{BICUBIC}`)") from None
    except InputError as error:
        raise InputError(f"--upscaler: {error}") from None


@functools.lru_cache(maxsize=2)
def _load(path: Path, changed: tuple[int, ...], device: torch.device) -> Upscaler:
    checkpoint = load_checkpoint(path)
    info = checkpoint.info
    if info.model != MODEL:
        raise InputError(f"{path}: a checkpoint of {info.model}; name one of {MODEL}")
    return Upscaler(info.weights_sha256, checkpoint.model, reach_px(checkpoint.model), device)


def reach_px(model: nn.Module) -> int:
    """Return how many LR pixels beyond its own an output pixel of `sisr` can depend on.

    A 3×3 convolution sees one pixel farther: at LR size a whole one, after ↑2 and ↑4 less, which is
    taken for a whole one too. Bicubic LR↑ sees two, never more than the convolutions.
    """
    return sum(isinstance(layer, nn.Conv2d) for layer in model.modules())
