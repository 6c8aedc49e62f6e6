"""Batches of training patches that depend on seed and step alone, so that a killed run resumes."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from srntt_pipeline.errors import InputError
from srntt_pipeline.images import SCALE
from srntt_pipeline.seeds import generator
from srntt_pipeline.swaps.dataset import SwappedPairs

Draw = tuple[int, int, int]  # step, place in the batch, index of the pair


class StepSampler(Sampler[list[Draw]]):
    """The batches of steps `start` to `stop` - 1: every pair once an epoch, in an order by seed."""

    def __init__(self, pairs: int, batch_size: int, start: int, stop: int, seed: int) -> None:
        self._pairs, self._batch_size, self._seed = pairs, batch_size, seed
        self._steps = range(start, stop)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[Draw]]:
        orders: dict[int, np.ndarray] = {}
        for step in self._steps:
            batch = []
            for place in range(self._batch_size):
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

    `patch` is the HR side, px, and falls on whole LR pixels. Without `with_maps`, only LR and HR.
    With `augment`, each patch is turned and flipped in one of the eight ways, its tensors alike.
    Keys: `lr`, `hr`, `weight` and the layers' names. Raises InputError for a smaller pair.
    """

    def __init__(
        self, pairs: SwappedPairs, patch: int, seed: int, with_maps: bool, augment: bool = False
    ) -> None:
        self._pairs, self._side, self._seed = pairs, patch // SCALE, seed
        self._with_maps, self._augment = with_maps, augment

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        step, place, index = draw
        if self._with_maps:
            pair = self._pairs[index]
            tensors = {"lr": pair["lr"], "hr": pair["hr"], "weight": pair["weight"], **pair["maps"]}
        else:
            lr, hr = self._pairs.lr_hr(index)
            tensors = {"lr": lr, "hr": hr}
        height, width = tensors["lr"].shape[1:]
        side = self._side
        if min(height, width) < side:
            raise InputError(
                f"{self._pairs.pairs[index].hr} is smaller than train.patch_px = {side * SCALE}; "
                "lower that"
            )
        rng = generator(self._seed, "patch", step, place)
        top, left = rng.integers(0, [height - side, width - side], endpoint=True)
        patch = {
            name: _cut(tensor, int(top), int(left), side, tensor.shape[1] // height)
            for name, tensor in tensors.items()
        }
        if not self._augment:
            return patch
        turns, flip = divmod(int(rng.integers(8)), 2)
        return {name: _turned(tensor, turns, bool(flip)) for name, tensor in patch.items()}


def _cut(tensor: Tensor, top: int, left: int, side: int, factor: int) -> Tensor:
    rows = slice(top * factor, (top + side) * factor)
    columns = slice(left * factor, (left + side) * factor)
    return tensor[:, rows, columns]


def _turned(tensor: Tensor, turns: int, flip: bool) -> Tensor:
    """Turn [C, H, W] counter-clockwise by `turns` · 90°, then flip it left to right or not."""
    turned = torch.rot90(tensor, turns, (1, 2))
    return turned.flip(2) if flip else turned
