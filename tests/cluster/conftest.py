"""A real Dask scheduler with worker processes, and a small data set to build on it."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.demo import DemoAlbumJob, write_album
from srntt_pipeline.config import BuildParams, DemoAlbumsParams

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]

PARAMS = BuildParams(
    long_side_px=160, crop_px=64, levels=2, levels_by="quantiles", train_pairs=10, test_groups=2
)
OPTIONS = (
    "--long-side-px=160", "--crop-px=64", "--levels=2", "--levels-by=quantiles", "--train-pairs=10",
    "--test-groups=2",
)  # fmt: skip


def wait_until(condition, seconds=30, every=0.05):
    """Return what `condition` gives once it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{condition.__name__}: not within {seconds} s"
        time.sleep(every)
    return value


class DaskProcesses:
    """A scheduler and workers in processes of their own, in a folder of their own."""

    def __init__(self, folder, **environment):
        self.folder, self.environment = folder, environment
        self.processes = []
        self.scheduler = self._start("scheduler", "--port=0", "--scheduler-file=scheduler.json")
        self.workers = []
        file = folder / "scheduler.json"
        wait_until(lambda: file.exists() and file.read_text().endswith("}"))
        self.address = json.loads(file.read_text())["address"]

    def _start(self, kind, *options):
        paths = os.pathsep.join([str(REPOSITORY), str(HERE)])
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *options],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": paths, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / f"{kind}-{len(self.processes)}.log").open("w"),
        )
        self.processes.append(process)
        return process

    def start_workers(self, count, *options):
        """Start workers that nobody starts again when they die."""
        options = options or ("--nthreads=1",)
        for _ in range(count):
            self.workers.append(self._start("worker", self.address, "--no-nanny", *options))

    def stop(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


@pytest.fixture
def dask(tmp_path_factory):
    """Start Dask clusters; they end with the test."""
    started = []

    def start(workers=0, **environment):
        cluster = DaskProcesses(tmp_path_factory.mktemp("dask"), **environment)
        started.append(cluster)
        cluster.start_workers(workers)
        return cluster

    yield start
    for cluster in started:
        cluster.stop()


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder with `albums`: four of five photographs."""
    folder = tmp_path_factory.mktemp("photos")
    params = DemoAlbumsParams(photos_min=5, photos_max=5, long_side_px=200)
    for scene in ("cat", "coffee", "rocket", "temple"):
        write_album(DemoAlbumJob(scene, folder / "albums" / scene, params))
    return folder


@pytest.fixture(scope="session")
def dataset(photos, tmp_path_factory):
    """The data set that one process here builds."""
    out = tmp_path_factory.mktemp("local") / "dataset"
    build_cufed5(photos / "albums", out, PARAMS, workers=1)
    return out


@pytest.fixture(scope="session")
def built(dataset, contents):
    return contents(dataset)


@pytest.fixture
def place(photos, tmp_path):
    """A folder with the albums in it, to run commands in."""
    shutil.copytree(photos, tmp_path / "place")
    return tmp_path / "place"


def command(*arguments, cwd, **environment):
    """Start `srntt-pipeline ARGUMENTS` as a process."""
    return subprocess.Popen(
        [sys.executable, "-c", "from srntt_pipeline.cli import main; main()", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_while_busy(workers, folder):
    """Kill a worker while the build in `folder` is at work: some features are there, not all."""
    wait_until(lambda: any(folder.glob("work/sift/*.h5")), every=0.002)
    workers[0].kill()
    workers[0].wait()
