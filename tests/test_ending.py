"""Commands that are told to end, or killed: in time, in order, and with all their processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from srntt_pipeline.ending import Stopped, stoppable

HERE = Path(__file__).parent
SAID = "Stopped by {}; what was done is kept: run the command again"


class Command:
    """`ending_jobs.py` with its jobs half done; `processes`: it and all that it has started."""

    def __init__(self, job: str, folder: Path, workers: int) -> None:
        self.folder = folder
        paths = os.pathsep.join([str(HERE), str(HERE.parent)])
        self.process = subprocess.Popen(
            [sys.executable, HERE / "ending_jobs.py", job, folder, str(workers)],
            env={**os.environ, "PYTHONPATH": paths},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        wait_until(lambda: len(self.half_written()) == workers)
        self.processes = [self.process.pid, *descendants(self.process.pid)]

    def half_written(self) -> list[Path]:
        return [path for path in self.folder.glob(".*.partial*") if path.stat().st_size]

    def end(self) -> tuple[list[str], float]:
        """Return what it says beside the progress bar, and how long it takes to end."""
        began = time.monotonic()
        self.process.wait(10)
        took = time.monotonic() - began
        assert self.process.stderr
        lines = self.process.stderr.read().replace("\r", "\n").splitlines()
        return [line for line in lines if line and not line.startswith("test:")], took


def descendants(pid: int) -> list[int]:
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found[1:]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


@pytest.fixture
def started(tmp_path: Path) -> Iterator:
    commands: list[Command] = []

    def start(*arguments: object) -> Command:
        commands.append(Command(arguments[0], tmp_path, *arguments[1:]))
        return commands[-1]

    yield start
    for command in commands:
        for process in command.processes:
            if not is_gone(process):
                os.kill(process, signal.SIGKILL)
        command.process.wait()


pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


# As `kill` and SLURM do, and as a terminal and `timeout` do.
@pytest.mark.parametrize(
    ("name", "to_all"), [("SIGTERM", False), ("SIGINT", True)], ids=["SIGTERM", "SIGINT to all"]
)
def test_a_signal_ends_all_with_one_line_and_leaves_nothing_half_written(started, name, to_all):
    command = started("hold", 2)
    number = signal.Signals[name]
    (os.killpg if to_all else os.kill)(command.process.pid, number)
    said, took = command.end()
    assert said == [SAID.format(name)]
    assert command.process.returncode == 128 + number
    assert took < 3
    assert command.half_written() == []
    wait_until(lambda: all(map(is_gone, command.processes)), 3)


@pytest.mark.parametrize("job", ["compute", "swallow"])
def test_what_does_not_listen_ends_all_the_same(started, job):
    command = started(job, 1)
    command.process.send_signal(signal.SIGHUP)
    said, took = command.end()
    assert said == [SAID.format("SIGHUP")]
    assert command.process.returncode == 129
    assert took < 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_amidst_a_destructor_is_not_lost(started, workers):
    command = started("lose", workers)
    command.process.terminate()
    said, took = command.end()
    assert said == [SAID.format("SIGTERM")]
    assert command.process.returncode == 143
    assert took < 1.5  # not cut off
    assert command.half_written() == []


def test_a_second_signal_ends_at_once_but_timeout_sends_the_first_one_twice(started):
    command = started("slow_cleanup", 1)
    command.process.terminate()
    command.process.terminate()
    assert command.process.stderr
    wait_until(lambda: not command.half_written())
    time.sleep(1.1)
    assert command.process.poll() is None
    began = time.monotonic()
    command.process.terminate()
    command.process.wait(5)
    assert time.monotonic() - began < 0.5
    assert command.process.returncode == 143


def test_workers_end_with_a_command_that_is_killed(started):
    command = started("compute", 2)
    assert len(command.processes) >= 3
    command.process.kill()
    wait_until(lambda: all(map(is_gone, command.processes)), 3)
    assert list(command.folder.glob("?.txt")) == []


def test_a_worker_that_dies_of_sigterm_alone_is_told(started):
    command = started("hold", 2)
    worker = int(command.half_written()[0].read_text())
    os.kill(worker, signal.SIGTERM)
    said, _ = command.end()
    assert said == [
        "Error: a worker process ended (SIGTERM); what was done is kept: run the command again"
    ]
    assert command.process.returncode == 1


def test_what_was_ignored_stays_so_and_handlers_are_put_back():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        with stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) not in handlers
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.signal(signal.SIGHUP, before)


def test_stopped_is_no_error_that_anything_catches():
    assert not issubclass(Stopped, Exception)
    assert Stopped(signal.SIGTERM).code == 143
