"""Spoilt files of every kind: read, or refused with InputError; in bounded time and memory.

Inputs are drawn by Hypothesis, always the same; SRNTT_TEST_FUZZ=N tries N of each kind.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import TARGETS
from harness import Lab
from mutations import CANARY
from zygote import Zygote

COUNT = int(os.environ.get("SRNTT_TEST_FUZZ", "50"))


@pytest.mark.timeout(60 + COUNT)
@pytest.mark.parametrize("kind", TARGETS)
def test_spoilt_files_are_read_or_refused(
    lab: Lab,
    zygote: Zygote,
    kind: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    running = zygote.start("--fuzz", kind, COUNT, lab.inputs.root, tmp_path, cwd=tmp_path)
    try:
        ended = running.end(50 + COUNT)
    except TimeoutError as error:
        pytest.fail(f"{error}; the last input: {(tmp_path / 'last input').read_text()[:2000]}")
    last = tmp_path / "last input"
    assert ended.code == 0, f"{ended}\n{last.read_text()[:2000] if last.exists() else ''}"
    assert not (tmp_path / CANARY).exists()
    found = json.loads(ended.out.splitlines()[-1])
    numbers = [found[name] for name in ("tried", "refused", "broken", "mib")]
    record_property("fuzz", json.dumps([kind, *numbers]))
    told = [f"{n} × {what}, as of {example}" for what, (n, example) in found["kinds"].items()]
    if told:
        broken = f"{found['broken']} of {found['tried']} inputs, {found['mib']} MiB:\n"
        pytest.fail(broken + "\n".join(told), pytrace=False)
    assert found["refused"] > 0
