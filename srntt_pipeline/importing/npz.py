"""Lists of arrays in .npz files, as TensorLayer saves parameters, without running their pickle.

Such a file holds one object array, `params`, and NumPy reads that by running a pickle, which may
call anything. Here a pickle may name a few things only, those that NumPy's arrays are made of, and
each stands for code of ours that keeps what it is told. Arrays are made of that after it was
checked. So nothing of a stranger's is run; no option allows it, and none is needed.
"""

import io
import math
import pickle
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from srntt_pipeline.errors import InputError, one_line
from srntt_pipeline.files import open_regular

_MOST = 256 << 20  # bytes of the unpacked list; SRNTT's have 17 MB
_FLOAT32 = "<f4"
_PLACES = {"PUT", "BINPUT", "LONG_BINPUT"}  # where the pickle keeps things, by number
_MOST_PLACES = 100_000


def read_arrays(path: Path, name: str = "params") -> list[np.ndarray]:
    """Return the arrays of the list `name` in a .npz file, in its order.

    Each is float32, of any shape, finite, and the caller's own. Raises InputError that names the
    file, and the array by its number, from 0 on.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            if f"{name}.npy" not in archive.namelist():
                found = ", ".join(archive.namelist()[:5])
                raise InputError(f"{path}: holds no list `{name}`, but {one_line(found)}")
            if archive.getinfo(f"{name}.npy").file_size > _MOST:
                raise ValueError("larger than 256 MiB")
            content = io.BytesIO(archive.read(f"{name}.npy"))
        shape = _head(content)
        content = io.BytesIO(content.read())  # the pickle alone
        _check(content)
        listed = _Reader(content, encoding="latin1").load()
        found_arrays = _objects(listed, shape)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: damaged, or not a .npz file ({one_line(str(error))})") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or one_line(str(error))}") from None
    # A reader of pickles raises anything for what is none.
    except (Exception, zlib.error) as error:
        reason = one_line(str(error)) or type(error).__name__
        raise InputError(f"{path}: not a list of NumPy's arrays alone ({reason})") from None
    return [_array(path, number, found) for number, found in enumerate(found_arrays)]


def _head(content: io.BytesIO) -> tuple[int, ...]:
    """Return the shape of the array of objects whose pickle follows."""
    version = npy.read_magic(content)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of .npy")
    shape, _, kind = readers[version](content)
    if not kind.hasobject or len(shape) != 1:
        raise ValueError(f"an array of {kind} of shape {shape}, expected a list")
    return shape


def _check(content: io.BytesIO) -> None:
    """Raise ValueError for a pickle that takes memory which it does not hold.

    All lengths are followed, so none is above what is there. `content` is left at its start.
    """
    for operation, argument, _ in pickletools.genops(content):
        # A large number would make the reader allocate as many places.
        if operation.name in _PLACES and int(argument or 0) > _MOST_PLACES:
            raise ValueError("its pickle keeps too much")
    content.seek(0)


class _Kind:
    """What stands for `numpy.dtype`: keeps its name and byte order."""

    def __init__(self, name: str = "", *_: Any) -> None:
        self.name, self.order = name, "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def __str__(self) -> str:
        return f"{'' if self.order == '|' else self.order}{self.name}"


class _Array:
    """What stands for `numpy.ndarray`: keeps shape, type, order and content."""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.kind, self.by_columns, self.content = state


class _Function:
    """What stands for a function. Of a plain one a pickle could set the defaults."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def __call__(self, *given: Any) -> Any:
        return self.call(*given)

    def __setstate__(self, state: Any) -> None:
        raise ValueError("its pickle changes a function")


def _encode(text: Any, codec: Any) -> bytes:
    """What stands for `codecs.encode`, by which protocol 2 and before write bytes."""
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise ValueError("its pickle encodes no bytes")
    return text.encode("latin1")


_STANDING_FOR: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Function(lambda *_: _Array()),
    ("numpy._core.multiarray", "_reconstruct"): _Function(lambda *_: _Array()),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _Function(_encode),
    ("__builtin__", "bytes"): _Function(lambda: b""),  # no bytes at all, in protocol 2 and before
}


class _Reader(pickle.Unpickler):
    """Reads a pickle in which only what makes arrays has a meaning."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STANDING_FOR[module, name]
        except KeyError:
            raise ValueError(f"its pickle names {module}.{name}") from None


def _objects(listed: Any, shape: tuple[int, ...]) -> list[Any]:
    """Return the values of the array of objects that was read."""
    found = listed.content if isinstance(listed, _Array) and str(listed.kind) == "O8" else None
    if not isinstance(found, list) or tuple(listed.shape) != shape or len(found) != shape[0]:
        raise ValueError("no list of that length")
    return found


def _array(path: Path, number: int, found: Any) -> np.ndarray:
    """Return an array made of what was kept of it; raise InputError for what makes none."""
    where = f"{path}: array {number}"
    if not isinstance(found, _Array) or not isinstance(found.kind, _Kind):
        raise InputError(f"{where} is no array, but {type(found).__name__.lstrip('_').lower()}")
    if str(found.kind) != _FLOAT32:
        raise InputError(f"{where} is of type {one_line(str(found.kind))}, expected {_FLOAT32}")
    shape, content = found.shape, found.content
    if isinstance(content, str):  # written by Python 2
        content = content.encode("latin1")
    sides = isinstance(shape, tuple) and all(isinstance(n, int) and n >= 0 for n in shape)
    if not sides or not isinstance(content, bytes) or len(content) != 4 * math.prod(shape):
        raise InputError(f"{where} does not hold as many values as its shape says")
    values = np.frombuffer(content, _FLOAT32).reshape(shape, order="F" if found.by_columns else "C")
    if not np.isfinite(values).all():
        raise InputError(f"{where} is not finite: it holds NaN or infinity")
    return np.array(values, np.float32, order="C")
