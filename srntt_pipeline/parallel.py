"""The one place where work is spread over processes, or over a cluster (`cluster`)."""

import functools
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import joblib
from joblib.parallel import LokyBackend, get_active_backend
from tqdm import tqdm

from srntt_pipeline import portable
from srntt_pipeline.cluster import DaskBackend
from srntt_pipeline.ending import begin_worker, tell_workers, work
from srntt_pipeline.errors import InputError
from srntt_pipeline.reports import Reports, to_file, told_by
from srntt_pipeline.text import short_name

Job = TypeVar("Job")
Result = TypeVar("Result")


def default_workers() -> int:
    """Return SRNTT_WORKERS, or the number of processors that this process may use."""
    if given := os.environ.get("SRNTT_WORKERS"):
        if not given.isdecimal() or int(given) < 1:
            raise InputError(f"SRNTT_WORKERS is {given!r}; it takes a whole number from 1 on")
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else joblib.cpu_count()


def run_all(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    description: str,
    unit: str,
    size: Callable[[Job], int] = lambda job: 1,
    each: Callable[[Any, Result], None] = lambda bar, result: None,
) -> list[Result]:
    """Return `[function(job) for job in jobs]`, computed by `workers` processes, with progress.

    Inside `with cluster(…)` the cluster's workers compute it, however many they are.

    `size` tells how many `unit`s a job is, for rate and ETA; a job that takes long calls
    `reports.report` for each. `each` is called with the progress bar and every result as it comes,
    to show more. Each job runs on one thread even when there is one worker: the number of threads
    can change the order of floating-point sums, and the same inputs must give the same bytes
    whatever the number of workers.
    """
    results: dict[int, Result] = {}
    sizes = [size(job) for job in jobs]
    with progress(description, unit, sum(sizes)) as bar, Reports(bar, sizes) as reports:
        completed = _completed(function, jobs, min(workers, len(jobs)), reports)
        with _closing(completed):
            for index, result in completed:
                results[index] = result
                each(bar, result)
                reports.finish(index)
    return [results[index] for index in range(len(jobs))]


def _completed(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, reports: Reports
) -> Generator[tuple[int, Result], None, None]:
    on_cluster = isinstance(get_active_backend()[0], DaskBackend)
    if workers <= 1 and not on_cluster:
        for index, job in enumerate(jobs):
            with told_by(reports.here(index)):
                found = _call(function, index, job)
            yield found
        return
    call: Any = _call
    if not on_cluster:
        reports.open()
        call = functools.partial(_work, reports.path)
    with nullcontext() if on_cluster else _processes():
        pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
        yield from pool(joblib.delayed(call)(function, i, job) for i, job in enumerate(jobs))


@contextmanager
def _closing(completed: Generator[Any, None, None]) -> Iterator[None]:
    """End the jobs that are left when the block is left early, without joblib's advice on that."""
    try:
        yield
    except BaseException:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            completed.close()
        raise


def _processes() -> Any:
    # loky replaces workers that have grown by 300 MB, and warns of it; no job is lost by that.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    backend = _Processes(initializer=begin_worker, initargs=(os.getpid(),))
    return joblib.parallel_config(backend=backend, inner_max_num_threads=1)


class _Processes(LokyBackend):
    """joblib's processes, which end with ours, and when told to leave nothing half-written."""

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Give the workers time to unwind their jobs, then kill them."""
        tell_workers(self._workers._processes or ())  # type: ignore[attr-defined]
        super().abort_everything(ensure_ready)


def _work(
    path: Path | None, function: Callable[[Job], Result], index: int, job: Job
) -> tuple[int, Result]:
    with told_by(to_file(path, index) if path else None):
        return work(functools.partial(_call, function, index, job))


def _call(function: Callable[[Job], Result], index: int, job: Job) -> tuple[int, Result]:
    with _one_thread():
        return index, function(job)


@contextmanager
def _one_thread() -> Iterator[None]:
    torch = sys.modules.get("torch")  # the albums stage never loads it, nor should its workers
    before = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(1)
    try:
        with portable.one_thread():
            yield
    finally:
        if torch:
            torch.set_num_threads(before)


def ahead(function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
    """Yield `function(job)` of each job in order; a thread computes the next one meanwhile.

    For what waits for a disk or leaves Python's lock alone, as decoding does.
    """
    pool = ThreadPoolExecutor(1)
    waiting: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(function, job))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def progress(description: str, unit: str, total: int, initial: int = 0) -> Any:
    """Return a progress bar on stderr with rate and ETA; in a log file, a line every 10 s."""
    return tqdm(
        desc=short_name(description, 60),
        unit=f" {unit}",
        total=total,
        initial=initial,
        file=sys.stderr,
        mininterval=0.1 if sys.stderr.isatty() else 10,
        dynamic_ncols=True,
    )
