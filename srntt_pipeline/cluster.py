"""Running jobs on a Dask cluster: `with cluster(…):`, and every `run_all` inside runs there.

Dask is reached through joblib's `parallel_config`, by a backend of our own. The one that joblib
brings runs everything here as long as there is but one worker, and waits for ever when the
scheduler gives a job up.
"""

import asyncio
import functools
import importlib.metadata
import ipaddress
import logging
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import joblib
from joblib.parallel import ParallelBackendBase

from srntt_pipeline.cluster_config import ClusterConfig, read_cluster_config
from srntt_pipeline.ending import allow
from srntt_pipeline.errors import KEPT, InputError

log = logging.getLogger(__name__)

SLURM = "slurm"
CONNECT_S, FIRST_WORKER_S, CLOSE_S = 10, 30, 10

_WORKER_ENVIRONMENT = (
    # Dask's profiler keeps what a job drops alive for a while, file handles too.
    "export DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False",
    "export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'",
)
_LOOPBACK = ("--dashboard-address", "127.0.0.1:0")

# What can change a byte of a result, so must be the same on all nodes.
_DECISIVE = (
    "srntt-pipeline", "h5py", "numpy", "opencv-contrib-python", "pandas", "pillow", "pyarrow",
    "torch", "torchvision",
)  # fmt: skip


@contextmanager
def cluster(address: str | None = None, config: Path | None = None) -> Iterator[None]:
    """Run what `run_all` is given inside on the Dask cluster at `address`; None: on this machine.

    The address is a scheduler's (`tls://host:8786`, or `tcp://…`, which has no TLS: whoever reaches
    it can run code there), or `slurm`: then the file `config` says which SLURM jobs to start, and
    they end with the block. For `tls://` it names the files of TLS. SRNTT_CLUSTER and
    SRNTT_CLUSTER_CONFIG stand in for what is None. Raises InputError when there is no such cluster
    or it has no worker.
    """
    address = address or os.environ.get("SRNTT_CLUSTER") or None
    file = config or Path(os.environ.get("SRNTT_CLUSTER_CONFIG") or "")
    if address is None:
        if config:
            raise InputError(f"--cluster-config {config} is for --cluster {SLURM}; add that")
        yield
        return
    if address != SLURM and "://" not in address:
        raise InputError(
            f"--cluster {address}: name a Dask scheduler, such as tcp://node7:8786, or {SLURM}"
        )
    settings = read_cluster_config(file) if file.name else ClusterConfig()
    distributed = _distributed()
    with ExitStack() as stack:
        if address == SLURM:
            started = stack.enter_context(_slurm(settings))
            address, patience_s = started.scheduler_address, 60 * settings.patience_min
            security = started.security
        else:
            patience_s, security = FIRST_WORKER_S, _security(distributed, address, settings)
        client = stack.enter_context(_connected(distributed, address, security))
        _await_worker(client, address, patience_s)
        stack.enter_context(joblib.parallel_config(backend=DaskBackend(client)))
        yield


def _distributed() -> Any:
    """Import Dask, or tell how to install it; silence it, since what matters we say ourselves."""
    try:
        import distributed
    except ImportError:
        raise InputError(
            "--cluster takes Dask, which is not installed: pip install 'srntt-pipeline[cluster]'"
        ) from None
    for name in ("distributed", "tornado", "asyncio"):
        for logger in (name, *(n for n in logging.root.manager.loggerDict if n.startswith(name))):
            logging.getLogger(logger).setLevel(logging.CRITICAL)
    return distributed


def _security(distributed: Any, address: str, settings: ClusterConfig) -> Any:
    """Return the credentials for one's own scheduler; None: those of Dask's config, if any."""
    if address.startswith("tls://"):
        for key, file in settings.tls.items():
            if not os.access(file, os.R_OK):
                raise InputError(f"--cluster-config: {key}: cannot read {file}")
        ours = {
            key.replace("tls_", "tls_client_") if key != "tls_ca_file" else key: file
            for key, file in settings.tls.items()
        }
        security = distributed.Security(require_encryption=True, **ours)
        try:
            context = security.get_connection_args("client")["ssl_context"]
        except (OSError, ValueError) as error:  # ssl's errors are OSErrors
            raise InputError(
                f"--cluster {address}: {', '.join(settings.tls.values())}: no credentials ({error})"
            ) from None
        if context is None:
            raise InputError(
                f"--cluster {address}: name tls_ca_file, tls_cert and tls_key in --cluster-config"
            )
        return security
    if settings.tls:
        raise InputError(f"--cluster {address}: {', '.join(settings.tls)} are for tls://…")
    plain = address.startswith(("tcp://", "ws://", "ucx://"))
    if plain and not _is_loopback(urlsplit(address).hostname):
        log.warning(
            "--cluster %s has no TLS: whoever reaches it can run code as who started it; "
            "docs/cluster.md tells how to use tls://",
            address,
        )
    return None


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


@contextmanager
def _slurm(settings: ClusterConfig) -> Iterator[Any]:
    """Give a Dask scheduler in this process, whose workers are SLURM jobs; end both after.

    They speak TLS, with a key that is made here and goes with the block: who does not have it can
    neither send jobs nor take them.
    """
    try:
        import dask
        from dask_jobqueue.slurm import SLURMCluster
        from distributed.security import Security
        from distributed.utils import get_ip

        made = Security.temporary()
    except ImportError as error:
        package = (error.name or "cryptography").partition(".")[0].replace("_", "-")
        raise InputError(
            f"--cluster {SLURM} takes {package}, which is not installed: "
            "pip install 'srntt-pipeline[cluster]'"
        ) from None
    if settings.tls:
        raise InputError(f"--cluster {SLURM}: {', '.join(settings.tls)} are for tls://…")
    # SLURM lets jobs write there, so they can read it.
    logs = Path(settings.log_directory).absolute()
    if shlex.quote(str(logs)) != str(logs):  # dask-jobqueue writes it into a script as it is
        raise InputError(
            f"--cluster {SLURM}: log_directory {logs}: job scripts take no path with blanks or "
            "signs of the shell; name another"
        )
    logs.mkdir(parents=True, exist_ok=True)
    # Otherwise it would listen on all interfaces.
    where = {} if settings.interface else {"host": get_ip()}
    with (
        # Dask's web server cannot be left out: it serves nothing, and on this machine alone.
        dask.config.set({"distributed.scheduler.http.routes": []}),
        tempfile.TemporaryDirectory(prefix=".tls-", dir=logs) as private,
        ExitStack() as stack,
    ):
        try:
            started = SLURMCluster(
                job_name="srntt-pipeline",
                cores=settings.cores,
                processes=settings.workers_per_job,
                memory=settings.memory,
                walltime=settings.walltime,
                queue=settings.queue,
                account=settings.account,
                interface=settings.interface,
                python=settings.python or sys.executable,
                log_directory=settings.log_directory,
                job_extra_directives=list(settings.job_extra_directives),
                job_script_prologue=[*_WORKER_ENVIRONMENT, *settings.job_script_prologue],
                worker_extra_args=["--nthreads", "1", "--no-dashboard", *_LOOPBACK],
                scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0", **where},
                security=_in_files(made, Path(private)),
                silence_logs="critical",
            )
        except RuntimeError as error:  # no such interface, or no port on it
            raise InputError(f"--cluster {SLURM}: {error}") from None
        stack.enter_context(started)
        allow(CLOSE_S)
        _try_sbatch(started.job_script())
        # A job that ends early, by its walltime for one, is followed by another.
        started.adapt(minimum_jobs=settings.jobs, maximum_jobs=settings.jobs)
        yield started


def _in_files(made: Any, folder: Path) -> Any:
    """Return credentials that were made in memory, as files that jobs can read."""
    files = {"cert": made.tls_client_cert, "key": made.tls_client_key}
    for name, content in files.items():
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w") as opened:
            opened.write(content)
    roles = {
        f"tls_{role}_{name}": str(folder / name)
        for role in ("client", "scheduler", "worker")
        for name in files
    }
    return type(made)(require_encryption=True, tls_ca_file=str(folder / "cert"), **roles)


def _try_sbatch(script: str) -> None:
    """Ask SLURM whether it would take the job: else we would wait for one that never comes."""
    try:
        tried = subprocess.run(
            ["sbatch", "--test-only"], input=script, capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError:
        raise InputError(f"--cluster {SLURM}: no sbatch here; run this on a SLURM node") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"--cluster {SLURM}: sbatch does not answer within a minute") from None
    if tried.returncode:
        raise InputError(f"--cluster {SLURM}: sbatch refuses the job: {tried.stderr}")


@contextmanager
def _connected(distributed: Any, address: str, security: Any) -> Iterator[Any]:
    class Client(distributed.Client):
        def __del__(self) -> None:
            """Do not wait for a scheduler that has not answered, as Dask's would."""

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False, security=security)
    except Exception as error:  # what answers there may be no Dask, and say anything
        raise InputError(
            f"--cluster {address}: no Dask scheduler answers there ({error})"
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=CONNECT_S)


def _await_worker(client: Any, address: str, patience_s: float) -> None:
    try:
        if not client.nthreads():
            log.info("Waiting for a first worker at %s, at most %d s", address, patience_s)
        client.wait_for_workers(1, timeout=patience_s)
        workers = len(client.nthreads())
    except (TimeoutError, asyncio.TimeoutError):  # one and the same from Python 3.11 on
        raise InputError(
            f"--cluster {address}: no worker within {patience_s:.0f} s; start one, or see in the "
            "queue why none starts"
        ) from None
    except (OSError, CancelledError):
        raise _gone() from None
    log.info("Running on %s, with %d workers so far", address, workers)


class DaskBackend(ParallelBackendBase):
    """What joblib hands its jobs to when they are to run on the workers of a Dask client."""

    supports_retrieve_callback = True

    def __init__(self, client: Any) -> None:
        super().__init__(nesting_level=0)
        self._client = client
        self._futures: WeakSet[Any] = WeakSet()
        self._versions = _versions()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return half of how many jobs wait at the scheduler at most.

        It is not the number of workers: they may come and go, and if there were one, joblib would
        run all jobs here.
        """
        return 500

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], Any] | None = None) -> Any:
        """Send a job to the scheduler; `callback` is told when it is done."""
        try:
            if self._client.status != "running":
                raise _gone()
            future = self._client.submit(_run, func, str(Path.cwd()), self._versions, pure=False)
        except Exception as error:
            # Dask calls us in a thread of its own when a job before is done, and drops our errors.
            future = Future()
            future.set_exception(error)
        self._futures.add(future)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, future: Any) -> Any:
        """Return a job's result or raise its error; the cluster's own errors get a clear line."""
        try:
            return future.result()
        except InputError:
            raise
        except Exception as error:
            on_worker = _OnWorker("".join(traceback.format_exception(error)))
            raise _explained(error) from on_worker

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Take back the jobs that have not started."""
        if self._client.status == "running":
            sent = [future for future in self._futures if not isinstance(future, Future)]
            self._client.cancel(sent)


def _explained(error: Exception) -> Exception:
    """Return the error of a job as it is, one of Dask's as a line that tells what to do."""
    name = type(error).__name__
    if name == "KilledWorker":
        return InputError(
            "the workers on which a job ran died one after the other, most likely for want of "
            f"memory; {KEPT} with more memory per worker"
        )
    if "Cancelled" in name or name == "CommClosedError":
        return _gone()
    return error


def _gone() -> InputError:
    return InputError(f"the Dask scheduler is gone; {KEPT} when it is back")


class _OnWorker(Exception):  # noqa: N818 - it is no error but the traceback of one, as text
    def __str__(self) -> str:
        return f"\n{self.args[0]}"


# A Dask worker may have several threads. What a job sets is the whole process's: the number of
# OpenCV's threads, the working folder. So jobs take turns.
_turn = threading.Lock()


def _run(job: Callable[[], Any], folder: str, versions: dict[str, str]) -> Any:
    """Run `job` on a worker, in the folder and with the versions of the machine that sent it."""
    for package, version in _versions().items():
        if version != versions[package]:
            raise InputError(
                f"the worker on {socket.gethostname()} has {package} {version}, this machine has "
                f"{versions[package]}: results would differ; install the same on all nodes"
            )
    with _turn:
        try:
            os.chdir(folder)
        except OSError:
            raise InputError(
                f"the worker on {socket.gethostname()} cannot open {folder}; all nodes must see "
                "the same files under the same paths"
            ) from None
        return job()


@functools.cache
def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in _DECISIVE}
