"""The state of a run on disk: a folder, renamed into place whole, from which it goes on."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srntt_pipeline.checkpoints import load_tensors, save_tensors
from srntt_pipeline.files import discard, read_json, whole_file, write_json

log = logging.getLogger(__name__)
Part = nn.Module | torch.optim.Optimizer


@dataclass
class Progress:
    """How far a run has come: steps made, and the rows of its loss and validation curves."""

    step: int
    losses: list[dict[str, Any]]
    validations: list[dict[str, Any]]


def save_state(folder: Path, made_from: str, progress: Progress, parts: Mapping[str, Part]) -> None:
    """Write the state to `folder/step-…`: each part's tensors and the curves; drop the others."""
    target = folder / f"step-{progress.step:08d}"
    if not target.exists():
        with whole_file(target) as partial:
            for name, part in parts.items():
                save_tensors(partial / f"{name}.safetensors", _tensors(part))
            write_json(partial / "state.json", {"made_from": made_from, **vars(progress)})
    for other in folder.glob("step-*"):
        if other != target:
            discard(other)


def find_state(folder: Path, made_from: str, last: int) -> Path | None:
    """Return the last state of the same run that is not past step `last`; discard all others."""
    for state in sorted(folder.glob("step-*"), reverse=True):
        content = read_json(state / "state.json", f"delete {state} to start afresh")
        if content["made_from"] == made_from and content["step"] <= last:
            return state
        log.warning("Training starts afresh: other parameters, other swaps, or fewer steps")
        discard(state)
    return None


def load_state(state: Path, parts: Mapping[str, Part]) -> Progress:
    """Load the parts from a state; return how far it had come."""
    content = read_json(state / "state.json", f"delete {state} to start afresh")
    for name, part in parts.items():
        tensors = load_tensors(state / f"{name}.safetensors")
        if isinstance(part, nn.Module):
            part.load_state_dict(tensors)
        else:
            _unflatten(part, tensors)
    content.pop("made_from")
    return Progress(**content)


def _tensors(part: Part) -> dict[str, Tensor]:
    """Return a part's state as named tensors; of an optimiser, what Adam holds of each weight."""
    if isinstance(part, nn.Module):
        return part.state_dict()
    state = part.state_dict()["state"]
    return {f"{i}.{key}": value for i, values in state.items() for key, value in values.items()}


def _unflatten(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, key = name.split(".")
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
