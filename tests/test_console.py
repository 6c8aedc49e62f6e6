"""What a command says when it ends by an error, and its exit code."""

import errno
import os
import signal

import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError

from srntt_pipeline.console import arguments, reporting
from srntt_pipeline.errors import InputError, WorkerDied
from srntt_pipeline.parallel import run_all


def end_by(number):
    os.kill(os.getpid(), number)


def leave(code):
    os._exit(code)


@pytest.fixture
def told(capfd):
    """Run something that fails as a command does; return what it says, and its exit code."""

    def run(command):
        with pytest.raises(SystemExit) as end, reporting():
            command()
        lines = capfd.readouterr().err.splitlines()
        (line,) = [line for line in lines if line.startswith("Error: ")]
        return line.removeprefix("Error: "), end.value.code

    return run


def raising(error):
    def command():
        raise error

    return command


KEPT = "what was done is kept: run the command again"


@pytest.mark.parametrize(
    ("job", "how", "expected"),
    [
        (
            end_by,
            signal.SIGKILL,
            "a worker process was killed (SIGKILL), most likely for want of memory; "
            f"{KEPT} with fewer of them (--workers, --devices)",
        ),
        (
            end_by,
            signal.SIGSEGV,
            "a worker process crashed in a library (SIGSEGV): an internal error, or that of a full "
            f"or failing disk; {KEPT}, and report it if it happens twice",
        ),
        (leave, 7, f"a worker process ended (exit code 7); {KEPT}"),
    ],
    ids=["SIGKILL", "SIGSEGV", "exit"],
)
def test_a_worker_that_died_is_told_by_what_ended_it(told, job, how, expected):
    def command():
        run_all(job, [how, how], workers=2, description="test", unit="jobs")

    assert told(command) == (expected, 1)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ([-signal.SIGTERM, -signal.SIGBUS], "crashed in a library (SIGBUS)"),
        ([-signal.SIGABRT], "crashed in a library (SIGABRT)"),
        ([-signal.SIGTERM], "ended (SIGTERM)"),
        ([143], "ended (SIGTERM)"),
        ([0, 0, 255], "ended (exit code 0, exit code 255)"),
        ([], "ended (unknown exit code)"),
    ],
)
def test_other_ends_of_workers(told, codes, words):
    assert f"a worker process {words}" in told(raising(WorkerDied(codes)))[0]


def test_joblib_without_exit_codes(told):
    line, code = told(raising(TerminatedWorkerError("A worker process was terminated")))
    assert line.startswith("a worker process ended (unknown exit code)")
    assert code == 1


def test_a_loader_worker_that_died(told):
    line, code = told(
        raising(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."))
    )
    assert line.startswith("DataLoader worker (pid 7) is killed by signal: Killed.; what was done")
    assert code == 1


HDF5 = (
    "Can't synchronously write data (file write failed: time = Wed Nov 25 2026, filename = "
    "'swaps/a.h5', file descriptor = 9, errno = 28, error message = 'No space left on device', "
    "buf = 0x1, total write size = 4)"
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "a.png"),
            "a.png: No space left on device",
        ),
        (OSError(errno.ENOSPC, HDF5), "swaps/a.h5: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device"), "input/output: No space left on device"),
        (InputError("photo.jpg: no photo"), "photo.jpg: no photo"),
    ],
)
def test_the_file_system_s_errors_name_the_file(told, error, expected):
    assert told(raising(error)) == (expected, 2)


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), OSError("not the file system"), KeyError(1)]
)
def test_faults_of_ours_are_shown_as_they_are(error):
    with pytest.raises(type(error)), reporting():
        raise error


# Arguments of a stage's script


@pytest.mark.parametrize(
    ("usage", "given", "taken"),
    [
        ("PARAMS OUT", 2, True),
        ("PARAMS OUT", 1, False),
        ("PARAMS OUT", 3, False),
        ("PARAMS RESULTS…", 1, False),
        ("PARAMS RESULTS…", 9, True),
        ("PARAMS [SWAPS]", 1, True),
        ("PARAMS [SWAPS]", 2, True),
        ("PARAMS [SWAPS]", 3, False),
        ("PARAMS [SWAPS] [KEY=VALUE…]", 1, True),
        ("PARAMS [SWAPS] [KEY=VALUE…]", 9, True),
        ("PARAMS [SWAPS] [KEY=VALUE…]", 0, False),
    ],
)
def test_arguments_are_as_many_as_the_usage_says(told, monkeypatch, usage, given, taken):
    values = [f"value {number}" for number in range(given)]
    monkeypatch.setattr("sys.argv", ["stages/one.py", *values])
    doc = f"DVC stage one: {usage}.\n\nMore of it."
    if taken:
        assert arguments(doc) == values
        return
    line, code = told(lambda: arguments(doc))
    number = "1 argument" if given == 1 else f"{given} arguments"
    assert (line, code) == (f"stages/one.py: {number}; usage: python stages/one.py {usage}", 2)
