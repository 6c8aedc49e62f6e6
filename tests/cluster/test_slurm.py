"""Runs on a real SLURM of one node: array jobs and Dask workers give the same bytes as here.

SRNTT_TEST_SLURM=1 lets the tests install and start it (`start_slurm.sh`).
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import distributed
import psutil
import pytest
import yaml
from conftest import HERE, OPTIONS, REPOSITORY, command, wait_until
from PIL import Image

from srntt_pipeline.config import SwapParams
from srntt_pipeline.swaps.precompute import precompute_swaps

SCRIPTS = REPOSITORY / "stages" / "slurm"
OURS = "# Written by start_slurm.sh"
# Jobs of another name are not ours to wait for or to cancel.
JOB_NAME = f"srntt-test-{secrets.token_hex(4)}"


def ask(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=20).stdout.strip()


@pytest.fixture(scope="module")
def slurm():
    conf = Path("/etc/slurm/slurm.conf")
    if conf.exists() and OURS in conf.read_text() and ask("sinfo", "--noheader"):
        return
    if os.environ.get("SRNTT_TEST_SLURM") != "1":
        pytest.skip("SRNTT_TEST_SLURM=1 lets these tests install SLURM and submit jobs")
    script = [str(HERE / "start_slurm.sh")]
    try:
        started = subprocess.run(script, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.skip("SLURM was not installed and started within 300 s")
    if started.returncode:
        pytest.skip(started.stderr.strip())


@pytest.fixture
def site(slurm, place, monkeypatch):
    """A folder to submit from, with this Python's commands and this source on every node."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("SBATCH_JOB_NAME", JOB_NAME)
    monkeypatch.setenv("SBATCH_TIMELIMIT", "5")
    yield place
    ask("scancel", f"--name={JOB_NAME}")


def submit(script, *arguments, cwd):
    return subprocess.run(
        [script, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=30
    )


def wait_for_jobs(site):
    """Wait until no job of ours is left; return what they wrote."""

    def all_done():
        return not ask("squeue", f"--name={JOB_NAME}", "--noheader")

    wait_until(all_done, 120, every=0.3)
    return {path.name: path.read_text() for path in site.glob("slurm-*.out")}


@pytest.fixture
def small_jobs(site, monkeypatch):
    """The scripts as they are, but for jobs that fit one small node side by side."""
    copy = shutil.copytree(SCRIPTS, site / "stages" / "slurm")
    for script in copy.glob("*.sbatch"):
        text = script.read_text()
        small = text.replace("--cpus-per-task=4", "--cpus-per-task=1").replace("=8G", "=1G")
        script.write_text(small.replace("=16G", "=1G"))
    return copy


def test_array_job_and_merge_build_the_same_bytes(small_jobs, site, built, contents):
    arguments = ["build-cufed5", 3, "albums", "dataset", *OPTIONS]
    submitted = submit(small_jobs / "submit.sh", *arguments, cwd=site)
    assert submitted.returncode == 0, submitted.stderr
    outputs = wait_for_jobs(site)
    assert contents(site / "dataset") == built, outputs
    lines = [line for text in outputs.values() for line in text.splitlines()]
    for shard, blocks in (("1/3", 2), ("2/3", 1), ("3/3", 1)):
        told = f"Wrote {blocks} of 4 files of match counts (part {shard}) to dataset/work"
        assert any(told in line for line in lines)
    assert any(x.startswith("Wrote 10 of 10 training pairs and 2 of 2 test groups") for x in lines)


def test_array_job_of_swaps_and_merge_make_the_same_bytes(small_jobs, site, built, contents):
    for name, content in built.items():
        if name.startswith("train/"):
            (site / "dataset" / name).parent.mkdir(parents=True, exist_ok=True)
            (site / "dataset" / name).write_bytes(content)
    params = SwapParams(
        encoder_weights="random", scales=(1.0,), rotations_deg=(0.0,), pairs_per_shard=4
    )
    precompute_swaps(site / "dataset", site / "expected", params, workers=1, device="cpu")
    options = ["--encoder-weights=random", "--scales=1.0", "--rotations-deg=0"]
    arguments = ["precompute-swaps", 2, "dataset", "swaps", *options, "--pairs-per-shard=4"]
    submitted = submit(small_jobs / "submit.sh", *arguments, cwd=site)
    assert submitted.returncode == 0, submitted.stderr
    outputs = wait_for_jobs(site)
    assert contents(site / "swaps") == contents(site / "expected"), outputs
    lines = [line for text in outputs.values() for line in text.splitlines()]
    for shard, pairs in (("1/2", 6), ("2/2", 4)):
        assert any(f"swaps of {pairs} of 10 pairs (part {shard}) to swaps" in x for x in lines)


def test_any_command_runs_as_a_job(small_jobs, site, built, contents):
    build = ["srntt-pipeline", "build-cufed5", "albums", "dataset", *OPTIONS]
    submitted = submit("sbatch", small_jobs / "run.sbatch", *build, cwd=site)
    assert submitted.returncode == 0, submitted.stderr
    outputs = wait_for_jobs(site)
    assert contents(site / "dataset") == built, outputs


@pytest.fixture
def config(site):
    """The example of the docs, made to fit one small node."""
    file = site / "cluster.yaml"
    example = yaml.safe_load((SCRIPTS / "cluster.yaml").read_text())
    file.write_text(yaml.safe_dump(example | {"cores": 1, "memory": "1GB", "patience_min": 1}))
    return file


def test_dask_workers_as_jobs_build_the_same_bytes(site, config, built, contents):
    build = command(
        "build-cufed5", "albums", "dataset", *OPTIONS,
        "--cluster", "slurm", "--cluster-config", config, cwd=site,
    )  # fmt: skip
    out, err = build.communicate(timeout=90)
    assert build.returncode == 0, err
    assert out == ""
    assert "Waiting for a first worker" in err
    assert "Traceback" not in err
    assert contents(site / "dataset") == built
    assert wait_for_jobs(site) == {}


def test_jobs_that_end_in_the_middle_are_followed_by_others(site, config, built, contents):
    build = command(
        "build-cufed5", "albums", "dataset", *OPTIONS,
        "--cluster", "slurm", "--cluster-config", config, cwd=site,
        DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT="2s",
    )  # fmt: skip

    def a_job_is_running():
        return list(site.glob("dataset/work/sift/*.h5"))

    wait_until(a_job_is_running, 60, every=0.01)
    ask("scancel", f"--name={JOB_NAME}")
    _, err = build.communicate(timeout=90)
    assert build.returncode == 0, err
    assert contents(site / "dataset") == built


def test_a_refused_job_is_one_line(site, config):
    config.write_text("queue: no-such-partition\n")
    build = command(
        "build-cufed5", "albums", "dataset", "--cluster", "slurm", "--cluster-config", config,
        cwd=site,
    )  # fmt: skip
    out, err = build.communicate(timeout=30)
    assert build.returncode == 2
    assert out == ""
    assert err.startswith("Error: --cluster slurm: sbatch refuses the job: ")
    assert "partition" in err
    assert len(err.splitlines()) == 1


def listening(pid):
    """The addresses that a process listens on."""
    connections = psutil.Process(pid).net_connections("inet")
    return {c.laddr for c in connections if c.status == psutil.CONN_LISTEN}


def test_nobody_else_reaches_scheduler_or_workers(site, config, capfd):
    """Another user of the machine has what any process sees, but not the key."""
    large = site / "albums" / "large" / "00.jpg"  # keeps the workers busy for a minute
    large.parent.mkdir()
    Image.effect_noise((4000, 3000), 60).convert("RGB").save(large)
    for number in range(1, 100):
        large.with_name(f"{number:02d}.jpg").hardlink_to(large)
    before = set(psutil.pids())
    build = command(
        "build-cufed5", "albums", "dataset", *OPTIONS,
        "--cluster", "slurm", "--cluster-config", config, cwd=site,
    )  # fmt: skip

    def workers():
        """What the job has started: a worker and its nanny."""
        found = []
        for pid in set(psutil.pids()) - before:
            with suppress(psutil.Error):
                if "dask_worker" in " ".join(psutil.Process(pid).cmdline()):
                    found.append(pid)
        return found if any(site.glob("dataset/work/sift/*.h5")) else None

    ours = [build.pid, *wait_until(workers, 90, every=0.02)]
    open_to_all = {a for p in ours for a in listening(p) if not a.ip.startswith(("127.", "::1"))}
    assert len(open_to_all) >= 2
    for address in open_to_all:
        host = socket.gethostbyname(socket.gethostname()) if address.ip == "0.0.0.0" else address.ip
        with socket.create_connection((host, address.port), 5) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            with suppress(ConnectionError):
                answer = plain.recv(100)
            assert b"HTTP" not in answer
        place = f"{host}:{address.port}"
        for url, security in (
            (f"tcp://{place}", None),
            (f"tls://{place}", distributed.Security.temporary()),
        ):
            with pytest.raises(OSError, match=r"Timed out|SSL|tls|certificate|reset|closed"):
                distributed.Client(url, security=security, timeout=2)
    (private,) = (site / "slurm_logs").glob(".tls-*")
    assert private.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in private.iterdir()} == {0o600}

    build.terminate()
    _, err = build.communicate(timeout=30)
    assert build.returncode == 143
    assert err.splitlines()[-1].startswith("Stopped by SIGTERM")
    assert not private.exists()
    assert wait_for_jobs(site) == {}
