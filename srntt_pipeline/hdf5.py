"""HDF5 files with a seal, and reading them as if a stranger had made them.

HDF5 checks its data but not its metadata, and a single flipped bit there can crash the library or
send it into an endless loop. So the user block, 512 bytes that HDF5 leaves to us at the head of the
file, holds the SHA-256 of all that follows. A seal tells damage, not good will: whoever makes a
file can seal it. So what is read is checked before HDF5 allocates or follows anything.
"""

import hashlib
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5s, h5t, h5z

from srntt_pipeline.files import open_regular, whole_file

USER_BLOCK = 512

_Read = TypeVar("_Read")

_MOST_TEXT = 1 << 20  # bytes of an attribute
_MOST_CHUNKS = 1 << 16
# A declared size is believed up to this many bytes, or where the file holds a 64th of it: the maps
# of photographs shrink to two thirds.
_FREE_BYTES, _MOST_RATIO = 128 << 20, 64
_INFLATION = 1032  # deflate's largest
_LZF = 32000  # h5py's own filter
# The filters that we write, in the order in which h5py applies them.
_FILTERS = (h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE, _LZF, h5z.FILTER_FLETCHER32)


@contextmanager
def sealed_file(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file to fill; it is sealed and written to `path` when the block succeeds.

    It is filled in memory, which takes twice its size: HDF5 does not survive a full disk. Raises
    OSError that names `path` where the disk refuses it.
    """
    with whole_file(path) as partial:
        with h5py.File(
            partial, "w", driver="core", backing_store=False, userblock_size=USER_BLOCK
        ) as file:
            yield file
            file.flush()
            image = file.id.get_file_image()  # without the user block
        with partial.open("wb") as raw:
            raw.write(_seal(hashlib.sha256(image)))
            raw.write(image)


def add_dataset(group: h5py.Group, name: str, data: Any, **options: Any) -> None:
    """Write a dataset at once.

    HDF5 gives a chunk its place in the file when it is written, at the latest when the last Python
    reference to the dataset goes. On a Dask worker that can be any time, for its profiler holds
    references: without this, the same content would give other bytes.
    """
    group.create_dataset(name, data=data, **options).flush()


def sealed_hash(path: Path) -> str | None:
    """Return the hash that the seal of `path` names, unchecked; None where there is no seal."""
    try:
        with open_regular(path) as raw:
            words = raw.read(USER_BLOCK).rstrip(b"\0").split()
    except OSError:
        return None
    sealed = len(words) == 3 and words[:2] == [b"srntt_pipeline", b"sha256"]
    return words[2].decode("ascii", "replace") if sealed else None


def is_intact(path: Path) -> bool:
    """Tell whether `path` is a file that `sealed_file` wrote, unchanged since."""
    try:
        with open_regular(path) as raw:
            seal, digest = raw.read(USER_BLOCK), hashlib.sha256()
            while block := raw.read(1 << 20):
                digest.update(block)
            return seal == _seal(digest)
    except OSError:
        return False


def _seal(digest: Any) -> bytes:
    return f"srntt_pipeline\nsha256 {digest.hexdigest()}\n".encode().ljust(USER_BLOCK, b"\0")


def read_intact(path: Path, read: Callable[[h5py.File], _Read]) -> _Read | None:
    """Return what `read` makes of a sealed file; None where it is none, or `read` raises."""
    if not is_intact(path):
        return None
    try:
        with h5py.File(path) as file:
            return read(file)
    except Exception:  # HDF5 raises anything over a file that only looks like one
        return None


def intact_text(path: Path, name: str) -> str | None:
    """Return the text attribute `name` of a sealed file; None where it is none or has no such."""
    return read_intact(path, lambda file: read_text(file, name))


def child(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """Return what lies in `group` under `name`, one step down and in this file.

    Raises ValueError for a link that leads elsewhere or nowhere.
    """
    if not isinstance(group, h5py.Group):
        raise ValueError(f"{name} is not there")
    # "/" and "." would be other places than a child.
    link = None if "/" in name or name in ("", ".") else group.get(name, getlink=True)
    if link is None:
        raise ValueError(f"{name} is not there")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{name} is a link that leads elsewhere")
    return group[name]


def read_text(group: h5py.Group, name: str) -> str:
    """Return a text attribute; raises ValueError when it is none, KeyError without it."""
    attribute = h5a.open(group.id, name.encode())
    if (
        not isinstance(attribute.get_type(), h5t.TypeStringID)
        or attribute.shape != ()
        or attribute.get_storage_size() > _MOST_TEXT
    ):
        raise ValueError(f"{name} is no text")
    value = group.attrs[name]
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        raise ValueError(f"{name} is no text")
    return value


def read_whole(group: h5py.Group, name: str) -> int:
    """Return an attribute that is a whole number; ValueError when it is none, KeyError without."""
    attribute = h5a.open(group.id, name.encode())
    if not isinstance(attribute.get_type(), h5t.TypeIntegerID) or attribute.shape != ():
        raise ValueError(f"{name} is no whole number")
    return int(group.attrs[name])


def read_array(
    group: h5py.Group, name: str, dtype: npt.DTypeLike, most: Sequence[int]
) -> npt.NDArray[Any]:
    """Return the data set `name` of a group.

    `dtype`: its type, exactly; `most`: the largest size of each of its dimensions. Raises
    ValueError, before anything is allocated, where it is of another type or size, declares more
    than the file holds, lies in other files, or takes filters that none of our files has.
    """
    dataset = child(group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{name} is no data set")
    plan = dataset.id.get_create_plist()
    if plan.get_layout() == h5d.VIRTUAL or plan.get_external_count():
        raise ValueError(f"{name} lies in another file")
    if not dataset.id.get_type().equal(h5t.py_create(np.dtype(dtype))):
        raise ValueError(f"{name} is not {np.dtype(dtype)}")
    if dataset.id.get_space().get_simple_extent_type() != h5s.SIMPLE:
        raise ValueError(f"{name} is no array")
    shape = dataset.shape
    if len(shape) != len(most) or any(
        side > bound for side, bound in zip(shape, most, strict=True)
    ):
        raise ValueError(f"{name} is {shape}, above {tuple(most)}")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    stored = dataset.id.get_storage_size()
    if size > max(_FREE_BYTES, _MOST_RATIO * stored):
        raise ValueError(f"{name} declares {size} bytes, of which the file holds {stored}")
    if plan.get_layout() == h5d.CHUNKED:
        _check_chunks(dataset, plan)
    elif stored < size:
        raise ValueError(f"{name} is not filled")
    values: npt.NDArray[Any] = dataset[()]
    return values


def _check_chunks(dataset: h5py.Dataset, plan: Any) -> None:
    """Raise ValueError unless the chunks are all there and give no more than they should."""
    name = dataset.name
    codes = [plan.get_filter(place)[0] for place in range(plan.get_nfilters())]
    if codes != [code for code in _FILTERS if code in codes]:
        raise ValueError(f"{name} has filters that we do not write")
    pairs = list(zip(dataset.shape, plan.get_chunk(), strict=True))
    if any(not 0 < chunk <= side for side, chunk in pairs):
        raise ValueError(f"{name} has chunks of another size")
    count = math.prod(-(-side // chunk) for side, chunk in pairs)
    if count > _MOST_CHUNKS or dataset.id.get_num_chunks() != count:
        raise ValueError(f"{name} is not filled")
    size = math.prod(chunk for _, chunk in pairs) * dataset.dtype.itemsize
    chunks: list[Any] = []
    dataset.id.chunk_iter(chunks.append)
    for chunk in chunks:
        # What shrinks nothing adds little.
        if chunk.size > 1.01 * size + 1024:
            raise ValueError(f"{name} has chunks of another size")
        # HDF5 inflates to the end, however far: so we do first, without keeping it.
        if h5z.FILTER_DEFLATE in codes and chunk.size * _INFLATION > max(size, 1 << 24):
            mask, content = dataset.id.read_direct_chunk(chunk.chunk_offset)
            if not mask & 1 << codes.index(h5z.FILTER_DEFLATE) and _inflated(content, size) > size:
                raise ValueError(f"{name} inflates to more than it declares")


def _inflated(content: bytes, enough: int) -> int:
    """Return to how many bytes deflated `content` inflates, or something above `enough`."""
    inflater, size = zlib.decompressobj(), 0
    while size <= enough and not inflater.eof and content:
        size += len(inflater.decompress(content, 1 << 20))
        content = inflater.unconsumed_tail
    return size
