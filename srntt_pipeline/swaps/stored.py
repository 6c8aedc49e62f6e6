"""One pair in a shard: what it holds, read as if a stranger had written it.

The pair's group holds `shapes`, `index`, `cosine`, where matches are refined `phase`, and where
maps are stored `maps` (see docs/formats.md). Shards of version 2 call the cosine `score`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from srntt_pipeline.errors import InputError
from srntt_pipeline.hdf5 import child, read_array, read_text
from srntt_pipeline.maps import CELLS, CHANNELS, LAYERS, Maps
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.matching.patches import HALO, PATCH, PatchNumbers
from srntt_pipeline.swaps.dense import PHASES, shift_of
from srntt_pipeline.swaps.references import Augmentation, version_shape

TYPES: dict[str, npt.DTypeLike] = {
    "index": np.uint32, "cosine": np.float32, "phase": np.uint8,
}  # fmt: skip
# A pair beyond these is none that we make: LR patches of an HR image of 268 megapixels.
_MOST_VERSIONS, _MOST_SIDE, _MOST_PATCHES = 1 << 14, 1 << 14, 1 << 24


@dataclass(frozen=True)
class StoredSwap:
    """What a shard holds of a pair: its correspondence and the hashes of the images behind it.

    `maps`: the swapped maps to store as well; what `Shards` reads has none, ask `Shards.maps`.
    """

    name: str
    hr_sha256: str
    ref_sha256: tuple[str, ...]
    correspondence: Correspondence
    maps: Maps | None = None


def read_swap(group: h5py.Group, name: str, version: int, *, refined: bool) -> StoredSwap:
    """Return a pair's correspondence; raise ValueError unless all of it makes sense.

    `version`: of the format that its shard is written in; `refined`: whether its matches are.
    """
    shapes = read_array(group, "shapes", np.uint16, (_MOST_VERSIONS, 2))
    sides = (_MOST_SIDE, _MOST_SIDE)
    index = read_array(group, "index", TYPES["index"], sides)
    called = "score" if version == 2 else "cosine"
    cosine = read_array(group, called, TYPES["cosine"], sides)
    if shapes.shape[1] != 2 or not shapes.size or shapes.min() < PATCH:
        raise ValueError("shapes are not those of reference versions")
    if index.shape != cosine.shape or not 0 < index.size <= _MOST_PATCHES:
        raise ValueError(f"index is {index.shape} and {called} {cosine.shape}")
    pairs = tuple((int(height), int(width)) for height, width in shapes)
    if int(index.max()) >= PatchNumbers(pairs).count:
        raise ValueError("index leads beyond the patches of the references")
    if not (cosine.min() >= 0 and cosine.max() <= 1):  # NaN is neither
        raise ValueError("cosines beyond 0 and 1")
    found, cosines = torch.from_numpy(index.astype(np.int64)), torch.from_numpy(cosine)
    phase = _phase(group, found, pairs) if refined else None
    return StoredSwap(
        name,
        _hash(read_text(group, "hr_sha256")),
        _hashes(read_text(group, "ref_sha256")),
        Correspondence(found, cosines, cosines, pairs, phase),
    )


def _phase(group: h5py.Group, index: Tensor, shapes: tuple[tuple[int, int], ...]) -> Tensor:
    """Return the phases of a pair's matches; raise ValueError where one leads beyond a version."""
    phase = torch.from_numpy(read_array(group, "phase", TYPES["phase"], (_MOST_SIDE, _MOST_SIDE)))
    if phase.shape != index.shape:
        raise ValueError(f"phase is {tuple(phase.shape)}, index {tuple(index.shape)}")
    if int(phase.max()) >= PHASES:
        raise ValueError(f"phase {int(phase.max())}, above {PHASES - 1}")
    version, *places = PatchNumbers(shapes).places(index)
    last = torch.tensor(shapes)[version] - PATCH  # of the patches on the grid, rows and columns
    for axis, (place, shift) in enumerate(zip(places, shift_of(phase.long()), strict=True)):
        if bool(((shift > 0) & (place >= last[..., axis])).any()):
            raise ValueError("phase leads beyond the patches of the references")
    return phase


def _hash(text: object) -> str:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError("the hash of an image is none")
    return text


def _hashes(text: str) -> tuple[str, ...]:
    listed = json.loads(text)
    if not isinstance(listed, list) or not listed:
        raise ValueError("ref_sha256 is no list of hashes")
    return tuple(map(_hash, listed))


def check_lr(swap: StoredSwap, source: Path, size: Sequence[int]) -> None:
    """Raise InputError unless a swap in the folder `source` is of LR of this `size`, [h, w], px."""
    if [side + HALO for side in swap.correspondence.index.shape] != list(size):
        raise _other_size(swap, source)


def check_ref(
    swap: StoredSwap, source: Path, size: Sequence[int], tried: Sequence[Augmentation]
) -> None:
    """Raise InputError unless a swap in `source` is of one reference of this `size`, [h, w], px.

    `tried`: its versions, as the parameters of the swaps have them.
    """
    height, width = size
    if swap.correspondence.shapes != tuple(version_shape(height, width, one) for one in tried):
        raise _other_size(swap, source)


def _other_size(swap: StoredSwap, source: Path) -> InputError:
    return InputError(
        f"{source}: the swap of {swap.name} is of images of another size; delete its shard and run "
        "precompute-swaps again"
    )


def read_maps(group: h5py.Group, dtype: str) -> Maps:
    """Return a pair's maps, float32; raise ValueError unless they are of its LR's size, and finite.

    `dtype`: what they are stored as.
    """
    index = read_array(group, "index", TYPES["index"], (_MOST_SIDE, _MOST_SIDE))
    rows, columns = (side + HALO for side in index.shape)
    found: Maps = {}
    for layer in LAYERS:
        shape = CHANNELS[layer], rows * CELLS[layer], columns * CELLS[layer]
        values = read_array(child(group, "maps"), layer, dtype, shape)
        if values.shape != shape:
            raise ValueError(f"{layer} is {values.shape}, not {shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{layer} holds values that are no numbers")
        found[layer] = torch.from_numpy(values.astype(np.float32))
    return found
