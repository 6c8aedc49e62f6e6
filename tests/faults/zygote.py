"""Commands in processes of their own, without the seconds that Python and PyTorch take to load.

Run as a script this is the process that has loaded everything and forks for each command. Its child
calls the console script's `main` and ends as any Python does, so that exit code, handlers of
signals and what runs at exit are those of the real command. `Zygote` is the other end.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
PATIENCE_S = 120  # a command of a second that takes longer hangs
_LIBRARIES = (
    "dvclive.live", "hypothesis", "matplotlib.backends.backend_agg", "matplotlib.figure",
    "pandas", "scipy.stats", "skimage.metrics", "sklearn", "torchvision",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: the signal), what it said, how long it took.

    `seconds` on the clock; `cpu` those that it and the workers that it waited for computed.
    """

    code: int
    out: str
    err: str
    seconds: float
    cpu: float

    @property
    def errors(self) -> list[str]:
        """The lines that tell the user why it ended."""
        return [line for line in self.err.splitlines() if line.startswith("Error: ")]

    def __str__(self) -> str:
        last = [line for line in self.err.splitlines() if line.strip()][-12:]
        return f"exit code {self.code}" + "".join(f"\n    | {line}" for line in last)


def _text(path: Path) -> str:
    """Return what a command has said; nothing if it was ended before it opened the file."""
    return path.read_text(errors="replace") if path.exists() else ""


class Running:
    """A command in a session of its own, whose id is its `pid`."""

    def __init__(self, zygote: "Zygote", pid: int, logs: tuple[Path, Path]) -> None:
        self.pid, self._zygote, self._logs = pid, zygote, logs
        self._began = time.monotonic()

    def wait(self, seconds: float = PATIENCE_S) -> bool:
        """Wait that long at most; return whether it has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], max(0, seconds))[0])
        finally:
            os.close(descriptor)

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the command's own process, or to all of its group."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def end(self, seconds: float = PATIENCE_S) -> Ended:
        """Wait for its end; kill what takes too long, and raise TimeoutError."""
        if not self.wait(seconds):
            self.signal(signal.SIGKILL, group=True)
            self.wait()
            self._zygote.reap(self.pid)
            raise TimeoutError(f"it did not end within {seconds:.0f} s")
        took = time.monotonic() - self._began
        out, err = (_text(path) for path in self._logs)
        code, cpu = self._zygote.reap(self.pid)
        return Ended(code, out, err, took, cpu)

    def descendants(self) -> list[int]:
        """Return the living processes that the command, which has ended, left behind."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                state, *fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            # Fields from the state on: parent, group, session.
            if fields[2] == str(self.pid) and state != "Z" and folder.name != str(self.pid):
                found.append(int(folder.name))
        return found

    def left_behind(self, seconds: float) -> list[str]:
        """Return what processes are left so many seconds after its end; kill them."""
        until = time.monotonic() + seconds
        while (left := self.descendants()) and time.monotonic() < until:
            time.sleep(0.02)
        told = []
        for pid in left:
            try:
                words = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
                told.append(" ".join(word.decode(errors="replace")[:40] for word in words[:4]))
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        return told


class Zygote:
    """The process that has loaded everything; `start` forks a command from it."""

    def __init__(self, logs: Path) -> None:
        self._logs, self._count = logs, 0
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        path = f"{REPOSITORY}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **one_thread, "PYTHONPATH": path},
            text=True,
        )

    def _ask(self, **request: object) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, *argv: object, cwd: Path, largest_file: int | None = None) -> Running:
        """Start the command line `argv`; `largest_file`: bytes that no file may grow beyond."""
        self._count += 1
        logs = self._logs / f"{self._count}.out", self._logs / f"{self._count}.err"
        pid = self._ask(
            argv=[str(word) for word in argv], cwd=str(cwd), logs=[str(path) for path in logs],
            largest_file=largest_file,
        )  # fmt: skip
        return Running(self, pid, logs)

    def run(self, *argv: object, cwd: Path, largest_file: int | None = None) -> Ended:
        """Run a command line to its end."""
        return self.start(*argv, cwd=cwd, largest_file=largest_file).end()

    def reap(self, pid: int) -> tuple[int, float]:
        """Return exit code and CPU seconds of a process that has ended."""
        code, cpu = self._ask(reap=pid)
        return code, cpu

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


def _load() -> None:
    for name in _LIBRARIES:
        importlib.import_module(name)
    package = importlib.import_module("srntt_pipeline")
    for module in pkgutil.walk_packages(package.__path__, "srntt_pipeline."):
        if "triton" not in module.name:
            importlib.import_module(module.name)
    # Seconds and memory differ from run to run, and a run's results are compared by their bytes.
    cost = importlib.import_module("srntt_pipeline.methods.cost").Cost(
        7, 12.5, 0.5, 40, "a machine"
    )
    importlib.import_module("srntt_pipeline.evaluation.weighing").measure_cost = lambda *given: cost


def _serve() -> dict[str, object] | None:
    """Answer requests; return one in the child that is to become its command."""
    for line in sys.stdin:
        request = json.loads(line)
        if "reap" in request:
            _, status, used = os.wait4(request["reap"], 0)
            answer: object = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        elif not (answer := os.fork()):
            return request
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return None


def _become(argv: list[str], cwd: str, logs: list[str], largest_file: int | None) -> None:
    os.setsid()
    os.chdir(cwd)
    nothing = os.open(os.devnull, os.O_RDONLY)
    files = [nothing, *(os.open(log, os.O_WRONLY | os.O_CREAT, 0o644) for log in logs)]
    for number, descriptor in enumerate(files):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = ["srntt-pipeline", *argv]
    main = importlib.import_module("srntt_pipeline.cli").main
    if argv[0] == "--fuzz":
        sys.path.insert(0, str(HERE))
        main = importlib.import_module("fuzz").main
    code = _exit_code(main)
    # What HDF5 does at exit can crash; what other libraries do takes time and nothing else.
    ctypes.CDLL(importlib.import_module("h5py.h5").__file__).H5close()
    os._exit(code)


def _exit_code(main: Callable[[], object]) -> int:
    """Run `main` and what Python runs at its exit; return its exit code.

    Python would then take apart a gigabyte of modules, which takes two seconds of each command.
    """
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    _load()
    gc.collect()
    gc.freeze()  # or the first collection in a child copies all of that memory
    asked = _serve()
    if asked:
        _become(**asked)  # type: ignore[arg-type]
    os._exit(0)
