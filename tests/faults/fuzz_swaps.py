"""Spoilt swap shards, their hashes and seals put right, and what reads them."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from commands import Inputs
from hypothesis import strategies as st
from mutations import HOSTILE, spoilt_bytes, spoilt_json
from target import Target

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256, sha256, write_json
from srntt_pipeline.hdf5 import USER_BLOCK
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.verify import verify_shards


def _read_swaps(folder: Path) -> None:
    """Read all that is in there; a shard that is refused must not keep others from being read."""
    shards = Shards(folder)
    refused: list[InputError] = []
    for name in shards.names:
        for read in (shards.__getitem__, *([shards.maps] if shards.has_maps else [])):
            try:
                read(name)
            except InputError as error:
                refused.append(error)
    try:
        verify_shards(folder, say=lambda finding: None)
    except InputError as error:
        refused.append(error)
    if refused:
        raise refused[0]


def swap_index(inputs: Inputs, scratch: Path) -> Target:
    """The index of swap shards."""
    folder = Path(shutil.copytree(inputs.swaps, scratch / "swaps"))
    path = folder / "index.json"
    valid = path.read_bytes()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        _read_swaps(folder)

    return Target(spoilt_json(valid), read)


_DTYPES = ("f2", "f4", "f8", "i1", "i8", "u1", "u4", "c8", "S4", "bool", "vlen")


@st.composite
def _h5_changes(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Draw changes of an HDF5 file: (what, which of the objects, more)."""
    kinds = st.sampled_from([
        "dtype", "shape", "huge", "value", "value", "delete", "soft loop", "external", "group",
        "attribute", "attribute", "lose attribute", "hard loop",
    ])  # fmt: skip
    return [
        (draw(kinds), draw(st.integers(0, 40)), draw(st.integers(0, 40)))
        for _ in range(draw(st.integers(1, 3)))
    ]


def _spoil_h5(path: Path, changes: list[tuple[Any, ...]]) -> None:
    with h5py.File(path, "r+") as file:
        for what, which, more in changes:
            names: list[str] = []
            file.visit(names.append)
            if not names:
                return
            name = names[which % len(names)]
            owner = file[["/", *names][which % (len(names) + 1)]]
            keys = list(owner.attrs)
            if what == "attribute":
                value = HOSTILE[more % len(HOSTILE)]
                # What HDF5 cannot hold stays as it is.
                with suppress(TypeError, ValueError, OSError, RuntimeError):
                    owner.attrs[[*keys, "x"][more % (len(keys) + 1)]] = value
            elif what == "lose attribute" and keys:
                del owner.attrs[keys[more % len(keys)]]
            elif what == "value":
                _spoil_value(file[name], more)
            elif "attribute" not in what:
                values = _values(file[name])
                del file[name]
                _put(file, name, what, more, values)


def _values(item: Any) -> np.ndarray:
    """Return the values of a dataset; of what has none or too many, three zeros."""
    if isinstance(item, h5py.Dataset) and item.size is not None and item.size < 1e6:
        return np.asarray(item[()])
    return np.zeros(3)


_NUMBERS = (0, -1, -5, 2**16, 2**32 - 1, np.nan, np.inf, -np.inf)


def _spoil_value(item: Any, more: int) -> None:
    values = _values(item)
    if not isinstance(item, h5py.Dataset) or not values.size or values.dtype.kind not in "uif":
        return
    number = _NUMBERS[more % len(_NUMBERS)]
    if values.dtype.kind in "ui":
        limits = np.iinfo(values.dtype)
        number = int(np.clip(np.nan_to_num(number), limits.min, limits.max))
    spoilt = values.copy()
    spoilt.flat[more % values.size] = number
    if spoilt.shape == item.shape:
        item[...] = spoilt


def _put(file: h5py.File, name: str, what: str, more: int, values: np.ndarray) -> None:
    """Put another object in the place of `values`."""
    shapes = [(), (0,), (1,), (0, 2), (2, 2), (1, 1, 1), (3, 5, 2), values.shape[::-1]]
    huge = [(1 << 37,), (1 << 18, 1 << 18), (1, 1 << 36)]
    places = ["/etc/passwd", "../other.h5", "/dev/zero", Path(file.filename).name]
    kind = _DTYPES[more % len(_DTYPES)]
    if what == "dtype" and (kind == "vlen" or values.dtype.kind not in "uifb"):
        file.create_dataset(name, data="text", dtype=h5py.string_dtype())
    elif what == "dtype":
        with np.errstate(all="ignore"):
            file.create_dataset(name, data=np.nan_to_num(values).astype(kind))
    elif what == "shape":
        file.create_dataset(name, shape=shapes[more % len(shapes)], dtype=values.dtype)
    elif what == "huge":
        file.create_dataset(name, shape=huge[more % len(huge)], dtype="f4", chunks=True)
    elif what == "soft loop":
        file[name] = h5py.SoftLink(f"/{name}")
    elif what == "external":
        file[name] = h5py.ExternalLink(places[more % len(places)], f"/{name}")
    elif what == "hard loop":
        file[name] = file["/"]
    elif what == "group":
        file.create_group(name)


def _reseal(folder: Path, path: Path) -> None:
    """Put the seal and the index right, so that what is wrong is met by the parser."""
    content = path.read_bytes()
    seal = f"srntt_pipeline\nsha256 {sha256(content[USER_BLOCK:])}\n".encode()
    path.write_bytes(seal.ljust(USER_BLOCK, b"\0") + content[USER_BLOCK:])
    index = json.loads((folder / "index.json").read_bytes())
    for shard in index["shards"]:
        if shard["file"] == path.name:
            shard["sha256"] = file_sha256(path)
    write_json(folder / "index.json", index)


def shards(inputs: Inputs, scratch: Path) -> Target:
    """Shards with other types, shapes, sizes, values, links, attributes; the seal is put right."""
    folder = scratch / "swaps"

    def read(case: tuple[str, list[tuple[Any, ...]]]) -> None:
        source, changes = case
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(scratch / source, folder)
        path = folder / "shard-00000.h5"
        _spoil_h5(path, changes)
        _reseal(folder, path)
        _read_swaps(folder)

    shutil.copytree(inputs.swaps, scratch / "correspondence")
    shutil.copytree(inputs.maps, scratch / "maps")
    return Target(st.tuples(st.sampled_from(["correspondence", "maps"]), _h5_changes()), read, 0.5)


def shard_bytes(inputs: Inputs, scratch: Path) -> Target:
    """Shards with any bytes changed and the seal left as it was: none may reach the parser."""
    folder = Path(shutil.copytree(inputs.swaps, scratch / "swaps"))
    path = folder / "shard-00000.h5"
    valid = path.read_bytes()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        _read_swaps(folder)
        assert content == valid, "a changed shard was read"

    return Target(spoilt_bytes([valid]), read, 0.5)
