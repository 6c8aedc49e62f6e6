"""HDF5 shards of swaps, and their index: correspondences, and swapped maps if asked for.

A correspondence takes kilobytes a pair; the maps, megabytes a pair, are rebuilt from it by
gathering, or stored beside it. `docs/formats.md` describes the format; this module writes it,
`index` and `stored` read it, and no other knows it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

import srntt_pipeline
from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError, one_line
from srntt_pipeline.files import file_sha256, sha256, write_json
from srntt_pipeline.hdf5 import (
    add_dataset,
    child,
    read_intact,
    read_text,
    read_whole,
    sealed_file,
)
from srntt_pipeline.images import read_bytes
from srntt_pipeline.maps import LAYERS, EncoderIdentity, Maps
from srntt_pipeline.swaps.index import AGAIN, FORMAT, INDEX, READABLE, VERSION, read_index
from srntt_pipeline.swaps.stored import TYPES, StoredSwap, read_maps, read_swap

__all__ = [
    "INDEX",
    "ShardHeader",
    "Shards",
    "StoredSwap",
    "is_whole",
    "keep_shard",
    "write_index",
    "write_shard",
]

# Figures behind the choice: docs/shards.md. All are filters that plain h5py reads.
_CODECS: dict[str, dict[str, Any]] = {
    "none": {},
    "lzf": {"compression": "lzf", "shuffle": True},
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
}

_Read = TypeVar("_Read")


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
        if not found.cosine.isfinite().all():
            raise InputError(
                f"{swap.name}: cosines of {header.encoder} are no numbers; see whether its weights "
                "are whole"
            )
        if (found.phase is None) != (header.params.refine == "none"):
            raise ValueError(f"{swap.name}: refined matches where there are none, or none")
        for name, values in found.tensors().items():
            if name == "score":
                continue
            stored = values.cpu().numpy().astype(TYPES[name])
            add_dataset(group, name, stored, compression="gzip", shuffle=True, fletcher32=True)
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
    """Tell whether `path` is an undamaged shard with this fingerprint, in today's format."""
    return _version(path, made_from) == VERSION


def keep_shard(path: Path, header: ShardHeader, names: Sequence[str]) -> bool:
    """Tell whether the shard of `header` with the pairs `names` is at `path`, undamaged.

    One in an older format is written anew, its content as it was: so a folder never holds shards of
    two formats, and nothing is computed twice. Where it cannot be read it is left, and not kept.
    """
    version = _version(path, header.made_from)
    if version not in READABLE:
        return False
    if version != VERSION:
        try:
            with h5py.File(path) as file:
                write_shard(path, header, _swaps_in(file, names, version, header.params))
        except _UnreadableError:
            return False
    return True


def _version(path: Path, made_from: str) -> int | None:
    """Return the format version of a shard; None unless it is undamaged and has the fingerprint."""

    def read(file: h5py.File) -> int | None:
        return read_whole(file, "version") if read_text(file, "made_from") == made_from else None

    return read_intact(path, read)


class _UnreadableError(Exception):
    """A shard's seal is right, and yet it is none that we wrote."""


def _swaps_in(
    file: h5py.File, names: Sequence[str], version: int, params: SwapParams
) -> Iterator[StoredSwap]:
    for name in names:
        try:
            group = child(child(file, "pairs"), name)
            swap = read_swap(group, name, version, refined=params.refine != "none")
            if params.store == "maps":
                swap = replace(swap, maps=read_maps(group, params.maps_dtype))
        except Exception as error:  # HDF5 raises anything over a file that only looks like one
            raise _UnreadableError from error
        yield swap


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
        index = read_index(folder)
        self.folder = folder
        self.encoder = index.encoder
        self.networks: dict[str, str] = {str(key): hash_ for key, hash_ in index.networks.items()}
        self.params = index.params
        self.float32_agreement = index.float32_agreement
        self.software, self.made_from = index.software, index.made_from
        self._version = index.version
        self._sha256 = {folder / shard.file: shard.sha256 for shard in index.shards}
        self._names_in = {folder / shard.file: tuple(shard.pairs) for shard in index.shards}
        self._shard_of = {
            name: folder / shard.file for shard in index.shards for name in shard.pairs
        }
        # The file that was checked, by its times and size: another may be put in its place.
        self._checked: dict[Path, tuple[int, ...]] = {}

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a pair of this name."""
        return name in self._shard_of

    @property
    def names(self) -> list[str]:
        """Names of the pairs, sorted anew each time: ask `in` for a single one."""
        return sorted(self._shard_of)

    @property
    def files(self) -> list[Path]:
        """The shards' files, in the order of the index."""
        return list(self._sha256)

    @property
    def has_maps(self) -> bool:
        """Whether `maps` can be asked for."""
        return self.params.store == "maps"

    def names_in(self, path: Path) -> Sequence[str]:
        """Return the names of the pairs that the index places in one shard, in its order."""
        return self._names_in[path]

    def __getitem__(self, name: str) -> StoredSwap:
        refined = self.params.refine != "none"
        return self._read(
            name, lambda group, name: read_swap(group, name, self._version, refined=refined)
        )

    def maps(self, name: str) -> Maps:
        """Return the stored maps of a pair as `swap.swap` returns them, float32, on the CPU."""
        if not self.has_maps:
            raise InputError(f"{self.folder} holds correspondences, no maps: shards convert")
        return self._read(name, lambda group, _: read_maps(group, self.params.maps_dtype))

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
            if path.resolve().parent != self.folder.resolve():
                raise ValueError("a link that leads out of the folder; copy the file itself there")
            status = path.stat()
            now = status.st_mtime_ns, status.st_size, status.st_ino
            if self._checked.get(path) != now:
                if file_sha256(path) != self._sha256[path]:
                    raise ValueError("not the file that the index lists")
                self._checked[path] = now
        except FileNotFoundError:
            raise InputError(f"{path} is missing; {AGAIN}: it remakes this shard only") from None
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"{path} is damaged or foreign ({reason}); {AGAIN}: it remakes this shard only"
            ) from None

    def _read(self, name: str, read: Callable[[h5py.Group, str], _Read]) -> _Read:
        """Return what `read` makes of a pair's group; whatever it raises tells of a bad file."""
        if name not in self._shard_of:
            raise InputError(f"{self.folder} holds no swap of the pair {name}; {AGAIN}")
        path = self._shard_of[name]
        self.check(path)
        try:
            with h5py.File(path) as file:
                return read(child(child(file, "pairs"), name), name)
        except Exception as error:  # HDF5 raises anything over a file that only looks like one
            reason = one_line(str(error)) or type(error).__name__
            raise InputError(f"{path}, {name}: {reason}; delete that file and {AGAIN}") from None
