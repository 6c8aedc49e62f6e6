import os
import threading
import time

import cv2
import pytest
from tqdm import tqdm

from srntt_pipeline.errors import InputError, UnusableImage
from srntt_pipeline.parallel import ahead, default_workers, progress, run_all
from srntt_pipeline.reports import report


def run(function, jobs, workers):
    return run_all(function, jobs, workers=workers, description="test", unit="jobs")


def square(number):
    return number * number


def slow_if_first(number):
    time.sleep(0.3 if number == 0 else 0)
    return number


def threads(_):
    return cv2.getNumThreads()


def process(_):
    return os.getpid()


def fail(number):
    if number == 2:
        raise InputError("photo.jpg: no photo")
    return number


def fail_unusable(number):
    raise UnusableImage("photo.jpg", "empty file (0 bytes)")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_stand_in_the_order_of_the_jobs(workers):
    assert run(slow_if_first, range(6), workers) == list(range(6))


def test_results_are_the_same_for_one_worker_and_two():
    assert run(square, range(20), 1) == run(square, range(20), 2) == [i * i for i in range(20)]


def test_two_workers_are_other_processes():
    assert os.getpid() not in run(process, range(8), 2)


def test_one_worker_is_this_process():
    assert set(run(process, range(2), 1)) == {os.getpid()}


@pytest.mark.parametrize("workers", [1, 2])
def test_no_jobs_give_no_results(workers):
    assert run(square, [], workers) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_each_job_runs_on_one_thread(workers):
    before = cv2.getNumThreads()
    assert set(run(threads, range(3), workers)) == {1}
    assert cv2.getNumThreads() == before


@pytest.mark.parametrize("workers", [1, 2])
def test_input_error_in_a_worker_arrives_as_one(workers):
    with pytest.raises(InputError, match=r"^photo\.jpg: no photo$"):
        run(fail, range(4), workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_unusable_image_keeps_its_reason_across_processes(workers):
    with pytest.raises(UnusableImage) as error:
        run(fail_unusable, range(2), workers)
    assert error.value.reason == "empty file (0 bytes)"
    assert str(error.value) == "photo.jpg: empty file (0 bytes)"


@pytest.mark.parametrize("workers", [1, 2])
def test_work_goes_on_after_an_error(workers):
    with pytest.raises(InputError):
        run(fail, range(4), workers)
    assert run(square, range(4), workers) == [0, 1, 4, 9]


def test_progress_counts_units_on_stderr(capfd):
    run_all(square, [3, 4], workers=1, description="Cutting", unit="images", size=lambda job: job)
    out, err = capfd.readouterr()
    assert out == ""
    assert "Cutting" in err
    assert "7/7" in err
    assert "images/s" in err


def three_parts(number):
    for part in range(3):
        report(f"job {number}, part {part}")
        time.sleep(0.4)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_a_long_job_counts_its_parts_before_it_is_done(workers, monkeypatch):
    bars = []

    class Seen(tqdm):
        def update(self, n=1):
            super().update(n)
            bars.append((self.n, self.postfix))

    monkeypatch.setattr("srntt_pipeline.parallel.tqdm", Seen)
    options = {"workers": workers, "description": "test", "unit": "parts", "size": lambda job: 3}
    assert run_all(three_parts, [7, 8], **options) == [7, 8]
    assert bars[0] == (1, "job 7, part 0") or workers == 2
    assert any(words and words.startswith("job 8") for _, words in bars)
    assert sum(1 for _ in bars) >= 6  # by ones, not by jobs
    assert bars[-1][0] == 6


def test_a_job_that_reports_too_little_or_too_much_is_counted_whole(capfd):
    run_all(three_parts, [1], workers=1, description="x", unit="parts", size=lambda job: 2)
    assert "2/2" in capfd.readouterr().err
    run_all(three_parts, [1], workers=1, description="x", unit="parts", size=lambda job: 5)
    assert "5/5" in capfd.readouterr().err


def test_a_report_outside_of_a_job_is_nothing():
    report("nobody listens")


def test_progress_of_a_resumed_run_starts_where_it_stopped(capfd):
    with progress("Training", "steps", 10, initial=6) as bar:
        bar.update(4)
    assert "10/10" in capfd.readouterr().err


def test_number_of_workers_is_taken_from_the_environment(monkeypatch):
    monkeypatch.setenv("SRNTT_WORKERS", "3")
    assert default_workers() == 3


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", "²"])
def test_wrong_number_of_workers_is_an_input_error(monkeypatch, given):
    monkeypatch.setenv("SRNTT_WORKERS", given)
    with pytest.raises(InputError, match="SRNTT_WORKERS"):
        default_workers()


def test_number_of_workers_is_otherwise_that_of_usable_processors(monkeypatch):
    monkeypatch.delenv("SRNTT_WORKERS", raising=False)
    assert default_workers() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_ahead_is_map(count: int) -> None:
    assert list(ahead(lambda number: number**2, range(count))) == [n**2 for n in range(count)]


def test_ahead_works_on_the_next_while_one_is_used() -> None:
    started = [threading.Event() for _ in range(3)]

    def work(number: int) -> int:
        started[number].set()
        return number

    for number in ahead(work, range(3)):
        if number < 2:
            assert started[number + 1].wait(10)


def test_ahead_raises_where_the_job_would_have_come() -> None:
    def work(number: int) -> float:
        return 1 / (2 - number)

    found = ahead(work, range(5))
    assert next(found) == 0.5
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)
