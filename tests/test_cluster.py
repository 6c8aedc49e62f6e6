"""What needs no cluster; tests/cluster has real ones."""

import os
import sys
import threading
from pathlib import Path

import pytest

from srntt_pipeline import cluster as module
from srntt_pipeline.cluster import cluster
from srntt_pipeline.errors import InputError
from srntt_pipeline.parallel import run_all


def process(_):
    return os.getpid()


@pytest.fixture(autouse=True)
def without_cluster(monkeypatch):
    monkeypatch.delenv("SRNTT_CLUSTER", raising=False)
    monkeypatch.delenv("SRNTT_CLUSTER_CONFIG", raising=False)


def complaint(*arguments):
    with pytest.raises(InputError) as error, cluster(*arguments):
        pass
    return str(error.value)


@pytest.mark.parametrize("given", [None, ""])
def test_without_an_address_jobs_run_here(given, monkeypatch):
    monkeypatch.setenv("SRNTT_CLUSTER", "")
    with cluster(given, None):
        pids = run_all(process, range(2), workers=1, description="test", unit="jobs")
    assert pids == [os.getpid()] * 2


@pytest.mark.parametrize("address", ["slrum", "node7:8786", "SLURM"])
def test_address_that_is_none(address, monkeypatch):
    expected = f"--cluster {address}: name a Dask scheduler, such as tcp://node7:8786, or slurm"
    assert complaint(address) == expected
    monkeypatch.setenv("SRNTT_CLUSTER", address)
    assert complaint() == expected


def test_config_without_a_cluster_is_refused_but_may_stay_in_the_environment(monkeypatch):
    message = "--cluster-config jobs.yaml is for --cluster slurm; add that"
    assert complaint(None, Path("jobs.yaml")) == message
    monkeypatch.setenv("SRNTT_CLUSTER_CONFIG", "jobs.yaml")
    with cluster():
        pass


def test_config_is_read_before_anything_starts(tmp_path, monkeypatch):
    config = tmp_path / "jobs.yaml"
    config.write_text("job: 3\n")
    message = f"{config}: job is not a parameter; did you mean jobs?"
    assert complaint("slurm", config) == message
    monkeypatch.setenv("SRNTT_CLUSTER_CONFIG", str(config))
    assert complaint("slurm") == message


@pytest.mark.parametrize(
    ("missing", "address"), [("distributed", "tcp://a:1"), ("dask_jobqueue.slurm", "slurm")]
)
def test_missing_packages_are_named_with_how_to_install_them(monkeypatch, missing, address):
    monkeypatch.setitem(sys.modules, missing, None)
    message = complaint(address)
    assert message.endswith("is not installed: pip install 'srntt-pipeline[cluster]'")
    assert "\n" not in message


def test_machine_without_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert complaint("slurm") == "--cluster slurm: no sbatch here; run this on a SLURM node"


def test_worker_that_does_not_see_our_files(tmp_path):
    with pytest.raises(InputError, match=r"cannot open .*elsewhere; all nodes must see the same"):
        module._run(lambda: 1, str(tmp_path / "elsewhere"), module._versions())


def test_jobs_in_threads_of_one_worker_take_turns(monkeypatch):
    running, most = [], []

    def job():
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.02)
        running.pop()

    here = str(Path.cwd())
    arguments = (job, here, module._versions())
    threads = [threading.Thread(target=module._run, args=arguments) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4
