"""From an LR image and references to SR, with a checkpoint (paper section 3)."""

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from srntt_pipeline import memory
from srntt_pipeline.checkpoints import Checkpoint, load_checkpoint, weights_file
from srntt_pipeline.colour import BrokenProfile, convert, told_from_srgb
from srntt_pipeline.config import SuperResolveParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import (
    RGB,
    SCALE,
    limit_long_side,
    read_made_from,
    read_size,
    read_whole,
    shrunk_size,
    write_png,
)
from srntt_pipeline.memory import Size
from srntt_pipeline.methods import tiles
from srntt_pipeline.methods.tiles import Tiling
from srntt_pipeline.models import SRNTT
from srntt_pipeline.outputs import check_output_file
from srntt_pipeline.swaps.correspondence import Correspondence
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.matcher import AS_NAMED, NetworkFiles, check_networks, load_matcher
from srntt_pipeline.swaps.references import MIN_SIDE_PX
from srntt_pipeline.swaps.windowed import KeptMaps, WindowedSwap

log = logging.getLogger(__name__)

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
            raise InputError(
                f"{checkpoint.path}: {info.model} takes no references; name a checkpoint of SRNTT"
            )
        self.checkpoint, self.device, self.swaps = checkpoint, device, info.swaps
        weights = files.found(info.swaps).encoder_weights
        self.encoder = load_encoder(weights, info.swaps.encoder_seed, device)
        if self.encoder.identity.sha256 != info.encoder.sha256:
            raise InputError(
                f"{checkpoint.path} was trained with {info.encoder}, not with "
                f"{self.encoder.identity}; name that file with --encoder-weights"
            )
        self.matcher = load_matcher(info.swaps, self.encoder, files)
        check_networks(checkpoint.path, info.networks, self.matcher.networks)
        self.versions = self.matcher.versions
        self._model = model.to(device)

    def correspond(
        self, lr: RGB, refs: Sequence[RGB], max_memory: int | None = None
    ) -> Correspondence:
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
            self._beside(lr, refs) + Tiling(self._model, lr[0], lr[1], 0).least,
            memory.START_MEMORY + written,
        )

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
            found = self.correspond(lr, refs, bound)
            memory.release()
        room = bound - self._beside(size, sizes) - (kept.room if kept else 0)
        tiling = Tiling(self._model, size[0], size[1], room)
        swapped = WindowedSwap(
            found, refs, self.versions, self.encoder, tiling.cache_bytes, tiling.block, kept
        )
        return tiles.super_resolve(self._model, lr, swapped, tiling)


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


def super_resolve(
    lr: Path,
    refs: Sequence[Path],
    checkpoint: Path,
    out: Path,
    params: SuperResolveParams,
    *,
    device: str = "auto",
    files: NetworkFiles = AS_NAMED,
    max_memory: int = memory.MAX_MEMORY,
) -> None:
    """Write the ×4 SR of the image file `lr` with reference files `refs` to `out` (PNG).

    Without references, LR is its own (SISR). SR has LR's colour profile; a reference of another is
    converted to that one, so that both show a colour by the same numbers. `max_memory`: bytes of
    the process in all; where they are too few for images of these sizes, none is decoded. Raises
    InputError.
    """
    check_output_file(out, ".png", [lr, *refs], lambda path: read_made_from(path) is not None)
    stored = {path: read_size(path) for path in (lr, *refs)}
    for path, size in stored.items():
        if not any(size):  # what is wrong with it is told before networks are loaded
            read_whole(path, grey=True)
    restorer = load_restorer(checkpoint, device, files)
    long_side = params.reference_long_side_px or SCALE * max(stored[lr])
    _check_memory(restorer, lr, refs, stored, long_side, max_memory)
    given = read_whole(lr, min_side=MIN_LR_SIDE_PX, grey=True)
    image, profile = given.pixels, _usable(given.profile, lr)
    height, width = image.shape[:2]
    images = [limit_long_side(_read_reference(ref, profile), long_side) for ref in refs]
    sr = restorer.super_resolve(image, images or [image], max_memory=max_memory)
    memory.release()
    write_png(out, sr, "super-resolve", profile)
    log.info("Wrote %s: %d×%d px", out, SCALE * width, SCALE * height)


def _check_memory(
    restorer: Restorer,
    lr: Path,
    refs: Sequence[Path],
    stored: Mapping[Path, Size],
    long_side: int,
    max_memory: int,
) -> None:
    """Raise InputError where images of the `stored` sizes do not fit the bound."""
    sizes = [shrunk_size(stored[ref], long_side) for ref in refs] or [stored[lr]]
    decoding = max(memory.decoding_bytes(size, path) for path, size in stored.items())
    least = max(
        restorer.least_memory(stored[lr], sizes),
        memory.START_MEMORY + memory.image_bytes([stored[lr], *sizes]) + decoding,
    )
    largest = max(stored, key=lambda path: memory.pixels(stored[path]))
    height, width = stored[largest]
    memory.check(max_memory, least, f"{largest}, {width}×{height} px, and the other images")


def _read_reference(path: Path, profile: bytes | None) -> RGB:
    """Return a reference in the colours of `profile`, that of LR; None: sRGB."""
    given = read_whole(path, min_side=MIN_SIDE_PX, grey=True)
    source = told_from_srgb(_usable(given.profile, path))
    return convert(given.pixels, source, told_from_srgb(profile))


def _usable(profile: bytes | None, path: Path) -> bytes | None:
    """Return a colour profile, or None, with a warning, where it is not one of RGB images."""
    try:
        told_from_srgb(profile)
    except BrokenProfile as error:
        log.warning("%s: its colour profile is not used (%s); taken as sRGB", path, error)
        return None
    return profile
