"""Matching of images: LR↑ with every version of every reference (paper section 3.1).

`match_images` encodes both, searches on the grid of relu3_1, and refines what was found to the
pixel. All goes window by window, so that memory does not grow with the images: windows of LR↑ are
kept in memory, as many as fit, and every window of every version passes them once; dense maps are
made only of windows that something was matched in.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from srntt_pipeline.config import Refine
from srntt_pipeline.images import RGB, upscale
from srntt_pipeline.maps import CHANNELS, FLOAT_BYTES, STRIDE
from srntt_pipeline.matching.correspondence import Correspondence, Search, join
from srntt_pipeline.matching.patches import HALO, PATCH
from srntt_pipeline.matching.torch_search import Precision
from srntt_pipeline.matching.windows import AROUND, Window, windows
from srntt_pipeline.memory import MAX_MEMORY, release, share
from srntt_pipeline.swaps.cached_encoder import CachedEncoder
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.references import (
    Augmentation,
    Mask,
    augment,
    down_up,
    down_up_mean,
    every_version,
    valid_patches,
    valid_places,
    version_shape,
)
from srntt_pipeline.swaps.refine import (
    PLACES_VALUES,
    REACH,
    TEXTURE_REACH,
    Around,
    Refinement,
    TextureStep,
    dense_norms,
)

_Step = TypeVar("_Step", Refinement, TextureStep)


def match_images(
    lr_up: RGB,
    refs: Sequence[RGB],
    versions: Sequence[Augmentation],
    encoder: Encoder,
    *,
    upscaler: Callable[[RGB], RGB] = upscale,
    max_memory: int = MAX_MEMORY,
    precision: Precision = "float32",
    refine: Refine = "none",
    refine_best: int = 1,
) -> Correspondence:
    """Return the correspondence of LR↑ with all versions of all references (`every_version`).

    `lr_up` and `refs`: uint8 [H, W, 3] each, of any sizes. `upscaler`: what made LR↑; it makes
    Ref↓↑ too. `precision`: as `match_maps` takes it. `refine`, `refine_best`: whether matches are
    refined to the pixel, by which maps, and from how many candidates (`refine`); then each
    reference has candidates of its own.

    `max_memory`: bytes of the process, beside what `Matcher.taken` counts. It decides how many
    windows of LR↑ are searched for at once; for more, references are encoded again. No result
    depends on it.

    Patches that see a corner that rotation left empty are never matched, unless no version has any
    other patch: then all may be matched, so that every LR patch has a match.
    """
    to_pixel = refine != "none"
    if to_pixel and not isinstance(encoder, CachedEncoder):
        # Dense maps go on from what the search encodes, and LR↑ is encoded once for all references.
        encoder = CachedEncoder(encoder, share(max_memory))
    if to_pixel and len(refs) > 1:
        # Each reference is refined around its own best, so the best of all is that of each one's.
        usable = [_usable(every_version([ref], versions)) for ref in refs]
        each = [
            match_images(
                lr_up,
                [ref],
                versions,
                encoder,
                upscaler=upscaler,
                max_memory=max_memory,
                precision=precision,
                refine=refine,
                refine_best=refine_best,
            )
            if able or not any(usable)
            else _nowhere(lr_up, ref, versions, encoder)
            for ref, able in zip(refs, usable, strict=True)
        ]
        return sum(each[1:], start=each[0])
    tried = every_version(refs, versions)
    references = VersionsOfReferences(tried, encoder, upscaler, to_pixel=to_pixel)
    height, width = (side // STRIDE for side in lr_up.shape[:2])
    parts = list(windows(height, width, HALO))
    values = CHANNELS["relu3_1"] + (refine_best * PLACES_VALUES if to_pixel else 0)
    together = max(1, share(max_memory) // (FLOAT_BYTES * values * parts[0].positions))

    def found() -> Iterator[Correspondence]:
        for start in range(0, len(parts), together):
            here = parts[start : start + together]
            searches = [
                Search(
                    lr,
                    max_memory=share(max_memory),
                    precision=precision,
                    best=refine_best if to_pixel else 1,
                )
                for lr in _maps_of(lr_up, here, encoder, "relu3_1")
            ]
            references.search(searches)
            if not to_pixel:
                yield from (search.result() for search in searches)
            else:
                reach = REACH + (TEXTURE_REACH if refine == "relu1_1" else 0)
                fine = [
                    Refinement(search.lr, search.candidates(), reach=reach) for search in searches
                ]
                searches.clear()
                references.refine(fine)
                if refine == "relu1_1":
                    lrs = _maps_of(lr_up, here, encoder, "relu1_1")
                    steps = [TextureStep(*each) for each in zip(fine, lrs, strict=True)]
                    references.refine_texture(steps)
                    yield from (one.result(step) for one, step in zip(fine, steps, strict=True))
                else:
                    yield from (one.result() for one in fine)
                del fine
            del searches
            if together < len(parts):
                release()

    return join(found(), parts)


def _usable(tried: Sequence[tuple[RGB, Augmentation]]) -> bool:
    """Tell whether any patch on the grid of any version sees no empty corner."""
    masks = (valid_patches(ref.shape, version) for ref, version in tried)
    return any(mask is None or bool(mask.any()) for mask in masks)


def _nowhere(
    lr_up: RGB, ref: RGB, versions: Sequence[Augmentation], encoder: Encoder
) -> Correspondence:
    """Return the correspondence with a reference of which no patch may be matched."""
    size = [side // STRIDE - HALO for side in lr_up.shape[:2]]
    score = encoder.mean.new_full(size, -torch.inf)
    shapes = tuple(version_shape(*ref.shape[:2], version) for version in versions)
    index = torch.zeros_like(score, dtype=torch.int64)
    return Correspondence(index, score, torch.zeros_like(score), shapes, index.to(torch.uint8))


def _maps_of(image: RGB, parts: Sequence[Window], encoder: Encoder, layer: str) -> Iterator[Tensor]:
    """Yield the map of each window of an image."""
    crops = (part.cut(image) for part in parts)
    for maps, part in zip(encoder.encode_each(crops, [layer]), parts, strict=True):
        yield part.inner(maps[layer], image)


class VersionsOfReferences:
    """All versions of all references as Ref↓↑, encoded window by window for whoever matches them.

    `to_pixel`: as `down_up_mean` makes it.
    """

    def __init__(
        self,
        tried: Sequence[tuple[RGB, Augmentation]],
        encoder: Encoder,
        upscaler: Callable[[RGB], RGB],
        *,
        to_pixel: bool,
    ) -> None:
        self._tried, self._encoder, self._upscaler = tried, encoder, upscaler
        self._to_pixel = to_pixel
        self._last: tuple[int, Mask | None] | None = None
        self._masked = _usable(tried)  # else all may be matched

    def _image(self, number: int) -> RGB:
        image = augment(*self._tried[number])
        return (down_up_mean if self._to_pixel else down_up)(image, self._upscaler)

    def _mask(self, number: int) -> Mask | None:
        """Return which patches may be matched by the pixel that they begin at; None: all.

        Every fourth is on relu3_1's grid. The last one is kept: of a large image it is large.
        """
        if not self._masked:
            return None
        if self._last is None or self._last[0] != number:
            ref, version = self._tried[number]
            self._last = number, valid_places(ref.shape, version)
        return self._last[1]

    def search(self, searches: Sequence[Search]) -> None:
        """Add every version to `searches`."""
        # What is being encoded, in order: on CUDA several windows go through the encoder at once.
        ahead: deque[tuple[RGB, Window, int]] = deque()

        def crops() -> Iterator[RGB]:
            for number in range(len(self._tried)):
                image = self._image(number)
                for window in windows(*_shape(image), HALO):
                    ahead.append((image, window, number))
                    yield window.grown(AROUND, *_shape(image)).pixels(image)

        begun = -1
        for maps in self._encoder.encode_grids(crops(), dense=self._to_pixel):
            image, window, number = ahead.popleft()
            shape = _shape(image)
            ref = window.of(maps, window.grown(AROUND, *shape))
            valid = self._valid_in(window, number, shape)
            for search in searches:
                if number != begun:
                    search.begin(shape)
                search.add_window(ref, window, valid)
            begun = number

    def _valid_in(self, window: Window, number: int, shape: tuple[int, int]) -> Tensor | None:
        """Return which patches of a window may be matched; None: all of them."""
        mask = self._mask(number)
        if mask is None:
            return None
        here = window.patches.of(mask[::STRIDE, ::STRIDE], Window(0, shape[0], 0, shape[1]))
        return None if here.all() else torch.from_numpy(here.copy())

    def refine(self, parts: Sequence[Refinement]) -> None:
        """Add the dense maps that `parts` need."""
        for image, seen, number, wanted in self._windows(parts):
            dense = self._encoder.dense(seen.pixels(image))
            valid = self._places_in(seen, number)
            for half, maps in dense.relu3_1():
                norms = dense_norms(maps)
                for part, around in wanted:
                    part.add(around, half, maps, norms, valid)

    def refine_texture(self, steps: Sequence[TextureStep]) -> None:
        """Add the relu1_1 maps that `steps` need."""
        for image, seen, _, wanted in self._windows(steps):
            maps = next(self._encoder.encode_each([seen.pixels(image)], ["relu1_1"]))["relu1_1"]
            for step, around in wanted:
                step.add(around, maps)

    def _windows(
        self, steps: Sequence[_Step]
    ) -> Iterator[tuple[RGB, Window, int, list[tuple[_Step, Around]]]]:
        """Yield the windows that some of `steps` have matches in, a little larger, and what there.

        Windows are those of the search always, whatever is in them: no rounding depends on matches.
        """
        # The last versions first: an encoder that remembers has just seen those.
        for number, shape in reversed(list(enumerate(steps[0].shapes))):
            image: RGB | None = None
            for window in windows(*shape, HALO):
                seen = window.grown(AROUND, *shape)
                found = [(step, step.around(number, window, seen)) for step in steps]
                wanted = [(step, around) for step, around in found if around is not None]
                if wanted:
                    image = self._image(number) if image is None else image
                    yield image, seen, number, wanted

    def _places_in(self, seen: Window, number: int) -> Tensor | None:
        """Return which patches may be matched, by the pixel of `seen` that they begin at.

        None: all.
        """
        mask = self._mask(number)
        if mask is None:
            return None
        rows = slice(STRIDE * seen.top, STRIDE * (seen.bottom - PATCH) + 1)
        here = mask[rows, STRIDE * seen.left : STRIDE * (seen.right - PATCH) + 1]
        return torch.from_numpy(here.copy()).to(self._encoder.mean.device)


def _shape(image: RGB) -> tuple[int, int]:
    return image.shape[0] // STRIDE, image.shape[1] // STRIDE
