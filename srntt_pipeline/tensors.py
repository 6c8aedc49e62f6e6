"""Tensors in files, safetensors and PyTorch's own, read as if a stranger had made them.

No code in a file is ever run, and nothing is allocated that the file does not hold.
"""

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from srntt_pipeline.errors import InputError, one_line
from srntt_pipeline.files import open_regular

_MOST_HEADER = 8 << 20  # bytes of names and shapes; a thousand tensors take 100 kB
_TYPES = {"F32": "float32", "I64": "int64"}  # int64: batch norm's count of batches
_ZIP, _OLD = b"PK\3\4", b"\x80\2\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how PyTorch's files begin
_OLD_PICKLES = 5  # such a file begins with so many, and what they declare is allocated unseen
_MOST_OLD = 1 << 30  # bytes of such a file; torchvision's largest VGG19 has 575 MB
_STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
# What a state dict is made of. PyTorch's weights_only lets more pass: bytearray(10**12) is one.
_GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in _STORAGES),
}
_OTHER_CALLS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


def tensor_shapes(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape of each tensor of a safetensors file by its name, without reading it.

    Raises InputError that names the file, also for other types than float32 and int64.
    """
    try:
        with open_regular(path) as raw:
            if int.from_bytes(raw.read(8), "little") > _MOST_HEADER:
                raise InputError(f"{path}: damaged, or not a safetensors file (too long a header)")
        with safe_open(path, "pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {name: (p.get_dtype(), tuple(p.get_shape())) for name, p in parts.items()}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, SafetensorError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(str(error))
        raise InputError(f"{path}: damaged, or not a safetensors file ({reason})") from None
    for name, (kind, _) in found.items():
        if kind not in _TYPES:
            raise InputError(
                f"{path}: {one_line(name)} is of type {kind}; save it as float32 (F32)"
            )
    return {name: (_TYPES[kind], shape) for name, (kind, shape) in found.items()}


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file of float32 and int64 tensors, all finite.

    Raises InputError that names the file, and the tensor that is otherwise.
    """
    tensor_shapes(path)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: damaged, or not a safetensors file ({one_line(str(error))})"
        ) from None
    check_finite(path, tensors)
    return tensors


def read_weights(path: Path, option: str = "") -> dict[str, Any]:
    """Read a state dict, .safetensors or what `torch.save` wrote; `option`, if any, named it.

    Values may be anything that such a file holds: `check_tensor` before use. Raises InputError.
    """
    named = f"{option} {path}".strip()
    if path.suffix == ".safetensors":
        try:
            return dict(load_tensors(path))
        except InputError as error:
            raise InputError(f"{option} {error}".strip()) from None
    try:
        content = _read_pth(path)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{named}: {reason}") from None
    except Exception:  # torch.load raises anything, from EOFError to UnpicklingError
        raise InputError(f"{named}: not a file of PyTorch weights") from None
    if not isinstance(content, dict):
        raise InputError(f"{named}: not a file of PyTorch weights; it holds no state dict")
    return content


def _read_pth(path: Path) -> Any:
    with open_regular(path) as raw:
        size = raw.seek(0, 2)
        raw.seek(0)
        head = raw.read(len(_OLD))
        raw.seek(0)
        if head.startswith(_ZIP):
            _check_archive(raw, size)
        elif head == _OLD and size <= _MOST_OLD:
            for _ in range(_OLD_PICKLES):
                _check_pickle(raw)
        else:
            raise ValueError("not what torch.save writes")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=head != _OLD)


def _check_archive(raw: BinaryIO, size: int) -> None:
    """Raise ValueError unless an archive is as large as it says: torch.save compresses nothing."""
    with zipfile.ZipFile(raw) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or size < sum(
            entry.file_size for entry in entries
        ):
            raise ValueError("compressed")
        (pickle,) = (entry for entry in entries if entry.filename.endswith("/data.pkl"))
        with archive.open(pickle) as file:
            _check_pickle(file)


def _check_pickle(file: Any) -> None:
    """Raise ValueError unless the pickle that begins here builds nothing but tensors in dicts."""
    for operation, argument, _ in pickletools.genops(file):
        if operation.name in _OTHER_CALLS or (
            operation.name == "GLOBAL" and argument not in _GLOBALS
        ):
            raise ValueError(f"builds {argument}")


def check_tensor(value: object, wanted: Tensor) -> str | None:
    """Return what is wrong with a value of a state dict to be loaded into `wanted`; None: nothing.

    It must be a plain tensor of the same shape and type, and finite; shape and type come first, so
    that nothing large is looked at.
    """
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        return "no plain tensor"
    if value.shape != wanted.shape:
        return f"of shape {tuple(value.shape)}, not {tuple(wanted.shape)}"
    if value.dtype != wanted.dtype:
        return f"{value.dtype}, not {wanted.dtype}".replace("torch.", "")
    return None if _finite(value) else "not finite: it holds NaN or infinity"


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise InputError that names the first of the tensors in `path` that holds NaN or infinity."""
    for name, value in tensors.items():
        if not _finite(value):
            raise InputError(
                f"{path}: {one_line(name)} is not finite: it holds NaN or infinity; use another "
                "file"
            )


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())
