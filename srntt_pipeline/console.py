"""How commands and stages talk: progress and logs on stderr, errors in one line, exit codes."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm.contrib.logging import logging_redirect_tqdm

from srntt_pipeline.errors import InputError


@contextmanager
def reporting() -> Iterator[None]:
    """Log to stderr, and end the process on an error that the user can mend: one line, exit code 2.

    Such are InputError and what the file system refuses (a full disk, no permission). Any other
    error is ours: its traceback is shown, and Python's exit code is 1.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("srntt_pipeline").setLevel(logging.INFO)
    try:
        with logging_redirect_tqdm():
            yield
    except InputError as error:
        _end(str(error), 2)
    except OSError as error:
        if error.strerror is None:
            raise
        _end(f"{error.filename or 'input/output'}: {error.strerror}", 2)
    except TerminatedWorkerError:
        _end(
            "a worker process was killed, most likely for want of memory; what was done is kept: "
            "run the command again with fewer --workers",
            1,
        )


def _end(message: str, code: int) -> None:
    sys.stderr.write(f"Error: {' '.join(message.split())}\n")
    sys.exit(code)
