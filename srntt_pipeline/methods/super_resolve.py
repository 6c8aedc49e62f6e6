"""The command super-resolve: one LR image, the references at hand, any trained network."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from srntt_pipeline import memory
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
from srntt_pipeline.methods.checkpoint import of_checkpoint
from srntt_pipeline.methods.method import ALL, LR, NONE, Method
from srntt_pipeline.methods.restorer import MIN_LR_SIDE_PX
from srntt_pipeline.methods.scene import Scene
from srntt_pipeline.outputs import check_output_file
from srntt_pipeline.swaps.matcher import AS_NAMED, NetworkFiles
from srntt_pipeline.swaps.references import MIN_SIDE_PX

log = logging.getLogger(__name__)


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

    `checkpoint`: of any network that was trained here. Without references, LR is its own where the
    network needs one (SISR). SR has LR's colour profile; a reference of another is
    converted to that one, so that both show a colour by the same numbers. `max_memory`: bytes of
    the process in all; where they are too few for images of these sizes, none is decoded. Raises
    InputError.
    """
    check_output_file(out, ".png", [lr, *refs], lambda path: read_made_from(path) is not None)
    stored = {path: read_size(path) for path in (lr, *refs)}
    for path, size in stored.items():
        if not any(size):  # what is wrong with it is told before networks are loaded
            read_whole(path, grey=True)
    method, on = of_checkpoint(checkpoint, files), str(choose_device(device))
    reference = _reference(method, refs)
    method.notes(on)  # loads it, or says why it cannot
    long_side = params.reference_long_side_px or SCALE * max(stored[lr])
    _check_memory(method, on, lr, refs, stored, long_side, max_memory)
    given = read_whole(lr, min_side=MIN_LR_SIDE_PX, grey=True)
    image, profile = given.pixels, _usable(given.profile, lr)
    height, width = image.shape[:2]
    images = [limit_long_side(_read_reference(ref, profile), long_side) for ref in refs]
    levels = {f"L{number}": image for number, image in enumerate(images, 1)}
    scene = Scene(image, levels, name=lr.stem, device=on, max_memory=max_memory)
    sr = method.super_resolve(scene, reference)
    memory.release()
    write_png(out, sr, "super-resolve", profile)
    log.info("Wrote %s: %d×%d px", out, SCALE * width, SCALE * height)


def _reference(method: Method, refs: Sequence[Path]) -> str:
    """Return which of the scene's references the method is to take; raise InputError for none."""
    if not refs:
        return NONE if method.takes(NONE) else LR
    if method.takes(ALL):
        return ALL
    if not method.takes("L1"):
        raise InputError(f"{method.checkpoint}: {method.name} takes no reference; leave out --ref")
    if len(refs) > 1:
        raise InputError(f"{method.checkpoint}: {method.name} takes one reference, not {len(refs)}")
    return "L1"


def _check_memory(
    method: Method,
    device: str,
    lr: Path,
    refs: Sequence[Path],
    stored: Mapping[Path, Size],
    long_side: int,
    max_memory: int,
) -> None:
    """Raise InputError where images of the `stored` sizes do not fit the bound."""
    sizes = [shrunk_size(stored[ref], long_side) for ref in refs]
    decoding = max(memory.decoding_bytes(size, path) for path, size in stored.items())
    least = max(
        method.least_memory(stored[lr], sizes, device),
        memory.START_MEMORY + memory.image_bytes([stored[lr], *(sizes or [stored[lr]])]) + decoding,
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
