"""HDF5 shards of correspondences, and their index: the swap of a data set in kilobytes a pair.

The swapped maps (megabytes a pair) are rebuilt from a shard by gathering. `docs/formats.md`
describes the format; this module alone knows it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

import srntt_pipeline
from srntt_pipeline.config import SwapParams, validate
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256, read_json, write_json
from srntt_pipeline.hdf5 import add_dataset, is_intact, sealed_file
from srntt_pipeline.swaps.correspondence import Correspondence, patch_count
from srntt_pipeline.swaps.encoder import EncoderIdentity

FORMAT, VERSION = "srntt_pipeline swaps", 1
INDEX = "index.json"
_AGAIN = "run precompute-swaps again"


@dataclass(frozen=True)
class StoredSwap:
    """What a shard holds of a pair: its correspondence and the hashes of the images behind it."""

    name: str
    hr_sha256: str
    ref_sha256: tuple[str, ...]
    correspondence: Correspondence


@dataclass(frozen=True)
class ShardHeader:
    """What made a shard: encoder, parameters, and a fingerprint of these and of the images."""

    encoder: EncoderIdentity
    params: SwapParams
    made_from: str


def write_shard(path: Path, header: ShardHeader, swaps: Iterable[StoredSwap]) -> None:
    """Write a shard, whole or not at all."""
    with sealed_file(path) as file:
        _fill(file, header, swaps)


def _fill(file: h5py.File, header: ShardHeader, swaps: Iterable[StoredSwap]) -> None:
    pairs = file.create_group("pairs")
    for swap in swaps:
        group = pairs.create_group(swap.name)
        group.attrs["hr_sha256"] = swap.hr_sha256
        group.attrs["ref_sha256"] = json.dumps(swap.ref_sha256)
        found = swap.correspondence
        add_dataset(group, "shapes", np.array(found.shapes, np.uint16))
        for name, values in (
            ("index", found.index.cpu().numpy().astype(np.uint32)),
            ("score", found.weight.cpu().numpy().astype(np.float32)),
        ):
            add_dataset(group, name, values, compression="gzip", shuffle=True, fletcher32=True)
    file.attrs["format"] = FORMAT
    file.attrs["version"] = VERSION
    file.attrs["encoder"] = json.dumps(header.encoder.as_dict(), sort_keys=True)
    # Not all params: a shard is kept when others, such as pairs_per_shard, change around it.
    augmentations = header.params.model_dump(mode="json", include={"scales", "rotations_deg"})
    file.attrs["augmentations"] = json.dumps(augmentations, sort_keys=True)
    file.attrs["software"] = f"srntt_pipeline {srntt_pipeline.__version__}"
    file.attrs["made_from"] = header.made_from


def is_whole(path: Path, made_from: str) -> bool:
    """Tell whether `path` is an undamaged shard with this fingerprint."""
    if not is_intact(path):
        return False
    with h5py.File(path) as file:
        return bool(file.attrs["made_from"] == made_from)


def write_index(folder: Path, header: ShardHeader, shards: Sequence[tuple[Path, int]]) -> None:
    """Write the index of `shards` (path, number of pairs), and remove shards it does not list."""
    index = {
        "format": FORMAT,
        "version": VERSION,
        "software": f"srntt_pipeline {srntt_pipeline.__version__}",
        "encoder": header.encoder.as_dict(),
        "params": header.params.model_dump(mode="json"),
        "made_from": header.made_from,
        "pairs": sum(count for _, count in shards),
        "shards": [
            {"file": path.name, "pairs": count, "sha256": file_sha256(path)}
            for path, count in shards
        ],
    }
    write_json(folder / INDEX, index)
    listed = {path.name for path, _ in shards}
    for path in folder.glob("shard-*.h5"):
        if path.name not in listed:
            path.unlink()


class Shards:
    """The swaps in a folder, by pair name; files are opened when they are first needed.

    `encoder` and `params` tell what they were made with. Raises InputError for a missing, damaged
    or foreign index or shard.
    """

    def __init__(self, folder: Path) -> None:
        index = read_json(folder / INDEX, f"{_AGAIN} (it writes the index last)")
        if not isinstance(index, dict) or index.get("format") != FORMAT:
            raise InputError(f"{folder / INDEX}: not an index of swap shards")
        if index.get("version") != VERSION:
            raise InputError(f"{folder}: shards of version {index.get('version')}; {_AGAIN}")
        self.folder = folder
        try:
            self.encoder = EncoderIdentity(**index["encoder"])
            self.params = validate(SwapParams, index["params"], str(folder / INDEX))
            self.made_from = str(index["made_from"])
            self._sha256 = {folder / shard["file"]: shard["sha256"] for shard in index["shards"]}
        except (KeyError, TypeError):
            raise InputError(f"{folder / INDEX}: incomplete; {_AGAIN}") from None
        self._files: dict[Path, h5py.File] = {}
        self._shard_of: dict[str, Path] = {}
        for path in self._sha256:
            for name in self._open(path)["pairs"]:
                self._shard_of[name] = path

    @property
    def names(self) -> list[str]:
        """Names of the pairs, sorted."""
        return sorted(self._shard_of)

    def __getitem__(self, name: str) -> StoredSwap:
        if name not in self._shard_of:
            raise InputError(f"{self.folder} holds no swap of the pair {name}; {_AGAIN}")
        path = self._shard_of[name]
        try:
            return _read(self._open(path)["pairs"][name], name)
        except (OSError, KeyError, ValueError) as error:
            raise _damaged(path, error) from None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}  # HDF5 handles do not travel between processes

    def _open(self, path: Path) -> h5py.File:
        if path not in self._files:
            try:
                if file_sha256(path) != self._sha256[path]:
                    raise ValueError("not the file that the index lists")
                self._files[path] = h5py.File(path)
            except (OSError, ValueError) as error:
                raise _damaged(path, error) from None
        return self._files[path]


def _damaged(path: Path, error: Exception) -> InputError:
    reason = "is missing" if isinstance(error, FileNotFoundError) else "is damaged or foreign"
    return InputError(f"{path} {reason}; {_AGAIN}: it remakes this shard only")


def _read(group: h5py.Group, name: str) -> StoredSwap:
    weight = torch.from_numpy(group["score"][:])
    index = torch.from_numpy(group["index"][:].astype(np.int64))
    shapes = tuple((int(height), int(width)) for height, width in group["shapes"][:])
    if index.shape != weight.shape or int(index.max()) >= patch_count(shapes):
        raise ValueError("index and shapes disagree")
    return StoredSwap(
        name,
        str(group.attrs["hr_sha256"]),
        tuple(json.loads(group.attrs["ref_sha256"])),
        # Eq. 1's score is the cosine times the LR patch's norm; only the cosine is stored.
        Correspondence(index, weight, weight, shapes),
    )
