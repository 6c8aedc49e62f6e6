"""Batches of training patches that depend on seed and step alone, so that a killed run resumes.

Neither the number of loader workers nor that of devices changes a batch.
"""

import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from srntt_pipeline.ending import follow
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import sha256
from srntt_pipeline.images import (
    RGB,
    SCALE,
    crop_to_multiple,
    decode,
    downscale,
    read_bytes,
    read_size,
)
from srntt_pipeline.layout import TrainPair
from srntt_pipeline.maps import LAYERS, to_image, to_tensor
from srntt_pipeline.recipes import Inputs, Phase, Recipe, phase_at
from srntt_pipeline.seeds import generator
from srntt_pipeline.swaps.dataset import SwappedPair
from srntt_pipeline.training.raw_references import ReferenceImages, collate
from srntt_pipeline.views import AS_IT_IS, View, draw_view, turned_corner, turned_size

Draw = tuple[int, int, int]  # step, place in the batch, index of the pair


class Source(Protocol):
    """Where patches are cut from: `SwappedPairs`, or `HrImages`, which has no maps."""

    pairs: Sequence[TrainPair]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> SwappedPair: ...

    def seen(self, index: int, view: View) -> SwappedPair:
        """Return a pair in a view, with its maps."""

    def lr_hr(self, index: int, view: View = AS_IT_IS) -> tuple[Tensor, Tensor]:
        """Return LR [3, h, w] and HR [3, 4h, 4w], float32 in [0, 1], in a view."""

    def reference(self, index: int) -> RGB | None:
        """Return the reference of a pair, whose maps are swapped; None where there is none."""


class HrImages:
    """The HR images of `pairs` and what LR they give, without references and maps.

    `hashes`: SHA-256 of each image's file, by the pair's name; one that has changed is refused.
    """

    def __init__(self, pairs: Sequence[TrainPair], hashes: Mapping[str, str]) -> None:
        self.pairs, self._hashes = pairs, hashes

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> SwappedPair:
        return self.seen(index, AS_IT_IS)

    def seen(self, index: int, view: View) -> SwappedPair:
        """Raise TypeError: there are none."""
        raise TypeError("HR images alone have no swapped maps")

    def lr_hr(self, index: int, view: View = AS_IT_IS) -> tuple[Tensor, Tensor]:
        """Return LR [3, h, w] and HR [3, 4h, 4w], float32 in [0, 1], in a view."""
        pair = self.pairs[index]
        content = read_bytes(pair.hr)
        if sha256(content) != self._hashes[pair.name]:
            raise InputError(f"{pair.hr} has changed since training started; start it again")
        hr = view.of(crop_to_multiple(decode(content, pair.hr, grey=True)))
        return to_tensor(downscale(hr)), to_tensor(hr)

    def reference(self, index: int) -> RGB | None:
        """Return None: HR is alone."""
        return None


class StepSampler(Sampler[list[Draw]]):
    """The batches of steps `start` to `stop` - 1: every pair once an epoch, in an order by seed.

    Process `rank` of `world` gets an equal share of each batch, which `world` must divide.
    """

    def __init__(
        self,
        pairs: int,
        batch_size: int,
        start: int,
        stop: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._pairs, self._batch_size, self._seed = pairs, batch_size, seed
        self._steps, self._places = range(start, stop), range(rank, batch_size, world)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[Draw]]:
        orders: dict[int, np.ndarray] = {}
        for step in self._steps:
            batch = []
            for place in self._places:
                epoch, position = divmod(step * self._batch_size + place, self._pairs)
                if epoch not in orders:
                    orders = {
                        e: generator(self._seed, "epoch", e).permutation(self._pairs)
                        for e in (epoch - 1, epoch)
                        if e >= 0
                    }
                batch.append((step, place, int(orders[epoch][position])))
            yield batch


class Patches(Dataset[dict[str, Tensor]]):
    """Random patches of `pairs`, cut at the same place from LR, HR, maps and weight map.

    `patch` is the HR side, px, and falls on whole LR pixels. With `augment`, each is of the pair
    turned and flipped in one of the eight ways; with `colour`, of the pair in other colours, whose
    factors are within 1 ± `colour`; with `least_scale` below 1, HR made smaller by a factor above
    it, which only pairs without references are: images are, LR and maps are made of them. Keys:
    `lr` and `hr`; with `inputs` of `maps`, `weight` and the layers' names, but for steps of
    `phases` on the maps of HR itself; with `images`, `refs`, as `references` gives it; with
    `mixes`, `mix`, so many numbers in [0, 1), at which the critic's gradient is taken. In steps of
    `phases` that draw a scale, `lr` is HR smaller by that, of the side that it has at ×4, and `hr`
    is of another. Raises InputError for a smaller pair.
    """

    def __init__(
        self,
        pairs: Source,
        patch: int,
        seed: int,
        inputs: Inputs,
        augment: bool = False,
        mixes: int = 0,
        references: ReferenceImages | None = None,
        colour: float = 0,
        phases: Sequence[Phase] = (),
        least_scale: float = 1.0,
    ) -> None:
        self._pairs, self._side, self._seed = pairs, patch // SCALE, seed
        self._inputs, self._augment, self._mixes = inputs, augment, mixes
        self._references, self._colour, self._phases = references, colour, phases
        self._least_scale = least_scale

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        step, place, index = draw
        view = draw_view(
            generator(self._seed, "view", step, place), turn=self._augment, colour=self._colour,
            least_scale=self._least_scale, least_px=SCALE * self._side,
        )  # fmt: skip
        inputs = "lr" if is_on_truth(self._phases, step + 1) else self._inputs
        tensors = whole_pair(self._pairs, index, inputs, view)
        if (scale := drawn_scale(self._phases, step + 1, self._seed)) != SCALE:
            tensors = _at_scale(tensors["hr"], scale)
        side, rows = self._side, tensors["lr"].shape[1]
        # Places are drawn in the pair as it is: whether it is turned changes none of them.
        height, width = turned_size(rows, tensors["lr"].shape[2], view.way)
        file = self._pairs.pairs[index].hr
        if min(height, width) < side:
            raise _too_small(file, side * SCALE)
        rng = generator(self._seed, "patch", step, place)
        top, left = map(int, rng.integers(0, [height - side, width - side], endpoint=True))
        corner = turned_corner(top, left, height, width, side, view.way)
        patch = {
            name: _cut(tensor, *corner, side, tensor.shape[1] // rows)
            for name, tensor in tensors.items()
        }
        if self._inputs == "images":
            assert self._references is not None
            box = (SCALE * top, SCALE * left, SCALE * side, SCALE * side)
            patch["refs"] = self._references.beside(self._pairs.pairs[index], box, view)
        for name, tensor in patch.items():
            if not _is_finite(tensor):
                raise InputError(
                    f"{file}: {name} of this pair holds NaN or infinity; run precompute-swaps again"
                )
        if self._mixes:
            shares = generator(self._seed, "mix", step, place).random(self._mixes, np.float32)
            patch["mix"] = torch.from_numpy(shares)
        return patch


def is_on_truth(phases: Sequence[Phase], step: int) -> bool:
    """Tell whether step number `step` of a run, from 1 on, is made on the maps of HR itself."""
    return bool(phases) and phase_at(phases, step).is_on_truth(step)


def drawn_scale(phases: Sequence[Phase], step: int, seed: int) -> int:
    """Return by how much LR is smaller in step number `step` of a run, from 1 on: 4, or drawn."""
    scales = phase_at(phases, step).scales if phases else ()
    if not scales:
        return SCALE
    return scales[int(generator(seed, "scale", step).integers(len(scales)))]


def _at_scale(hr: Tensor, scale: int) -> dict[str, Tensor]:
    """Return `lr` and `hr` of HR [3, H, W], which is cut to multiples of `scale`."""
    image = crop_to_multiple(to_image(hr), scale)
    return {"lr": to_tensor(downscale(image, scale)), "hr": to_tensor(image)}


def whole_pair(
    pairs: Source, index: int, inputs: Inputs, view: View = AS_IT_IS
) -> dict[str, Tensor]:
    """Return `lr` and `hr` of a pair, and for `inputs` of `maps` its `weight` and maps by layer."""
    if inputs == "maps":
        pair = pairs.seen(index, view)
        return {"lr": pair["lr"], "hr": pair["hr"], "weight": pair["weight"], **pair["maps"]}
    lr, hr = pairs.lr_hr(index, view)
    return {"lr": lr, "hr": hr}


def check_sizes(pairs: Sequence[TrainPair], patch_px: int) -> None:
    """Raise InputError for a pair too small for a patch, by the size in the header of its file."""
    for pair in pairs:
        side = min(read_size(pair.hr))
        # Of a file without a header, whoever decodes it says what is wrong with it.
        if side and side // SCALE < patch_px // SCALE:
            raise _too_small(pair.hr, patch_px)


def _too_small(path: Path, patch_px: int) -> InputError:
    return InputError(f"{path} is smaller than patch_px = {patch_px}; lower that")


def map_deviations(pairs: Source, count: int) -> dict[str, float]:
    """Return the standard deviation of each layer's swapped maps over the first `count` pairs.

    Raises InputError for maps that are no numbers.
    """
    count = min(count, len(pairs))
    squares = dict.fromkeys(LAYERS, 0.0)
    for index in range(count):
        for layer, maps in pairs[index]["maps"].items():
            if not _is_finite(maps):
                raise InputError(
                    f"{pairs.pairs[index].ref}: its maps hold NaN or infinity on {layer}; run "
                    "precompute-swaps again, with sound weights of the encoder"
                )
            squares[layer] += float(maps.var(correction=0)) / count
    return {layer: square**0.5 for layer, square in squares.items()}


def _is_finite(tensor: Tensor) -> bool:
    # A sum tells it four times as fast, but can overflow.
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def batches(
    patches: Patches, sampler: StepSampler, workers: int, context: str = "spawn"
) -> DataLoader[dict[str, Tensor]]:
    """Return the loader of these batches, with so many worker processes.

    `context`: how they are started; `spawn` carries over neither threads nor CUDA.
    """
    return DataLoader(
        patches,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        multiprocessing_context=context if workers else None,
        worker_init_fn=functools.partial(_begin, os.getpid()) if workers else None,
        pin_memory=workers > 0 and torch.cuda.is_available(),
    )


def step_batches(
    pairs: Source,
    params: Recipe,
    steps: range,
    inputs: Inputs,
    mixes: int,
    references: ReferenceImages | None,
    phases: Sequence[Phase],
    rank: int,
    world: int,
    workers: int,
) -> DataLoader[dict[str, Tensor]]:
    """Return the loader of the batches of `steps`, a process's share, as `params` cut them."""
    patches = Patches(
        pairs, params.patch_px, params.seed, inputs, params.augment, mixes, references,
        params.colour, phases, params.least_scale(),
    )  # fmt: skip
    sampler = StepSampler(
        len(patches), params.batch_size, steps.start, steps.stop, params.seed, rank, world
    )
    return batches(patches, sampler, workers)


def drawn(loader: Iterable[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """Yield the batches of a loader; raise InputError in one line, also out of its workers."""
    try:
        yield from loader
    except (InputError, RuntimeError) as error:
        # PyTorch tells what a worker raised in a text with its traceback, the line itself last.
        told = re.findall(r"^srntt_pipeline\.errors\.\w+: (.*)", str(error), re.MULTILINE)
        if not (told and str(error).startswith("Caught ")):
            raise
        raise InputError(told[-1]) from None


def _begin(parent: int, worker: int) -> None:
    follow(parent)
    cv2.setNumThreads(0)  # PyTorch's threads are one in a worker already


def _cut(tensor: Tensor, top: int, left: int, side: int, factor: int) -> Tensor:
    rows = slice(top * factor, (top + side) * factor)
    columns = slice(left * factor, (left + side) * factor)
    return tensor[:, rows, columns]
