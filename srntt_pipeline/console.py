"""How commands and stages talk: progress and logs on stderr, errors in one line, exit codes."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm.contrib.logging import logging_redirect_tqdm

from srntt_pipeline.ending import stoppable
from srntt_pipeline.errors import KEPT, InputError, WorkerDied


@contextmanager
def reporting() -> Iterator[None]:
    """Log to stderr, and end the process on an error that the user can mend: one line, exit code 2.

    Such are InputError and what the file system refuses (a full disk, no permission). A worker that
    died is told in one line, by what ended it: exit code 1. Any other error is ours: its traceback
    is shown, and Python's exit code is 1. Signals end the process as `stoppable` says.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
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


def _told(error: OSError) -> str | None:
    """Return what the file system refused, with the file; None where it was not the file system."""
    if error.strerror is None:
        return None
    # HDF5 puts both into a long text.
    file = re.search(r"filename = '(.*?)'", error.strerror)
    reason = re.search(r"error message = '(.*?)'", error.strerror)
    name = error.filename or (file[1] if file else "input/output")
    return f"{name}: {reason[1] if reason else error.strerror}"


def _end(message: str, code: int) -> None:
    sys.stderr.write(f"Error: {' '.join(message.split())}\n")
    sys.exit(code)
