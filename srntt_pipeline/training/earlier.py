"""What an earlier run left in a folder: a state to go on from, or another run's work to keep."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import read_json
from srntt_pipeline.models import model_names
from srntt_pipeline.outputs import ours_in
from srntt_pipeline.training.job import (
    CODE,
    LOSS_NETWORK,
    NETWORK,
    OPTIMISER,
    PHASES,
    Job,
    Schedule,
)
from srntt_pipeline.training.split import SPLIT
from srntt_pipeline.training.state import RESUME, Found, State, read_state, states_in

CARD = "card.json"
BEST = Path("best")  # where the checkpoint of the best validation lies
_TOLD = 6  # differences in one line


@dataclass(frozen=True)
class Earlier:
    """What lies in a run's folder when it starts.

    `found`: the state that it goes on from; `has_other_results`: the checkpoint is of another run;
    `other_models`: whose checkpoints it replaces by its own; `schedules`: of all runs there.
    """

    found: Found | None
    has_other_results: bool
    other_models: list[str]
    schedules: list[Schedule]


def look(out: Path, job: Job, *, overwrite: bool) -> Earlier:
    """Look at the folder of a run; change nothing. Raises InputError as `find_state` does."""
    found = find_state(out, job, overwrite=overwrite)
    others = [name for name in checkpoints(out) if name != job.model]
    schedules = [job.schedule, *_known_schedules(out)]
    return Earlier(found, _has_other_results(out, job), others, schedules)


def find_state(out: Path, job: Job, *, overwrite: bool) -> Found | None:
    """Return the last state that `job` can go on from, or None to start afresh. Changes nothing.

    Raises InputError that says what differs where `out` holds the work of another run, unless
    `overwrite` allows to replace it, and for damaged states.
    """
    found: Found | None = None
    other: Found | None = None
    mine = out / RESUME / job.run
    for path in sorted(states_in(out), key=lambda path: path.parent != mine):
        try:
            state = read_state(path)
        except InputError:
            if overwrite and path.parent != mine:  # it will be replaced anyway
                continue
            raise
        if not _differences(state, job):
            found = Found(path, state)
            break
        other = other or Found(path, state)
    if overwrite:
        return found
    if not found and other:
        raise _refusal(out, _differences(other.state, job))
    for name in checkpoints(out):
        if name != job.model:
            raise _refusal(out, [f"network was {name}, is {job.model}"])
        if not found and (told := _lost(out / f"{name}.json", job)):
            raise _refusal(out, told)
    return found


def checkpoints(out: Path) -> list[str]:
    """Return the names of the models whose checkpoints, weights and JSON, lie in `out`."""
    return [
        name
        for name in model_names()
        if (out / f"{name}.safetensors").exists() and (out / f"{name}.json").exists()
    ]


def remove_checkpoints(out: Path, models: Iterable[str]) -> None:
    """Remove the checkpoints of these models from `out`, the last and the best."""
    files = [
        out / place / f"{name}{suffix}"
        for name in models
        for place in (Path(), BEST)
        for suffix in (".json", ".safetensors")
    ]
    for path in ours_in(out, files):
        path.unlink(missing_ok=True)


def _known_schedules(out: Path) -> list[Schedule]:
    """Return the schedules of the runs whose states lie in `out`, those that can be read."""
    schedules = []
    for path in states_in(out):
        try:
            schedules.append(read_state(path).schedule)
        except InputError:
            continue
    return schedules


def _has_other_results(out: Path, job: Job) -> bool:
    """Tell whether the checkpoint in `out` is that of another run, or of one that is not known."""
    if not checkpoints(out):
        return False
    try:
        card = read_json(out / CARD, "")
    except InputError:
        return True
    return not (isinstance(card, dict) and card.get("made_from") == job.made_from_sha256)


def _refusal(out: Path, told: list[str]) -> InputError:
    more = [f"and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    return InputError(
        f"{out} holds another run: {', '.join([*told[:_TOLD], *more])}; name another folder, or "
        "replace that run with --overwrite"
    )


def _lost(described: Path, job: Job) -> list[str]:
    """Return how a finished run whose state is gone differs; nothing if it made no step."""
    content = read_json(described, "delete it and its weights, or name another folder")
    made = content if isinstance(content, dict) else {}
    if made.get("step") == 0:
        return []
    params = made.get("train")
    told = _told(params, job.made_from["params"]) if isinstance(params, dict) else []
    changed = [line for line in told if line.split()[0] not in Schedule.model_fields]
    return changed or [f"its weights are of step {made.get('step')}, and its states are gone"]


def _differences(state: State, job: Job) -> list[str]:
    """Return what differs between what a state and a job are made from."""
    told: list[str] = []
    for name in _keys(state.made_from, job.made_from):
        before, now = state.made_from.get(name), job.made_from.get(name)
        if name in (LOSS_NETWORK, CODE) and None in (before, now):
            continue  # no step has used it, or nobody asks which code it was
        if name in (NETWORK, PHASES, OPTIMISER, *SPLIT) and told:
            continue  # what follows from the rest
        if name in ("pairs", "references", *SPLIT):
            told += _pairs_told(name.replace("_", " "), before, now)
        elif isinstance(before, dict) and isinstance(now, dict):
            told += _told(before, now)
        else:
            told += _told({name: before}, {name: now})
    if not told and state.step > job.steps:
        before, now = state.schedule.steps, job.schedule.steps
        told.append(f"steps was {before}, is {now}, and {state.step} steps of all are made")
    return told


def _told(before: Mapping[str, Any], now: Mapping[str, Any], place: str = "") -> list[str]:
    """Return a line for each value that differs, also in mappings of mappings."""
    told = []
    for name in _keys(before, now):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            told += _told(old, new, f"{place}{name}.")
        elif old != new:
            told.append(f"{place}{name} was {_shown(old)}, is {_shown(new)}")
    return told


def _keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [*now, *(name for name in before if name not in now)]


def _shown(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    shown = text.encode("unicode_escape").decode()
    return shown if len(shown) <= 40 else f"{shown[:12]}…"


def _pairs_told(what: str, before: Any, now: Any) -> list[str]:
    """Return how pairs, or their references, differ: lists of names, or hashes by name."""
    if not isinstance(before, type(now)):
        return [f"{what} are recorded otherwise"]
    then, today = set(map(str, before)), set(now)
    changes = {"gone": sorted(then - today), "new": sorted(today - then)}
    if isinstance(now, dict):
        changes["changed"] = [name for name in now if before.get(name, now[name]) != now[name]]
    found = [f"{len(names)} {how} ({_first(names)})" for how, names in changes.items() if names]
    return [f"{what}: {', '.join(found)}"] if found else []


def _first(names: Iterable[str]) -> str:
    name, *more = names
    return f"{_shown(name)} …" if more else _shown(name)
