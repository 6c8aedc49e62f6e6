"""Parameters by name, as PyTorch's files have them: state dicts of others' implementations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from srntt_pipeline.errors import InputError, one_line

# What lies around a state dict in some files, and before its names where many devices trained it.
_WITHIN = ("params_ema", "params", "state_dict", "model_state_dict")
_BEFORE = "module."
_LIKELY_CHANNELS = 4096  # none has more


@dataclass(frozen=True)
class Entry:
    """A parameter: its name in our network, that in the file, its shape in both.

    `factor`: what its values are multiplied by.
    """

    ours: str
    theirs: str
    shape: tuple[int, ...]
    factor: float = 1.0


def convolution(
    ours: str,
    theirs: str,
    channels_in: int,
    channels_out: int,
    size: int = 3,
    *,
    bias: bool = True,
    factors: tuple[float, float] = (1.0, 1.0),
) -> list[Entry]:
    """Return kernel and bias of a convolution; `factors`: of the two."""
    shape = (channels_out, channels_in, size, size)
    kernel = Entry(f"{ours}.weight", f"{theirs}.weight", shape, factors[0])
    one = Entry(f"{ours}.bias", f"{theirs}.bias", (channels_out,), factors[1])
    return [kernel, *([one] if bias else [])]


def batch_norm(ours: str, theirs: str, channels: int) -> list[Entry]:
    """Return γ, β, mean and variance of a batch norm."""
    names = ("weight", "bias", "running_mean", "running_var")
    return [Entry(f"{ours}.{own}", f"{theirs}.{own}", (channels,)) for own in names]


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Return the float32 tensors of a .pth or .safetensors file by name; others are left out.

    Its pickle is not run. Raises InputError that names the file.
    """
    import torch  # help of the command need not wait for it

    from srntt_pipeline.tensors import check_tensor, read_weights

    content = read_weights(path)
    for name in _WITHIN:
        if isinstance(inner := content.get(name), Mapping):
            content = dict(inner)
            break
    found = {}
    for name, value in content.items():
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            continue
        if problem := check_tensor(value, torch.empty(value.shape, device="meta")):
            raise InputError(f"{path}: {one_line(str(name))} is {problem}")
        found[str(name).removeprefix(_BEFORE)] = value.numpy().copy()
    return found


def channels_of(path: Path, state: Mapping[str, np.ndarray], name: str) -> int:
    """Return how many channels the convolution has whose kernel is `name`.

    Raises InputError where it is missing, or no kernel that a network could have.
    """
    kernel = state.get(name)
    if kernel is None:
        raise InputError(f"{path}: {name} is missing: another network, or of other names")
    if kernel.ndim != 4 or not 1 <= kernel.shape[0] <= _LIKELY_CHANNELS:
        raise InputError(f"{path}: {name} is of shape {kernel.shape}, no kernel")
    return int(kernel.shape[0])


def count_of(state: Iterable[str], before: str, after: str) -> int:
    """Return how many names are `before`, a number from 0 on without gaps, `after`."""
    names, count = set(state), 0
    while f"{before}{count}{after}" in names:
        count += 1
    return count


def take(
    path: Path, state: Mapping[str, np.ndarray], entries: Sequence[Entry], beside: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return the parameters of our network by name; names `beside` are there but not used.

    Raises InputError for the first that is missing, of another shape, or of no place here.
    """
    for entry in entries:
        if entry.theirs not in state:
            raise InputError(f"{path}: {entry.theirs} is missing: another network")
        if (shape := state[entry.theirs].shape) != entry.shape:
            raise InputError(f"{path}: {entry.theirs} is of shape {shape}, expected {entry.shape}")
    if more := sorted(set(state) - {entry.theirs for entry in entries} - set(beside)):
        raise InputError(f"{path}: {one_line(more[0])} is of another network")
    return {
        entry.ours: np.ascontiguousarray(state[entry.theirs] * np.float32(entry.factor))
        for entry in entries
    }
