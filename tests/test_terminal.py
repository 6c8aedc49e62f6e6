"""What commands print reaches any terminal, and steers none."""

import logging
import os
import subprocess
import sys

import pytest

from srntt_pipeline.console import reporting, say, say_line
from srntt_pipeline.errors import InputError

HOSTILE = "\x1b]0;title\x07\x1b[2J\nOK: all is well\u202e"
SHOWN = r"\x1b]0;title\x07\x1b[2J\nOK: all is well\u202e"


def run(*args, **environment):
    code = "from srntt_pipeline.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("args", [["--help"], ["precompute-swaps", "--help"]], ids=" ".join)
def test_terminal_without_our_signs_gets_the_rest(args):
    done = run(*args, PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "\\u2" in done.stdout.decode("cp1252")


def test_error_with_signs_that_the_terminal_lacks_is_one_line(tmp_path):
    done = run("manifest", "diff", str(tmp_path / "ℓ↑東"), "x", PYTHONIOENCODING="cp1252")
    assert done.returncode == 2
    assert len(done.stderr.decode("cp1252").splitlines()) == 1
    assert "Traceback" not in done.stderr.decode("cp1252")


def test_messages_of_the_log_are_one_line_each(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as a command finds it
    with reporting():
        logging.getLogger("srntt_pipeline.x").warning("lund/%s: missing", HOSTILE)
        logging.getLogger("other").warning("%s", HOSTILE)
    assert capsys.readouterr().err == f"lund/{SHOWN}: missing\n{SHOWN}\n"


def test_error_steers_no_terminal_and_ends(capsys):
    with pytest.raises(SystemExit) as ended, reporting():
        raise InputError(f"{HOSTILE}: {'x' * 10_000}")
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(r"Error: \x1b]0;title\x07\x1b[2J OK: all is well\u202e: xx")
    assert len(error.splitlines()) == 1
    assert len(error) < 2100


def test_lines_that_are_printed_steer_no_terminal(capsys):
    say(f"two\nlines\x1b[2J{'é'}")
    say_line(HOSTILE)
    assert capsys.readouterr().out == f"two\nlines\\x1b[2Jé\n{SHOWN}\n"
