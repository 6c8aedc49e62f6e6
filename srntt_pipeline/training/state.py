"""The states of a run on disk: `resume/RUN/step-…`, each a folder renamed into place whole.

RUN is the start of a hash of all that a run is made from, so the states of two runs lie side by
side until the later one has saved its first.
"""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from srntt_pipeline.checkpoints import load_tensors, save_tensors
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import (
    csv_bytes,
    file_sha256,
    read_csv,
    read_json,
    whole_file,
    write_bytes,
    write_json,
)
from srntt_pipeline.outputs import ours_in
from srntt_pipeline.training.job import Job, Schedule

Part = nn.Module | torch.optim.Optimizer
Row = dict[str, int | float | str | None]

RESUME = "resume"
PARTS = ("model", "optimiser", "critic", "critic_optimiser", "average", "best")
STATE, LOSSES, VALIDATIONS = "state.json", "losses.csv", "validations.csv"
VALIDATION_COLUMNS = ["step", "phase", "psnr_db"]
_NAME = re.compile(r"step-(\d{8,18})")
# What an optimiser holds of each weight.
_KEPT = {torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"}, torch.optim.SGD: {"momentum_buffer"}}


@dataclass
class Progress:
    """How far a run has come: steps made, and the rows of its loss and validation curves."""

    step: int
    losses: list[Row]
    validations: list[Row]

    @property
    def best(self) -> Row | None:
        """The first validation of the highest PSNR in the phase of the last one; None before any.

        Phases are not compared: one on more losses is not meant to have the higher PSNR.
        """
        here = [row for row in self.validations if row["phase"] == self.validations[-1]["phase"]]
        return max(here, key=lambda row: float(str(row["psnr_db"])), default=None)


class State(BaseModel):
    """What `state.json` holds: whose state it is, how far it had come, and its files' hashes.

    `made_from` and `schedule`: the job's; `sha256`: of each other file of the state.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    made_from: dict[str, Any]
    schedule: Schedule
    step: int = Field(ge=1)
    sha256: dict[str, str]


@dataclass(frozen=True)
class Found:
    """A state on disk."""

    path: Path
    state: State


def states_in(out: Path) -> list[Path]:
    """Return the folders of all runs' states in `out`, of most steps first."""
    folders = [path for path in (out / RESUME).glob("*/step-*") if is_state(path)]
    ours = ours_in(out, (path / name for path in folders for name in state_files()))
    return sorted({path.parent for path in ours}, key=lambda path: (path.name, path), reverse=True)


def planned_states(job: Job) -> list[Path]:
    """Return the folders of the states that a whole run saves, relative to its folder."""
    schedule = job.schedule
    every, total = schedule.checkpoint_every, schedule.total
    steps = {*range(every, total + 1, every), total} - {0}
    return [Path(RESUME, job.run, _folder(step)) for step in sorted(steps)]


def is_state(path: Path) -> bool:
    """Tell whether `path` is a state's folder that holds anything of a state."""
    ours = _NAME.fullmatch(path.name)
    return bool(ours) and any((path / name).exists() for name in state_files())


def state_files() -> list[str]:
    """Return the names of all files that a state can have."""
    return [STATE, LOSSES, VALIDATIONS, *(f"{part}.safetensors" for part in PARTS)]


def read_state(path: Path) -> State:
    """Read a state but its tensors; raise InputError that names the file when it is damaged."""
    file = path / STATE
    content = read_json(file, _fix(path))
    try:
        state = State.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        raise InputError(
            f"{file} is damaged, or of another version ({reason}); {_fix(path)}"
        ) from None
    if path.name != _folder(state.step):
        raise InputError(f"{file} is of step {state.step}; {_fix(path)}")
    return state


def save_state(out: Path, job: Job, progress: Progress, parts: Mapping[str, Part]) -> None:
    """Write the state to `out`: each part's tensors and the curves; then remove all others."""
    target = out / RESUME / job.run / _folder(progress.step)
    if not is_state(target):
        with whole_file(target) as partial:
            for name, part in parts.items():
                save_tensors(partial / f"{name}.safetensors", _tensors(part))
            write_bytes(partial / LOSSES, csv_bytes(job.columns, progress.losses))
            validations = csv_bytes(VALIDATION_COLUMNS, progress.validations)
            write_bytes(partial / VALIDATIONS, validations)
            state = State(
                made_from=job.made_from,
                schedule=job.schedule,
                step=progress.step,
                sha256={path.name: file_sha256(path) for path in sorted(partial.iterdir())},
            )
            write_json(partial / STATE, state.model_dump(mode="json"))
    for other in states_in(out):
        if other != target:
            remove_state(other)


def remove_state(path: Path) -> None:
    """Remove what is a state's in its folder, and the folders that this leaves empty."""
    # That which makes it a state first: half a state never looks like one that is newest.
    for name in state_files():
        (path / name).unlink(missing_ok=True)
    for folder in (path, path.parent):
        if any(folder.iterdir()):
            break
        folder.rmdir()


def load_state(found: Found, parts: Mapping[str, Part], columns: Sequence[str]) -> Progress:
    """Load the parts from a state; return how far it had come.

    `columns`: of the loss curve. Raises InputError that names the file when it is damaged.
    """
    path, state = found.path, found.state
    for name, part in parts.items():
        file = _checked(found, f"{name}.safetensors")
        try:
            tensors = load_tensors(file)
        except InputError as error:
            raise InputError(f"{error}; {_fix(path)}") from None
        try:
            if isinstance(part, nn.Module):
                part.load_state_dict(tensors)
            else:
                _unflatten(part, tensors)
        except (RuntimeError, ValueError):
            raise InputError(f"{file}: its tensors do not fit the network; {_fix(path)}") from None
    losses = _rows(found, LOSSES, columns)
    validations = _rows(found, VALIDATIONS, VALIDATION_COLUMNS)
    if [row["step"] for row in losses] != list(range(1, len(losses) + 1)):
        raise InputError(f"{path / LOSSES}: not of one step after the other; {_fix(path)}")
    if len(losses) != state.step:
        raise InputError(f"{path / STATE}: {len(losses)} steps of {state.step}; {_fix(path)}")
    steps = [int(str(row["step"])) for row in validations]
    if steps != sorted(set(steps) & set(range(1, state.step + 1))):
        raise InputError(f"{path / VALIDATIONS}: not in the order of its steps; {_fix(path)}")
    return Progress(state.step, losses, validations)


def _checked(found: Found, name: str) -> Path:
    """Return a file of the state; raise InputError unless it is the one that was written."""
    file = found.path / name
    if not file.is_file():
        raise InputError(f"{file} is missing; {_fix(found.path)}")
    if file_sha256(file) != found.state.sha256.get(name):
        raise InputError(
            f"{file} is damaged: not the file that {STATE} tells of; {_fix(found.path)}"
        )
    return file


def _rows(found: Found, name: str, columns: Sequence[str]) -> list[Row]:
    file = _checked(found, name)
    try:
        header, *cells = [row for _, row in read_csv(file)]
        if header != list(columns):
            raise ValueError(f"its columns are not {', '.join(columns)}")
        return [_row(dict(zip(columns, row, strict=True))) for row in cells]
    except (ValueError, csv.Error) as error:
        raise InputError(f"{file} is damaged ({error}); {_fix(found.path)}") from None


def _row(cells: dict[str, str]) -> Row:
    row: Row = {"step": int(cells.pop("step")), "phase": cells.pop("phase")}
    for name, text in cells.items():
        value = float(text) if text else None
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name} of step {row['step']} is {text}")
        row[name] = value
    return row


def _folder(step: int) -> str:
    return f"step-{step:08d}"


def _fix(path: Path) -> str:
    return f"delete {path} to go on from a state before it, or else to start afresh"


def _tensors(part: Part) -> dict[str, Tensor]:
    """Return a part's state as named tensors; of an optimiser, what it holds of each weight."""
    if isinstance(part, nn.Module):
        return part.state_dict()
    state = part.state_dict()["state"]
    return {f"{i}.{key}": value for i, values in state.items() for key, value in values.items()}


def _unflatten(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    kept = _KEPT[type(optimiser)]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    for index, values in state.items():
        if not 0 <= index < len(weights) or values.keys() != kept:
            raise ValueError(f"no state of weight {index}")
        if any(values[key].shape != weights[index].shape for key in kept - {"step"}):
            raise ValueError(f"not of the shape of weight {index}")
        if "step" in kept and values["step"].numel() != 1:
            raise ValueError(f"not the steps of weight {index}")
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
