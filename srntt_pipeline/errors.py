"""What the user can mend, told apart from what we must mend."""

import signal
from collections.abc import Sequence

from pydantic import ValidationError

from srntt_pipeline.text import printable, shortened

KEPT = "what was done is kept: run the command again"
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL")


class InputError(Exception):
    """Bad input or usage: one line that names the file or option and the fix; exit code 2."""


class UnusableImage(InputError):  # noqa: N818 - it reads as what is raised: an image, unusable
    """An image file that cannot be used, with the reason (`reason`) as rejects list it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class WorkerDied(Exception):  # noqa: N818 - it reads as what happened
    """A worker process ended by itself; `codes`: exit codes, -N where signal N ended it."""

    def __init__(self, codes: Sequence[int]) -> None:
        super().__init__(codes)
        self.codes = codes

    def __str__(self) -> str:
        names = [_exit_name(code) for code in self.codes]
        told = ", ".join(dict.fromkeys(names)) or "unknown exit code"
        if crashed := [name for name in names if name in _CRASHES]:
            return (
                f"a worker process crashed in a library ({crashed[0]}): an internal error, or that "
                f"of a full or failing disk; {KEPT}, and report it if it happens twice"
            )
        if "SIGKILL" in names:
            return (
                "a worker process was killed (SIGKILL), most likely for want of memory; "
                f"{KEPT} with fewer of them (--workers, --devices)"
            )
        return f"a worker process ended ({told}); {KEPT}"


def _exit_name(code: int) -> str:
    try:
        return signal.Signals(code - 128 if code > 128 else -code).name
    except ValueError:
        return f"exit code {code}"


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong, on one line, without what a stranger wrote there."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return one_line(f"{place}: {first['msg']}" if place else first["msg"])


def one_line(text: str) -> str:
    """Return `text` as a short line without control codes."""
    return shortened(printable(" ".join(text.split())), 300)
