"""The harness's one process that has loaded everything, its inputs, and its table."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from commands import Inputs, make_inputs
from harness import Lab
from zygote import Zygote


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    zygote = Zygote(tmp_path_factory.mktemp("logs"))
    yield zygote
    zygote.close()


@pytest.fixture(scope="session")
def inputs(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return make_inputs(tmp_path_factory.mktemp("inputs"), zygote)


@pytest.fixture(scope="session")
def lab(zygote: Zygote, inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(zygote, inputs, tmp_path_factory.mktemp("lab"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the tables of docs/reliability.md: what was tried how often, and what was lost."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    noted = [p for r in reports if r.when == "call" for p in r.user_properties]
    counts: dict[str, list[int]] = {}
    for fault, *numbers in (json.loads(value) for name, value in noted if name == "fault"):
        row = counts.setdefault(fault, [0, 0, 0])
        counts[fault] = [one + more for one, more in zip(row, (1, *numbers), strict=True)]
    fuzzed = [json.loads(value) for name, value in noted if name == "fuzz"]
    faults = [[fault, *row] for fault, row in counts.items()]
    for head, rows in (
        (("Fault", "Commands", "Tried", "Lost"), faults),
        (("Kind", "Tried", "Refused", "Broken", "Memory, MiB"), fuzzed),
    ):
        if rows:
            terminalreporter.section(head[0])
            for cells in (head, ["---"] * len(head), *sorted(rows)):
                terminalreporter.write_line(f"| {' | '.join(map(str, cells))} |")
