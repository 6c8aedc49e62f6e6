"""What enlarges LR to LR↑ and Ref↓ to Ref↓↑ (paper section 3.1): bicubic, or a trained network.

The paper says bicubic; its released code uses a network for single images, our model `sisr`.
"""

import functools
from pathlib import Path

import torch
from torch import Tensor, nn

from srntt_pipeline.checkpoints import load_checkpoint, weights_file
from srntt_pipeline.config import BICUBIC
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB, upscale
from srntt_pipeline.models.tiling import WHOLE, Sight, in_tiles, sight

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
        device: torch.device | None = None,
    ) -> None:
        self.identity = identity
        self._model = None if model is None else model.to(device)
        self._sees: Sight | None = None

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
        if self._sees is None and max(lr.shape[:2]) > TILE_PX:
            self._sees = sight(self._model, _run)
        try:
            return in_tiles(self._model, _run, lr, self._sees or WHOLE, TILE_PX)
        except ArithmeticError as error:
            raise InputError(f"--upscaler: {self} gives {error}; use another") from None


def _run(model: nn.Module, lr: Tensor) -> Tensor:
    sr: Tensor = model(lr)
    return sr


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
    return Upscaler(info.weights_sha256, checkpoint.model, device)
