"""Runs on a real Dask cluster: the same results as here, whatever happens to its workers."""

import os
import socket
import sys
import threading
import time
from contextlib import suppress

import distributed
import joblib
import pytest
from cluster_jobs import (
    die,
    fail,
    fail_by_our_fault,
    fail_unusable,
    nap,
    nap_and_tell,
    process,
    square,
    threads,
    write,
)
from conftest import OPTIONS, DaskProcesses, command, kill_while_busy

import srntt_pipeline.cluster
from srntt_pipeline import parallel
from srntt_pipeline.cli import main
from srntt_pipeline.cluster import cluster
from srntt_pipeline.config import EvaluateParams, SwapParams
from srntt_pipeline.errors import InputError, UnusableImage
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.swaps.precompute import precompute_swaps


def run(function, jobs):
    return parallel.run_all(function, jobs, workers=1, description="test", unit="jobs")


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A cluster that no test harms: two workers, each of two threads."""
    cluster = DaskProcesses(tmp_path_factory.mktemp("dask"))
    cluster.start_workers(2, "--nthreads=2")
    yield cluster
    cluster.stop()


def test_a_worker_killed_in_the_middle_of_a_job_changes_no_byte(dask, place, built, contents):
    killable = dask(3)
    build = command(
        "build-cufed5", "albums", "dataset", *OPTIONS, "--cluster", killable.address, cwd=place
    )
    kill_while_busy(killable.workers, place / "dataset")
    out, err = build.communicate(timeout=60)
    assert build.returncode == 0, err
    assert out == ""
    assert "distributed" not in err
    assert contents(place / "dataset") == built


def test_swaps_and_tables_are_the_same_bytes_too(started, dataset, tmp_path, contents):
    swap_params = SwapParams(
        encoder_weights="random", scales=(1,), rotations_deg=(0,), pairs_per_shard=4
    )

    def make(out):
        precompute_swaps(dataset, out / "swaps", swap_params, workers=1, device="cpu")
        evaluate(dataset, out / "tables", EvaluateParams(), workers=1, device="cpu")
        return contents(out)

    here = make(tmp_path / "here")
    with cluster(started.address):
        assert make(tmp_path / "there") == here


# What jobs do on a cluster


@pytest.fixture
def on_cluster(started):
    with cluster(started.address):
        yield started


def test_results_stand_in_the_order_of_the_jobs(on_cluster):
    assert run(square, range(20)) == [i * i for i in range(20)]


def test_no_jobs_give_no_results(on_cluster):
    assert run(square, []) == []


def test_jobs_run_on_the_workers_only_and_here_again_afterwards(started, monkeypatch):
    monkeypatch.setenv("SRNTT_CLUSTER", started.address)
    with cluster():
        assert set(run(process, range(8))) <= {worker.pid for worker in started.workers}
    assert set(run(process, range(2))) == {os.getpid()}


def test_each_job_runs_on_one_thread_even_if_the_worker_has_more(on_cluster):
    assert set(run(threads, range(8))) == {(1, 1)}


def test_relative_paths_mean_what_they_mean_here(on_cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(write, ["one.txt"])
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    run(write, ["two.txt"])
    assert int((tmp_path / "one.txt").read_text()) != os.getpid()
    assert (tmp_path / "there" / "two.txt").exists()


def test_errors_arrive_as_what_they_are_and_work_goes_on(on_cluster):
    with pytest.raises(InputError, match=r"^photo\.jpg: no photo$"):
        run(fail, range(8))
    with pytest.raises(UnusableImage) as error:
        run(fail_unusable, range(2))
    assert error.value.reason == "empty file (0 bytes)"
    with pytest.raises(KeyError) as fault:
        run(fail_by_our_fault, range(2))
    assert "in fail_by_our_fault" in str(fault.value.__cause__)
    assert run(square, range(4)) == [0, 1, 4, 9]


def test_progress_moves_while_jobs_run(on_cluster, monkeypatch):
    moves = []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, _):
            moves.append(time.monotonic())

    monkeypatch.setattr(parallel, "progress", lambda *_: Bar())
    ends = run(nap, [0.2] * 6)  # two at a time
    assert len(moves) == 6
    assert moves[0] < max(ends) - 0.15


def test_a_long_list_of_jobs_is_handed_out_bit_by_bit(on_cluster, monkeypatch):
    waiting, most, lock = [0], [0], threading.Lock()  # callbacks come in another thread
    backend = srntt_pipeline.cluster.DaskBackend
    submit = backend.submit

    def counting_submit(self, job, callback):
        with lock:
            waiting[0] += 1
            most[0] = max(most[0], waiting[0])

        def done(future):  # joblib sends the next job in here
            with lock:
                waiting[0] -= 1
            callback(future)

        return submit(self, job, done)

    monkeypatch.setattr(backend, "submit", counting_submit)
    assert run(square, range(1200)) == [i * i for i in range(1200)]
    assert 100 < most[0] < 1200  # about a thousand; two threads count


def test_worker_with_other_versions_is_refused(on_cluster, monkeypatch):
    backend = joblib.parallel.get_active_backend()[0]
    monkeypatch.setitem(backend._versions, "numpy", "1.0")
    with pytest.raises(InputError, match=r"has numpy \S+, this machine has 1\.0.* on all nodes"):
        run(square, range(2))


# What others can reach


def test_ones_own_scheduler_with_tls(dask, tmp_path):
    """Who has the key runs jobs; who has none, or one of another hand, gets one line."""
    secrets = {name: tmp_path / name for name in ("ca_file", "cert", "key")}
    security = distributed.Security.temporary()
    secrets["ca_file"].write_text(security.tls_ca_file)
    secrets["cert"].write_text(security.tls_client_cert)
    secrets["key"].write_text(security.tls_client_key)
    started = dask(
        1,
        DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION="True",
        DASK_DISTRIBUTED__COMM__TLS__CA_FILE=str(secrets["ca_file"]),
        **{
            f"DASK_DISTRIBUTED__COMM__TLS__{role}__{name.upper()}": str(secrets[name])
            for role in ("SCHEDULER", "WORKER")
            for name in ("cert", "key")
        },
    )
    assert started.address.startswith("tls://")
    config = tmp_path / "cluster.yaml"
    config.write_text("".join(f"tls_{name}: {file}\n" for name, file in secrets.items()))
    with cluster(started.address, config):
        assert run(process, range(2)) == [started.workers[0].pid] * 2
    other = distributed.Security.temporary()
    secrets["cert"].write_text(other.tls_client_cert)
    secrets["key"].write_text(other.tls_client_key)
    for file, reason in ((config, "no Dask scheduler answers there"), (None, "name tls_ca_file")):
        refused = rf"^--cluster {started.address}: {reason}"
        with pytest.raises(InputError, match=refused), cluster(started.address, file):
            pass


# What can be wrong with a cluster


def test_a_single_worker_does_all_and_one_that_joins_later_helps(dask):
    started = dask(1)
    with cluster(started.address):
        assert set(run(process, range(3))) == {started.workers[0].pid}
        later = threading.Timer(0.1, started.start_workers, [1])
        later.start()
        pids = run(nap_and_tell, [0.1] * 60)
    assert set(pids) == {worker.pid for worker in started.workers}


def test_job_that_kills_its_workers_is_given_up(dask):
    started = dask(2, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    complaint = r"memory; what was done is kept: run the command again"
    with cluster(started.address), pytest.raises(InputError, match=complaint):
        run(die, range(1))


def test_scheduler_that_disappears(dask):
    started = dask(1)
    end = threading.Timer(0.5, started.scheduler.kill)
    with cluster(started.address):
        end.start()
        with pytest.raises(InputError, match="scheduler is gone; what was done is kept"):
            run(nap, [0.3] * 20)


def test_scheduler_that_disappears_while_the_last_job_is_handed_out(dask, monkeypatch):
    """An error of ours in Dask's thread would be dropped, and the run would wait for ever."""
    started = dask(1)
    with cluster(started.address):
        backend = joblib.parallel.get_active_backend()[0]
        retrieve, ends = backend.retrieve_result_callback, []

        def then_kill(future):
            result = retrieve(future)
            started.scheduler.kill()
            ends.append(started.scheduler.wait())
            time.sleep(0.5)  # until the client knows
            return result

        monkeypatch.setattr(backend, "effective_n_jobs", lambda _: 2)
        monkeypatch.setattr(backend, "retrieve_result_callback", then_kill)
        with pytest.raises(InputError, match="scheduler is gone"):
            run(square, range(20))
        assert ends


def test_no_worker(dask, monkeypatch):
    monkeypatch.setattr(srntt_pipeline.cluster, "FIRST_WORKER_S", 0.5)
    started = dask(0)
    with pytest.raises(InputError, match="no worker within"), cluster(started.address):
        pass


def test_what_answers_is_no_scheduler(monkeypatch):
    """A web server's answer, read as Dask's, announces 3 EiB."""
    monkeypatch.setattr(srntt_pipeline.cluster, "CONNECT_S", 3)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    caller.sendall(b"HTTP/1.1 400 Bad Request\r\n" * 99)
                    caller.close()

        threading.Thread(target=answer, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match="no Dask scheduler answers there"), cluster(address):
            pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tcp://127.0.0.1", "nonsense://a:1"])
def test_no_scheduler_is_one_line_and_code_2(monkeypatch, capsys, tmp_path, address):
    monkeypatch.setattr(srntt_pipeline.cluster, "CONNECT_S", 0.5)
    words = ["srntt-pipeline", "demo-albums", str(tmp_path / "a"), "--cluster", address]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Error: --cluster {address}: no Dask scheduler answers there (")
    assert len(err.splitlines()) == 1
