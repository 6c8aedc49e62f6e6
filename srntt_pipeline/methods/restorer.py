"""SRNTT at work: a trained network with the encoder and matcher of its swaps (paper section 3)."""

import functools
from collections.abc import Sequence
from pathlib import Path

import torch

from srntt_pipeline import memory
from srntt_pipeline.checkpoints import Checkpoint, load_checkpoint, weights_file
from srntt_pipeline.config import SwapParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB, SCALE
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.memory import Size
from srntt_pipeline.methods import tiles
from srntt_pipeline.methods.tiles import Tiling
from srntt_pipeline.models import SRNTT
from srntt_pipeline.network_files import AS_NAMED, NetworkFiles
from srntt_pipeline.swaps.matcher import check_networks, encoder_for, load_matcher
from srntt_pipeline.swaps.windowed import KeptMaps, WindowedSwap

SR_MEMORY = 4 << 30  # bytes, of a process that super-resolves, if it is enough
MIN_LR_SIDE_PX = 3  # one 3×3 patch on relu3_1 of LR↑


class Restorer:
    """A trained network with the encoder, upscaler and reference versions of its training.

    `files`: where networks' files lie now, if not where they lay then.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        files: NetworkFiles = AS_NAMED,
    ) -> None:
        info = checkpoint.info
        model = checkpoint.model
        if info.encoder is None or info.swaps is None or not isinstance(model, SRNTT):
            raise InputError(f"{checkpoint.path}: {info.model} is not fed with swapped maps")
        self.checkpoint, self.device, self.swaps = checkpoint, device, _on(device, info.swaps)
        self.encoder = encoder_for(files.found(info.swaps), device)
        if self.encoder.identity.sha256 != info.encoder.sha256:
            raise InputError(
                f"{checkpoint.path} was trained with {info.encoder}, not with "
                f"{self.encoder.identity}; name that file with --encoder-weights"
            )
        self.matcher = load_matcher(self.swaps, self.encoder, files)
        check_networks(checkpoint.path, info.networks, self.matcher.networks)
        self.versions = self.matcher.versions
        self._model = model.to(device)

    def match(self, lr: RGB, refs: Sequence[RGB], max_memory: int | None = None) -> Correspondence:
        """Return the correspondence of LR↑ with all versions of `refs`.

        `max_memory`: bytes, as `Matcher.match` takes them.
        """
        return self.matcher.match(lr, refs, max_memory=max_memory)

    def least_memory(self, lr: Size, refs: Sequence[Size]) -> int:
        """Return the bytes that a process takes to super-resolve images of these sizes."""
        sr = SCALE * lr[0], SCALE * lr[1]
        written = memory.image_bytes([lr, *refs]) + memory.written_bytes(sr)
        return max(
            self.matcher.least_memory(lr, refs),
            self._beside(lr, refs) + self._tiling(lr, 0).least,
            memory.START_MEMORY + written,
        )

    def _tiling(self, lr: Size, room: int) -> Tiling:
        return Tiling(self._model, lr[0], lr[1], room, dense=self.swaps.refine != "none")

    def _beside(self, lr: Size, refs: Sequence[Size]) -> int:
        """Return the bytes that a process takes beside tiles."""
        taken = (
            memory.image_bytes([lr, *refs])
            + memory.restored_bytes((SCALE * lr[0], SCALE * lr[1]))
            + memory.versions_bytes(refs, self.matcher.largest_scale)
        )
        # What an encoder at work takes is counted in tiles too: large images may have that room.
        return max(memory.FIXED_MEMORY, memory.START_MEMORY + taken)

    def super_resolve(
        self,
        lr: RGB,
        refs: Sequence[RGB],
        correspondence: Correspondence | None = None,
        *,
        max_memory: int | None = None,
        kept: KeptMaps | None = None,
    ) -> RGB:
        """Return SR, uint8 [4h, 4w, 3], of `lr`, uint8 [h, w, 3], with one reference or more.

        LR has 3 px a side or more, references 12. `correspondence` may be given where it is known
        already. The process takes at most `max_memory` bytes: SR is made in tiles, and equal to SR
        at once but for the rounding of floats. None: SR_MEMORY, or what these images need. `kept`:
        of another network's SR with this correspondence and these references, and for the next one.
        Raises InputError where `max_memory` is too little.
        """
        size, sizes = lr.shape[:2], [ref.shape[:2] for ref in refs]
        least = self.least_memory(size, sizes) + (kept.room if kept else 0)
        bound = max(SR_MEMORY, least) if max_memory is None else max_memory
        memory.check(bound, least, f"LR of {size[1]}×{size[0]} px with its references")
        found = correspondence
        if found is None:
            found = self.match(lr, refs, bound)
            memory.release()
        room = bound - self._beside(size, sizes) - (kept.room if kept else 0)
        tiling = self._tiling(size, room)
        swapped = WindowedSwap(
            found, refs, self.versions, self.encoder, tiling.cache_bytes, tiling.block, kept
        )
        return tiles.super_resolve(self._model, lr, swapped, tiling)


def _on(device: torch.device, swaps: SwapParams) -> SwapParams:
    """Return how references are matched on `device`: where it has no TF32, in float32."""
    if swaps.precision == "tf32" and device.type != "cuda":
        return swaps.model_copy(update={"precision": "float32"})
    return swaps


def load_restorer(checkpoint: Path, device: str, files: NetworkFiles = AS_NAMED) -> Restorer:
    """Return the Restorer of a checkpoint, the last ones again while their files are unchanged.

    Raises InputError.
    """
    path = weights_file(checkpoint)
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _load_restorer(path, changed, device, files)


@functools.lru_cache(maxsize=16)  # of all the networks of the paper, one reference after the other
def _load_restorer(path: Path, changed: int, device: str, files: NetworkFiles) -> Restorer:
    return Restorer(load_checkpoint(path), choose_device(device), files)
