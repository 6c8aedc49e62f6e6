"""From an LR image and references to SR, with a checkpoint (paper section 3)."""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from srntt_pipeline.checkpoints import Checkpoint, load_checkpoint, weights_file
from srntt_pipeline.config import SuperResolveParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB, SCALE, limit_long_side, read_rgb, write_png
from srntt_pipeline.swaps.correspondence import Correspondence
from srntt_pipeline.swaps.encoder import load_encoder, to_tensor
from srntt_pipeline.swaps.matcher import AS_NAMED, NetworkFiles, check_networks, load_matcher
from srntt_pipeline.swaps.references import MIN_SIDE_PX
from srntt_pipeline.swaps.swap import swap_features

log = logging.getLogger(__name__)

MIN_LR_SIDE_PX = 3  # one 3×3 patch on relu3_1 of LR↑
MAX_LR_PIXELS = 512 * 512  # SR of 4 megapixels: about 10 GB of maps and features


class Restorer:
    """A trained network with the encoder, upscaler and reference versions of its training.

    `encoder_weights` and `networks`: where these files lie now, if not where they lay then.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        encoder_weights: str | None = None,
        networks: NetworkFiles = AS_NAMED,
    ) -> None:
        info = checkpoint.info
        if info.encoder is None or info.swaps is None:
            raise InputError(
                f"{checkpoint.path}: {info.model} takes no references; name a checkpoint of SRNTT"
            )
        self.checkpoint, self.device, self.swaps = checkpoint, device, info.swaps
        self.encoder = load_encoder(
            encoder_weights or info.swaps.encoder_weights, info.swaps.encoder_seed, device
        )
        if self.encoder.identity.sha256 != info.encoder.sha256:
            raise InputError(
                f"{checkpoint.path} was trained with {info.encoder}, not with "
                f"{self.encoder.identity}; name that file with --encoder-weights"
            )
        self.matcher = load_matcher(info.swaps, self.encoder, networks)
        check_networks(checkpoint.path, info.networks, self.matcher.networks)
        self.versions = self.matcher.versions
        self._model = checkpoint.model.to(device)

    def correspond(self, lr: RGB, refs: Sequence[RGB]) -> Correspondence:
        """Return the correspondence of LR↑ with all versions of `refs`."""
        return self.matcher.correspond(lr, refs)

    @torch.inference_mode()
    def super_resolve(
        self, lr: RGB, refs: Sequence[RGB], correspondence: Correspondence | None = None
    ) -> RGB:
        """Return SR, uint8 [4h, 4w, 3], of `lr`, uint8 [h, w, 3], with one reference or more.

        `correspondence` may be given where it is known already.
        """
        found = correspondence or self.correspond(lr, refs)
        swapped = swap_features(found, refs, self.versions, self.encoder)
        sr = self._model(
            to_tensor(lr)[None].to(self.device),
            {layer: maps[None] for layer, maps in swapped.maps.items()},
            swapped.weight[None],
        )
        values = sr[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        return np.rint(values * 255).astype(np.uint8)


def load_restorer(
    checkpoint: Path,
    device: str,
    encoder_weights: str | None,
    networks: NetworkFiles = AS_NAMED,
) -> Restorer:
    """Return the Restorer of a checkpoint, the last ones again while their files are unchanged.

    Raises InputError.
    """
    path = weights_file(checkpoint)
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _load_restorer(path, changed, device, encoder_weights, networks)


@functools.lru_cache(maxsize=8)  # of several checkpoints, one image after the other
def _load_restorer(
    path: Path, changed: int, device: str, encoder_weights: str | None, networks: NetworkFiles
) -> Restorer:
    return Restorer(load_checkpoint(path), choose_device(device), encoder_weights, networks)


def super_resolve(
    lr: Path,
    refs: Sequence[Path],
    checkpoint: Path,
    out: Path,
    params: SuperResolveParams,
    *,
    device: str = "auto",
    encoder_weights: str | None = None,
    networks: NetworkFiles = AS_NAMED,
) -> None:
    """Write the ×4 SR of the image file `lr` with reference files `refs` to `out` (PNG).

    Without references, LR is its own (SISR). Raises InputError.
    """
    if out.suffix.lower() != ".png" or out.is_dir():
        raise InputError(f"{out}: SR is written as PNG; give a file name that ends in .png")
    image = read_rgb(lr, min_side=MIN_LR_SIDE_PX)
    height, width = image.shape[:2]
    if height * width > MAX_LR_PIXELS:
        raise InputError(
            f"{lr}: {width}×{height} px is too large at once; crop or shrink it to at most "
            f"{MAX_LR_PIXELS} pixels (512×512)"
        )
    long_side = params.reference_long_side_px or SCALE * max(height, width)
    images = [limit_long_side(read_rgb(ref, min_side=MIN_SIDE_PX), long_side) for ref in refs]
    restorer = load_restorer(checkpoint, device, encoder_weights, networks)
    write_png(out, restorer.super_resolve(image, images or [image]))
    log.info("Wrote %s: %d×%d px", out, SCALE * width, SCALE * height)
