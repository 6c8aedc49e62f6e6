"""How processes end: a command on a signal, in order and in time; its workers with it.

A command that is asked to end (Ctrl-C, or SIGTERM, as `timeout`, SLURM and systemd send it)
unwinds: what is half-written goes, workers end, one line says so. What takes too long is cut off.
"""

import _thread
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from srntt_pipeline.errors import KEPT

Result = TypeVar("Result")

GRACE_S = 2.0  # from a signal to the end, whatever the process is doing
CLEANUP_S = 0.5  # of that, what workers have to remove what they have half-written
_REPEAT_S = 1.0  # `timeout` sends a signal twice: to the process, and to its group
_POLL_S = 0.25
_WATCH_S = 0.05

# Python's tracker of semaphores outlives a command that is cut off, and would then tell the user.
_QUIET_TRACKER = "ignore:resource_tracker:UserWarning"

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Stopped(SystemExit):
    """A signal asked this process to end; `number`: which. No error, so nothing catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        return f"Stopped by {name}; {KEPT}"


class _Unwinding:
    """Unwinds the main thread by Stopped, which it raises again where Python has lost it.

    What a destructor or a weak reference's callback raises, Python prints and forgets; its caller
    goes on. A signal may come at such a moment.
    """

    def __init__(self) -> None:
        self.stopped: Stopped | None = None
        self._lost = self._again = False

    def mind(self) -> None:
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable

    def forget(self) -> None:
        sys.unraisablehook = self._hook

    def _unraisable(self, unraisable: "sys.UnraisableHookArgs") -> None:
        if self.stopped is not None and unraisable.exc_value is self.stopped:
            self._lost = True
        else:
            self._hook(unraisable)

    def is_due(self) -> bool:
        """Tell a handler whether to raise `stopped` again."""
        due, self._again = self._again, False
        return due

    def watch(self, seconds: Callable[[], float]) -> None:
        """Wait, in another thread than the main one, and see that `stopped` is not lost."""
        began = time.monotonic()
        while time.monotonic() < began + seconds():
            time.sleep(_WATCH_S)
            if self._lost and self.stopped is not None:
                self._lost = False
                time.sleep(_WATCH_S)  # the main thread may still be in the hook
                self._again = True
                _signal_main_thread(self.stopped.number)


def _signal_main_thread(number: int) -> None:
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)  # ends what the thread waits in, too
    else:
        _thread.interrupt_main(signal.Signals(number))


class _Command(_Unwinding):
    """The command that this process runs: the signal that ended it, and until when it may end."""

    def __init__(self) -> None:
        super().__init__()
        self.said = False
        self.grace_s = GRACE_S
        self._since = 0.0
        self._told, self._watched = socket.socketpair()

    def begin(self) -> None:
        if _QUIET_TRACKER not in sys.warnoptions:
            sys.warnoptions.append(_QUIET_TRACKER)  # handed on to what Python starts
        self._told.setblocking(False)
        # Python runs handlers between two of its instructions: the main thread may be within a call
        # that takes minutes. The thread is told at once.
        self._wakeup = signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        # What was ignored stays so, as SIGHUP under nohup.
        self._before = {
            number: signal.signal(number, self._handle)
            for number in _SIGNALS
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        self.mind()
        threading.Thread(target=self._watch, name="ending", daemon=True).start()

    def end(self) -> None:
        self.forget()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._told.close()

    def _handle(self, number: int, frame: Any) -> None:
        if self.stopped is None:
            self.stopped, self._since = Stopped(number), time.monotonic()
        elif not self.is_due():
            if time.monotonic() - self._since > _REPEAT_S:
                _cut_off(128 + number)
            return
        raise self.stopped

    def _watch(self) -> None:
        while told := self._watched.recv(1):
            if told[0] in self._before:
                self.watch(lambda: self.grace_s)
                if not self.said:
                    with suppress(OSError):
                        os.write(2, f"\n{Stopped(told[0])}\n".encode())
                _cut_off(128 + told[0])
        self._watched.close()


def _cut_off(code: int) -> None:
    """End this process, and those that it has started, which may be too young to `follow`."""
    for child in multiprocessing.active_children():
        if child.pid:
            with suppress(OSError):  # not `child.kill()`, which joblib's processes lack
                os.kill(child.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    os._exit(code)


_command: _Command | None = None


@contextmanager
def stoppable() -> Iterator[None]:
    """Run a command that ends on SIGINT, SIGTERM and SIGHUP: one line, exit code 128 + the signal.

    The block is unwound by `Stopped`, within GRACE_S; a second signal ends the process at once. In
    the main thread only; elsewhere signals are left alone.
    """
    global _command
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _command = _command, _Command()
    command = _command
    command.begin()
    try:
        yield
    finally:  # whatever is raised: workers that the signal ended too may make errors of their own
        if command.stopped is None:
            command.end()
            _command = before
        else:
            command.said = True
            with suppress(OSError, ValueError):  # the terminal may be gone
                sys.stderr.write(f"{command.stopped}\n")
                sys.stderr.flush()
                sys.stdout.flush()
            # Python's own end would wait for threads, and takes seconds once PyTorch is loaded.
            _cut_off(128 + command.stopped.number)


def allow(seconds: float) -> None:
    """Let this command take so long to end, where others must be told (SLURM, to end our jobs)."""
    if _command:
        _command.grace_s = seconds


def follow(parent: int) -> None:
    """End this process soon after its parent, whatever ended that; Ctrl-C is the parent's to tell.

    `parent`: the process id that started this one. On Windows, which does not tell, do nothing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.name == "posix":
        threading.Thread(target=_follow, args=[parent], name="follow", daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os._exit(1)


class _Worker(_Unwinding):
    """This process as a worker: whether it was told to end, and whether a job is to be unwound."""

    busy = False

    def handle(self, number: int, frame: Any) -> None:
        if self.stopped is None:
            self.stopped = Stopped(number)
            # Not at once, even when idle: the parent takes a worker that ends for a crash, and
            # would end the others amidst their cleaning up.
            threading.Thread(target=self._end, args=[128 + number], daemon=True).start()
        elif not self.is_due():
            return
        if self.busy:
            raise self.stopped

    def _end(self, code: int) -> None:
        self.watch(lambda: 2 * CLEANUP_S)
        os._exit(code)


_worker = _Worker()


def begin_worker(parent: int) -> None:
    """Make this process a worker of `parent`: follow it, and on SIGTERM unwind the job and end."""
    follow(parent)
    _worker.mind()
    signal.signal(signal.SIGTERM, _worker.handle)


def work(job: Callable[[], Result]) -> Result:
    """Return `job()`, in a worker; once that is told to end, unwind the job and do no more."""
    try:
        _worker.busy = True
        if not _worker.stopped:
            return job()
    except BaseException:
        if not _worker.stopped:
            raise
    finally:
        _worker.busy = False
    while True:
        time.sleep(1)  # until the process ends


def tell_workers(processes: Iterable[int]) -> None:
    """Tell workers to end, and give them CLEANUP_S to unwind their jobs; the caller kills them."""
    told = 0
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
            told += 1
    if told:
        time.sleep(CLEANUP_S)
