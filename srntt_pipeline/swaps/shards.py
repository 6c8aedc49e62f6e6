"""HDF5 shards of swaps, and their index: correspondences, and swapped maps if asked for.

A correspondence takes kilobytes a pair; the maps, megabytes a pair, are rebuilt from it by
gathering, or stored beside it. `docs/formats.md` describes the format; this module alone knows it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

import srntt_pipeline
from srntt_pipeline.config import SwapParams, validate
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256, read_json, sha256, write_json
from srntt_pipeline.hdf5 import add_dataset, is_intact, sealed_file
from srntt_pipeline.images import read_bytes
from srntt_pipeline.swaps.correspondence import Correspondence, patch_count
from srntt_pipeline.swaps.encoder import LAYERS, EncoderIdentity, Maps

FORMAT, VERSION = "srntt_pipeline swaps", 2
INDEX = "index.json"
_AGAIN = "run precompute-swaps again"
# Figures behind the choice: docs/shards.md. All are filters that plain h5py reads.
_CODECS: dict[str, dict[str, Any]] = {
    "none": {},
    "lzf": {"compression": "lzf", "shuffle": True},
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
}


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


@dataclass(frozen=True)
class ShardHeader:
    """What made a shard: encoder, parameters, and a fingerprint of these and of the images.

    `networks`: the SHA-256 of each other network that matching used (`Matcher.networks`).
    """

    encoder: EncoderIdentity
    params: SwapParams
    made_from: str
    networks: Mapping[str, str] = field(default_factory=dict)


def write_shard(path: Path, header: ShardHeader, swaps: Iterable[StoredSwap]) -> None:
    """Write a shard, whole or not at all.

    With `store` = maps in its parameters, every swap must have maps. Raises InputError for maps
    that float16 cannot hold.
    """
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
        if header.params.store == "maps":
            _add_maps(group, swap, header.params)
    file.attrs["format"] = FORMAT
    file.attrs["version"] = VERSION
    file.attrs["encoder"] = json.dumps(header.encoder.as_dict(), sort_keys=True)
    # Not all params: a shard is kept when others, such as pairs_per_shard, change around it.
    file.attrs["augmentations"] = json.dumps(header.params.matched_by, sort_keys=True)
    file.attrs["networks"] = json.dumps(dict(header.networks), sort_keys=True)
    file.attrs["store"] = json.dumps(header.params.storing, sort_keys=True)
    file.attrs["software"] = f"srntt_pipeline {srntt_pipeline.__version__}"
    file.attrs["made_from"] = header.made_from


def _add_maps(group: h5py.Group, swap: StoredSwap, params: SwapParams) -> None:
    """Store the swapped maps, a chunk each: they are read whole or not at all."""
    if swap.maps is None:
        raise ValueError(f"{swap.name}: no maps to store")
    for layer in LAYERS:
        with np.errstate(over="ignore"):
            values = swap.maps[layer].cpu().numpy().astype(params.maps_dtype)
        if not np.isfinite(values).all():
            raise InputError(
                f"{swap.name}: maps of this encoder are too large for float16; use --maps-dtype "
                "float32"
            )
        options = {**_CODECS[params.maps_codec], "fletcher32": True}
        add_dataset(group, f"maps/{layer}", values, chunks=values.shape, **options)


def is_whole(path: Path, made_from: str) -> bool:
    """Tell whether `path` is an undamaged shard with this fingerprint."""
    if not is_intact(path):
        return False
    with h5py.File(path) as file:
        return bool(file.attrs["made_from"] == made_from)


def write_index(
    folder: Path,
    header: ShardHeader,
    shards: Sequence[tuple[Path, Sequence[str]]],
    agreement: float = 1.0,
) -> None:
    """Write the index of `shards` (path, names of pairs).

    `agreement`: the share of matches that float32 would give, where another precision was used.
    """
    index = {
        "format": FORMAT,
        "version": VERSION,
        "software": f"srntt_pipeline {srntt_pipeline.__version__}",
        "encoder": header.encoder.as_dict(),
        "networks": dict(header.networks),
        "params": header.params.model_dump(mode="json"),
        "made_from": header.made_from,
        "float32_agreement": round(agreement, 6),
        "pairs": sum(len(names) for _, names in shards),
        "shards": [
            {"file": path.name, "pairs": list(names), "sha256": file_sha256(path)}
            for path, names in shards
        ],
    }
    write_json(folder / INDEX, index)


class Shards:
    """The swaps in a folder, by pair name, with maps or without.

    `encoder`, `networks`, `params` and `software` tell what they were made with,
    `float32_agreement` which share of the matches float32 would give. A shard's hash is checked
    when a process first reads it. Files are open only while they are read (0.2 ms): so there are no
    handles that a worker could inherit, whatever way it is started. Raises InputError for a
    missing, damaged or foreign index or shard.
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
            self.networks: dict[str, str] = dict(index.get("networks", {}))  # older ones had none
            self.params = validate(SwapParams, index["params"], str(folder / INDEX))
            self.float32_agreement = float(index["float32_agreement"])
            self.software, self.made_from = str(index["software"]), str(index["made_from"])
            self._sha256 = {folder / shard["file"]: shard["sha256"] for shard in index["shards"]}
            self._shard_of = {
                str(name): folder / shard["file"]
                for shard in index["shards"]
                for name in shard["pairs"]
            }
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{folder / INDEX}: incomplete; {_AGAIN}") from None
        # The file that was checked, by its times and size: another may be put in its place.
        self._checked: dict[Path, tuple[int, ...]] = {}

    @property
    def names(self) -> list[str]:
        """Names of the pairs, sorted."""
        return sorted(self._shard_of)

    @property
    def files(self) -> list[Path]:
        """The shards' files, in the order of the index."""
        return list(self._sha256)

    @property
    def has_maps(self) -> bool:
        """Whether `maps` can be asked for."""
        return self.params.store == "maps"

    def names_in(self, path: Path) -> list[str]:
        """Return the names of the pairs that the index places in one shard."""
        return [name for name, shard in self._shard_of.items() if shard == path]

    def __getitem__(self, name: str) -> StoredSwap:
        swap: StoredSwap = self._read(name, lambda group: _swap(group, name))
        return swap

    def maps(self, name: str) -> Maps:
        """Return the stored maps of a pair as `swap.swap` returns them, float32, on the CPU."""
        if not self.has_maps:
            raise InputError(f"{self.folder} holds correspondences, no maps: shards convert")
        maps: Maps = self._read(name, _maps)
        return maps

    def image_bytes(self, path: Path, made_from: str) -> bytes:
        """Return the image file at `path`; raise InputError unless its SHA-256 is `made_from`."""
        content = read_bytes(path)
        if sha256(content) != made_from:
            raise InputError(
                f"{path} is not the image that {self.folder} was made from; run precompute-swaps "
                "again"
            )
        return content

    def check(self, path: Path) -> None:
        """Raise InputError unless the shard at `path` is the file that the index lists."""
        try:
            status = path.stat()
            now = status.st_mtime_ns, status.st_size, status.st_ino
            if self._checked.get(path) != now:
                if file_sha256(path) != self._sha256[path]:
                    raise ValueError("not the file that the index lists")
                self._checked[path] = now
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from None

    def _read(self, name: str, read: Any) -> Any:
        if name not in self._shard_of:
            raise InputError(f"{self.folder} holds no swap of the pair {name}; {_AGAIN}")
        path = self._shard_of[name]
        self.check(path)
        try:
            with h5py.File(path) as file:
                return read(file["pairs"][name])
        except (OSError, KeyError, ValueError) as error:
            raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    reason = "is missing" if isinstance(error, FileNotFoundError) else "is damaged or foreign"
    return InputError(f"{path} {reason}; {_AGAIN}: it remakes this shard only")


def _swap(group: h5py.Group, name: str) -> StoredSwap:
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


def _maps(group: h5py.Group) -> Maps:
    return {layer: torch.from_numpy(group["maps"][layer][:].astype(np.float32)) for layer in LAYERS}
