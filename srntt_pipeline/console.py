"""How commands and stages talk: progress and logs on stderr, errors in one line, exit codes."""

import io
import logging
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm.contrib.logging import logging_redirect_tqdm

from srntt_pipeline.ending import stoppable
from srntt_pipeline.errors import KEPT, InputError, WorkerDied
from srntt_pipeline.text import printable, shortened

_LONGEST_ERROR = 2000  # characters


@contextmanager
def reporting() -> Iterator[None]:
    """Log to stderr, and end the process on an error that the user can mend: one line, exit code 2.

    Such are InputError and what the file system refuses (a full disk, no permission). A worker that
    died is told in one line, by what ended it: exit code 1. Any other error is ours: its traceback
    is shown, and Python's exit code is 1. Signals end the process as `stoppable` says.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack our signs
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("srntt_pipeline").setLevel(logging.INFO)
    try:
        with logging_redirect_tqdm(), stoppable():
            yield
    except InputError as error:
        _end(str(error), 2)
    except OSError as error:
        told = _told(error)
        if told is None:
            raise
        _end(told, 2)
    except WorkerDied as error:
        _end(str(error), 1)
    except TerminatedWorkerError as error:
        _end(str(WorkerDied([int(code) for code in re.findall(r"\((-?\d+)\)", str(error))])), 1)
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):  # PyTorch has no type of its own for it
            raise
        _end(f"{error}; {KEPT}, with fewer --loader-workers", 1)


def arguments(usage: str | None) -> list[str]:
    """Return the arguments of a stage's script, whose docstring is `usage`.

    That is a line such as `DVC stage NAME: PARAMS OUT [SWAPS] [KEY=VALUE…].`: a word in brackets
    may be left out, one that ends with `…` may be given many times. Raises InputError for too few
    arguments or too many, with the usage.
    """
    line = (usage or "").splitlines()[0].partition(": ")[2].removesuffix(".")
    words, (script, *given) = line.split(), sys.argv
    least = sum(not word.startswith("[") for word in words)
    most = math.inf if "…" in line else len(words)
    if not least <= len(given) <= most:
        number = f"{len(given)} argument" + "s" * (len(given) != 1)
        raise InputError(f"{script}: {number}; usage: python {script} {line}")
    return given


def _told(error: OSError) -> str | None:
    """Return what the file system refused, with the file; None where it was not the file system."""
    if error.strerror is None:
        return None
    # HDF5 puts both into a long text.
    file = re.search(r"filename = '(.*?)'", error.strerror)
    reason = re.search(r"error message = '(.*?)'", error.strerror)
    name = error.filename or (file[1] if file else "input/output")
    return f"{name}: {reason[1] if reason else error.strerror}"


class _OneLine(logging.Formatter):
    """A message is a line, and steers no terminal: it may hold names of any kind."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return printable(record.message)


def say(text: str) -> None:
    """Print lines of text to stdout; what would steer a terminal is shown as escapes."""
    click.echo(printable(text, keep="\n"))


def say_line(text: str) -> None:
    """Print a line to stdout; line ends in it are shown as escapes too."""
    click.echo(printable(text))


def _end(message: str, code: int) -> None:
    line = shortened(printable(" ".join(message.split())), _LONGEST_ERROR)
    sys.stderr.write(f"Error: {line}\n")
    sys.exit(code)
