"""A command for test_ending.py: JOB FOLDER WORKERS, each of six jobs half-way through a file."""

import hashlib
import os
import sys
import time
from pathlib import Path

import ending_jobs  # not __main__: workers must find the jobs

from srntt_pipeline.console import reporting
from srntt_pipeline.files import whole_file
from srntt_pipeline.parallel import run_all


def _half_written(path, wait):
    with whole_file(Path(path)) as partial:
        partial.write_text(str(os.getpid()))
        wait()


def hold(path):
    _half_written(path, lambda: time.sleep(60))


def compute(path):
    """Be where Python runs no handler of a signal."""
    _half_written(path, lambda: hashlib.pbkdf2_hmac("sha256", b"", b"", 1 << 30))


def swallow(path):
    """Be what catches all, for ever."""
    while True:
        try:
            _half_written(path, lambda: time.sleep(60))
        except BaseException:
            time.sleep(0.01)


class Slow:
    def __del__(self):
        time.sleep(60)


def lose(path):
    """Be in a destructor, whose exceptions Python prints and forgets."""

    def wait():
        Slow()
        time.sleep(60)

    _half_written(path, wait)


def slow_cleanup(path):
    try:
        _half_written(path, lambda: time.sleep(60))
    finally:
        print("cleaning up", file=sys.stderr, flush=True)
        time.sleep(1.8)


if __name__ == "__main__":
    name, folder, workers = sys.argv[1:]
    with reporting():
        jobs = [f"{folder}/{number}.txt" for number in range(6)]
        run_all(
            getattr(ending_jobs, name), jobs, workers=int(workers), description="test", unit="jobs"
        )
