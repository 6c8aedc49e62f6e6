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


def test_missing_cryptography_is_named_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    expected = "--cluster slurm takes cryptography, which is not installed: pip install"
    assert complaint("slurm").startswith(expected)


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


@pytest.fixture
def no_scheduler(monkeypatch):
    """Stop where Dask would connect."""

    def connected(*_):
        raise InputError("connecting")

    monkeypatch.setattr(module, "_connected", connected)


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("tcp://node7:8786", True),
        ("tcp://10.0.0.7:8786", True),
        ("tcp://[fe80::1]:8786", True),
        ("tcp://127.0.0.1:8786", False),
        ("tcp://localhost:8786", False),
        ("tcp://[::1]:8786", False),
    ],
)
def test_a_scheduler_that_all_can_reach_without_tls_is_told(no_scheduler, caplog, address, warned):
    assert complaint(address) == "connecting"
    told = [line for line in caplog.messages if "whoever reaches it can run code" in line]
    assert len(told) == warned


def test_tls_files_go_together_and_with_tls_alone(no_scheduler, tmp_path):
    config = tmp_path / "jobs.yaml"
    named = "name tls_ca_file, tls_cert and tls_key in --cluster-config"
    assert complaint("tls://a:1") == f"--cluster tls://a:1: {named}"
    config.write_text("tls_key: a.key\n")
    together = "tls_ca_file, tls_cert and tls_key go together"
    assert complaint("tls://a:1", config) == f"{config}: {together}"
    config.write_text("tls_ca_file: no.pem\ntls_cert: no.pem\ntls_key: no.pem\n")
    assert complaint("tls://a:1", config) == "--cluster-config: tls_ca_file: cannot read no.pem"
    for address in ("tcp://a:1", "slurm"):
        said = f"--cluster {address}: tls_ca_file, tls_cert, tls_key are for tls://…"
        assert complaint(address, config) == said
    for key in ("ca_file", "cert", "key"):
        (tmp_path / key).write_text("no certificate")
    config.write_text(
        "".join(f"tls_{key}: {tmp_path / key}\n" for key in ("ca_file", "cert", "key"))
    )
    said = complaint("tls://a:1", config)
    assert said.startswith(f"--cluster tls://a:1: {tmp_path / 'ca_file'}, ")
    assert "no credentials" in said


@pytest.mark.parametrize("folder", ["with blank", "a;b", "$HOME"])
def test_log_folder_that_no_script_can_name(tmp_path, folder):
    config = tmp_path / "jobs.yaml"
    config.write_text(f"log_directory: {tmp_path / folder}\n")
    assert "job scripts take no path with blanks or signs of the shell" in complaint(
        "slurm", config
    )


def test_keys_are_for_their_owner_alone(tmp_path):
    distributed = pytest.importorskip("distributed")
    before = os.umask(0)
    try:
        security = module._in_files(distributed.Security.temporary(), tmp_path)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    for role in ("client", "scheduler", "worker"):
        assert security.get_connection_args(role)["ssl_context"]


def test_an_interface_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "jobs.yaml"
    config.write_text("interface: ib77\n")
    assert "--cluster slurm: " in (said := complaint("slurm", config))
    assert "'ib77' is not a valid network interface" in said
    assert "\n" not in said
    assert list((tmp_path / "slurm_logs").iterdir()) == []
