"""The stages of a pair's precompute, ours and the usual ways', each a call of its own."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from usual import match_convolved, match_looped, match_unfolded, swap_folded, swap_looped

from srntt_pipeline.config import SwapParams
from srntt_pipeline.images import RGB, downscale, upscale
from srntt_pipeline.maps import LAYERS, VALUES, Maps
from srntt_pipeline.matching.correspondence import Correspondence, match_maps
from srntt_pipeline.matching.patches import PatchNumbers
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.references import Augmentation, augment, down_up, valid_patches
from srntt_pipeline.swaps.shards import ShardHeader, StoredSwap, write_shard
from srntt_pipeline.swaps.swap import GridMaps, swap
from srntt_pipeline.swaps.windowed import swap_features

IMAGES = "images: LR↑, versions, Ref↓↑"
LR, BLURRED, RAW = "encoder: LR↑", "encoder: Ref↓↑, all versions", "encoder: Ref"
MATCH, SWAP = "correspondence", "swap of three layers"
INDEX, WRITE = "write: correspondence", "write: maps"
_FIRST = (IMAGES, LR, BLURRED, MATCH)
KEPT_INDEX, KEPT_MAPS = "whole, correspondence kept", "whole, maps kept"
WHOLE = {
    KEPT_INDEX: (*_FIRST, INDEX),
    KEPT_MAPS: (*_FIRST, RAW, SWAP, WRITE),
}

Run = Callable[[], object]
Matcher = Callable[[Tensor, Sequence[Tensor]], Tensor]
Swapper = Callable[[Correspondence, Sequence[Maps]], Maps]
# How they match, how they swap.
USUAL: dict[str, tuple[Matcher, Swapper]] = {
    "loop, loop": (match_looped, swap_looped),
    "convolution, loop": (match_convolved, swap_looped),
    "unfold, fold": (match_unfolded, swap_folded),
}


@dataclass(frozen=True)
class Work:
    """What a stage must do at least: operations, and bytes read and written."""

    operations: int
    moved: int


class Pair:
    """A pair's images, maps and correspondence: what each stage takes from the one before."""

    def __init__(
        self, hr: RGB, refs: list[RGB], versions: list[Augmentation], encoder: Encoder, out: Path
    ) -> None:
        self.hr, self.refs, self.versions, self.encoder = hr, refs, versions, encoder
        self.out = out
        self.low, self.images, self.blurred = self.make_images()
        self.lr = encoder.encode(self.low)["relu3_1"].clone()
        self.ref_maps = [encoder.encode(image)["relu3_1"].clone() for image in self.blurred]
        self.maps = self.encode_all()
        self.found = self.match()
        self.swapped = swap(self.found, self._raw)
        firsts = np.cumsum([0, *(PatchNumbers([shape]).count for shape in self.found.shapes)])
        self.parts = list(pairwise(firsts.tolist()))
        self.matched = [
            number
            for number, (first, end) in enumerate(self.parts)
            if bool(((self.found.index >= first) & (self.found.index < end)).any())
        ]

    def make_images(self) -> tuple[RGB, list[RGB], list[RGB]]:
        """Return LR↑, and Ref and Ref↓↑ of each version."""
        images = [augment(ref, version) for ref in self.refs for version in self.versions]
        return upscale(downscale(self.hr)), images, [down_up(image) for image in images]

    def encode_all(self) -> list[Maps]:
        """Return the maps of all versions, all layers: what the usual ways keep."""
        return [self.encoder.encode(image) for image in self.images]

    def match(self) -> Correspondence:
        """Return our correspondence on relu3_1's grid, with its masks."""
        masks = [valid_patches(r.shape, version) for r in self.refs for version in self.versions]
        valid = [None if mask is None else torch.from_numpy(mask.copy()) for mask in masks]
        return match_maps(self.lr, self.ref_maps, valid)

    def write(self, store: str, found: Correspondence, swapped: Maps | None) -> None:
        """Write one shard, as `precompute-swaps` does."""
        params = SwapParams.model_validate({"store": store, "refine": "none"})
        stored = StoredSwap("pair", "0" * 64, ("0" * 64,) * len(self.refs), found, maps=swapped)
        write_shard(
            self.out / f"{store}.h5", ShardHeader(self.encoder.identity, params, ""), [stored]
        )

    def savez(self, swapped: Maps) -> None:
        """Write float32 maps with the weights, uncompressed."""
        arrays = {layer: maps.numpy() for layer, maps in swapped.items()}
        np.savez(self.out / "maps.npz", weight=self.found.cosine.numpy(), **arrays)

    def _raw(self, version: int) -> GridMaps:
        return GridMaps(self.maps[version])

    def ours(self) -> dict[str, Run]:
        """Return our stages; maps that were used are dropped, as `precompute-swaps` does."""
        return {
            IMAGES: self.make_images,
            LR: lambda: self.encoder.encode(self.low),
            BLURRED: lambda: [self.encoder.encode(image) and None for image in self.blurred],
            MATCH: self.match,
            RAW: lambda: [self.encoder.encode(self.images[k]) and None for k in self.matched],
            SWAP: lambda: swap(self.found, self._raw),
            INDEX: lambda: self.write("correspondence", self.found, None),
            WRITE: lambda: self.write("maps", self.found, self.swapped),
        }

    def usual(self, matcher: Matcher, swapper: Swapper) -> dict[str, Run]:
        """Return the stages that differ in a usual way."""
        return {
            RAW: self.encode_all,
            MATCH: lambda: matcher(self.lr, self.ref_maps),
            SWAP: lambda: swapper(self.found, self.maps),
            WRITE: lambda: self.savez(self.swapped),
        }

    def our_whole(self, store: str) -> None:
        """Run everything as `precompute-swaps` does."""
        low = upscale(downscale(self.hr))
        found = match_images(low, self.refs, self.versions, self.encoder)
        maps = None
        if store == "maps":
            maps = swap_features(found, self.refs, self.versions, self.encoder).maps
        self.write(store, found, maps)

    def usual_whole(self, matcher: Matcher, swapper: Swapper) -> None:
        """Run everything in a usual way; our correspondence stands in for a loop's, cut short."""
        low, images, blurred = self.make_images()
        lr = self.encoder.encode(low)["relu3_1"]
        ref_maps = [self.encoder.encode(image)["relu3_1"] for image in blurred]
        index, found = matcher(lr, ref_maps), self.found
        if len(index) == found.index.numel():
            found = replace(found, index=index.view_as(found.index))
        self.savez(swapper(found, [self.encoder.encode(image) for image in images]))

    def work(self) -> dict[str, Work]:
        """Return the least that each stage must do, with our matches."""
        matched = [self.images[number] for number in self.matched]
        shapes = [(maps.shape[1], maps.shape[2]) for maps in self.ref_maps]
        products = 2 * self.lr.numel() * sum(height * width for height, width in shapes)
        mapped = self.lr.nbytes + sum(maps.nbytes for maps in self.ref_maps)
        answer = self.found.index.nbytes + self.found.score.nbytes
        cells = self.lr.shape[1] * self.lr.shape[2]
        gathered = 9 * self.found.index.numel() * VALUES
        sizes = {
            stage: (self.out / f"{store}.h5").stat().st_size
            for stage, store in ((INDEX, "correspondence"), (WRITE, "maps"))
        }
        return {
            LR: self._encoding([self.low], ["relu3_1"]),
            BLURRED: self._encoding(self.blurred, ["relu3_1"]),
            MATCH: Work(products, mapped + answer),
            RAW: self._encoding(matched, LAYERS),
            SWAP: Work(gathered, 4 * VALUES * (cells + self._cells_read())),
            **{stage: Work(0, 2 * size) for stage, size in sizes.items()},
        }

    def _encoding(self, images: Sequence[RGB], layers: Sequence[str]) -> Work:
        """Return the encoder's operations; its weights and the images read, `layers` written."""
        encoder = copy.deepcopy(self.encoder).to("meta")
        moved = sum(weights.nbytes for weights in self.encoder.parameters())
        with FlopCounterMode(display=False) as counter:
            for image in images:
                maps = encoder(torch.empty(1, 3, *image.shape[:2], device="meta"))
                moved += image.nbytes + sum(maps[layer].nbytes for layer in layers)
        return Work(counter.get_total_flops(), moved)

    def _cells_read(self) -> int:
        """Return how many relu3_1 positions of all versions lie in a matched patch."""
        total = 0
        for (first, end), (height, width) in zip(self.parts, self.found.shapes, strict=True):
            marks = torch.zeros(end - first)
            marks[
                self.found.index[(self.found.index >= first) & (self.found.index < end)] - first
            ] = 1
            spread = F.pad(marks.view(1, 1, height - 2, width - 2), [2] * 4)
            total += int(F.max_pool2d(spread, 3, stride=1).sum())
        return total
