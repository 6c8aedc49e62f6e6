"""The file of `--cluster-config`: which SLURM jobs run Dask workers. No result depends on it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from srntt_pipeline.sections import ONE_OR_MORE, Section, validate
from srntt_pipeline.yaml_files import read_yaml


class ClusterConfig(Section):
    """SLURM jobs that run Dask workers (`--cluster slurm`); no result depends on them.

    The last three keys are for `--cluster tls://…` alone.
    """

    jobs: int = Field(1, ge=1, le=10_000, description="SLURM jobs to keep running.")
    cores: int = Field(4, ge=1, le=10_000, description="Cores of a job.")
    processes: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Workers in a job, each of one thread; default: one per core. Where a job has "
        "one GPU: 1.",
    )
    memory: str = Field(
        "8GB",
        pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})? ?[kKMGT]i?B$",
        description="Memory of a job, shared evenly by its workers.",
    )
    walltime: str = Field(
        "04:00:00",
        pattern=r"^([0-9]{1,3}-)?[0-9]{1,5}(:[0-9]{2}){0,2}$",
        description="Time limit of a job; another follows while there is work.",
    )
    queue: str | None = Field(None, description="Partition; default: SLURM's.")
    account: str | None = Field(None, description="Account that is charged.")
    interface: str | None = Field(
        None, description="Network interface that all nodes see each other on, such as ib0."
    )
    python: str | None = Field(None, description="Python of the nodes; default: that of here.")
    log_directory: str = Field(
        "slurm_logs", min_length=1, description="Folder for the jobs' output."
    )
    job_extra_directives: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        (), max_length=1000, description="More for #SBATCH, such as --gres=gpu:1."
    )
    job_script_prologue: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        (),
        max_length=1000,
        description="Shell commands before a worker starts, such as module load …",
    )
    patience_min: float = Field(
        60,
        gt=0,
        le=100_000,
        description="Minutes to wait in the queue until the first worker is there.",
    )
    tls_ca_file: str | None = Field(
        None, description="For tls://: the certificate that the scheduler's is signed by."
    )
    tls_cert: str | None = Field(None, description="For tls://: your certificate.")
    tls_key: str | None = Field(None, description="For tls://: your private key.")

    @field_validator("walltime", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        if isinstance(value, int):
            raise ValueError("put it in quotes: YAML reads 10:00:00 as a number")
        return value

    @model_validator(mode="after")
    def _workers(self) -> "ClusterConfig":
        if self.workers_per_job > self.cores:
            raise ValueError(f"processes is {self.processes}, above cores, {self.cores}")
        if len(self.tls) not in (0, 3):
            raise ValueError("tls_ca_file, tls_cert and tls_key go together")
        return self

    @property
    def tls(self) -> dict[str, str]:
        """The files of TLS that are given, by their keys."""
        files = self.model_dump(include={"tls_ca_file", "tls_cert", "tls_key"})
        return {key: file for key, file in files.items() if file is not None}

    @property
    def workers_per_job(self) -> int:
        """Worker processes of one job."""
        return self.processes or self.cores


def read_cluster_config(path: Path) -> ClusterConfig:
    """Read the file of `--cluster-config` (YAML); raise InputError as `read_params` does."""
    return validate(ClusterConfig, read_yaml(path, "cluster config") or {}, str(path))
