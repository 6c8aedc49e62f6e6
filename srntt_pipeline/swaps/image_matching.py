"""Matching of images: LR↑ with every version of every reference (paper section 3.1).

`match_images` encodes both and searches. All goes window by window, so that memory does not grow
with the images: windows of LR↑ are kept in memory, as many as fit, and every window of every
version passes them once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from srntt_pipeline.images import RGB, upscale
from srntt_pipeline.maps import CHANNELS, FLOAT_BYTES, STRIDE
from srntt_pipeline.memory import MAX_MEMORY, release, share
from srntt_pipeline.swaps.correspondence import Correspondence, Search, join
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.patches import HALO
from srntt_pipeline.swaps.references import (
    Augmentation,
    Mask,
    augment,
    down_up,
    every_version,
    valid_patches,
)
from srntt_pipeline.swaps.torch_search import Precision
from srntt_pipeline.swaps.windows import Window, windows


def match_images(
    lr_up: RGB,
    refs: Sequence[RGB],
    versions: Sequence[Augmentation],
    encoder: Encoder,
    *,
    upscaler: Callable[[RGB], RGB] = upscale,
    max_memory: int = MAX_MEMORY,
    precision: Precision = "float32",
) -> Correspondence:
    """Return the correspondence of LR↑ with all versions of all references (`every_version`).

    `lr_up` and `refs`: uint8 [H, W, 3] each, of any sizes. `upscaler`: what made LR↑; it makes
    Ref↓↑ too. `precision`: as `match_maps` takes it.

    `max_memory`: bytes of the process, beside what `Matcher.taken` counts. It decides how many
    windows of LR↑ are searched for at once; for more, references are encoded again. No result
    depends on it.

    Patches that see a corner that rotation left empty are never matched, unless no version has any
    other patch: then all may be matched, so that every LR patch has a match.
    """
    tried = every_version(refs, versions)
    valid = [valid_patches(ref.shape, version) for ref, version in tried]
    if not any(mask is None or bool(mask.any()) for mask in valid):
        valid = [None] * len(valid)
    height, width = (side // STRIDE for side in lr_up.shape[:2])
    parts = list(windows(height, width, HALO))
    largest = parts[0].positions
    together = max(1, share(max_memory) // (FLOAT_BYTES * CHANNELS["relu3_1"] * largest))

    def found() -> Iterator[Correspondence]:
        for start in range(0, len(parts), together):
            here = parts[start : start + together]
            crops = (part.cut(lr_up) for part in here)
            searches = []
            for maps, part in zip(encoder.encode_each(crops, ["relu3_1"]), here, strict=True):
                lr = part.inner(maps["relu3_1"], lr_up)
                searches.append(Search(lr, max_memory=share(max_memory), precision=precision))
            _search_all(searches, tried, valid, encoder, upscaler)
            yield from (search.result() for search in searches)
            del searches, maps, lr
            if together < len(parts):
                release()

    return join(found(), parts)


def _search_all(
    searches: Sequence[Search],
    tried: Sequence[tuple[RGB, Augmentation]],
    valid: Sequence[Mask | None],
    encoder: Encoder,
    upscaler: Callable[[RGB], RGB],
) -> None:
    """Add every version of every reference to `searches`, window by window."""
    # What is being encoded, in order: on CUDA several windows go through the encoder at once.
    ahead: deque[tuple[RGB, Window, Mask | None, bool]] = deque()

    def crops() -> Iterator[RGB]:
        for (ref, version), mask in zip(tried, valid, strict=True):
            blurred = down_up(augment(ref, version), upscaler)
            shape = blurred.shape[0] // STRIDE, blurred.shape[1] // STRIDE
            for number, window in enumerate(windows(*shape, HALO)):
                ahead.append((blurred, window, mask, number == 0))
                yield window.cut(blurred)

    for maps in encoder.encode_each(crops(), ["relu3_1"]):
        image, window, mask, first = ahead.popleft()
        height, width = (side // STRIDE for side in image.shape[:2])
        ref = window.inner(maps["relu3_1"], image)
        for search in searches:
            if first:
                search.begin((height, width))
            search.add_window(ref, window, _part(mask, window, Window(0, height, 0, width)))


def _part(mask: Mask | None, window: Window, whole: Window) -> Tensor | None:
    """Return which patches of a window may be matched, by the mask of all; None: all of them."""
    if mask is None:
        return None
    here = window.patches.of(mask, whole)
    return None if here.all() else torch.from_numpy(here.copy())
