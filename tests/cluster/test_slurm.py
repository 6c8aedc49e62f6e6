"""Runs on a real SLURM of one node: array jobs and Dask workers give the same bytes as here.

SRNTT_TEST_SLURM=1 lets the tests install and start it (`start_slurm.sh`).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import HERE, OPTIONS, REPOSITORY, command, wait_until

pytestmark = pytest.mark.xdist_group("slurm")

SCRIPTS = REPOSITORY / "stages" / "slurm"


def ask(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=20).stdout.strip()


@pytest.fixture(scope="module")
def slurm():
    if shutil.which("sinfo") and ask("sinfo", "--noheader", "--states=idle,mixed,allocated"):
        return
    if os.environ.get("SRNTT_TEST_SLURM") != "1":
        pytest.skip("no SLURM here, and SRNTT_TEST_SLURM=1, which lets tests install it, is unset")
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
    monkeypatch.setenv("SBATCH_TIMELIMIT", "5")
    yield place
    subprocess.run(["scancel", "--me"], timeout=20)


def submit(script, *arguments, cwd):
    return subprocess.run(
        [script, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=30
    )


def wait_for_jobs(site):
    """Wait until no job of ours is left; return what they wrote."""

    def all_done():
        return not ask("squeue", "--me", "--noheader")

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
    submitted = submit(small_jobs / "submit_build.sh", 3, "albums", "dataset", *OPTIONS, cwd=site)
    assert submitted.returncode == 0, submitted.stderr
    outputs = wait_for_jobs(site)
    assert contents(site / "dataset") == built, outputs
    assert sum("shard" in name for name in outputs) == 3
    (merge,) = [text for name, text in outputs.items() if "merge" in name]
    assert "Wrote 10 training pairs and 2 test groups" in merge


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
