"""Starting the processes of a training run: one, several here, or those of torchrun or SLURM."""

import functools
import logging
import multiprocessing
import os
import re
from collections.abc import Callable
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.plugins.precision.amp import MixedPrecision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from srntt_pipeline.device import choose_device
from srntt_pipeline.ending import begin_worker, tell_workers, work
from srntt_pipeline.errors import InputError, WorkerDied

_Precision = Literal["32-true", "bf16-mixed"]


def launch(run: Callable[..., Any], device: str, devices: int, precision: _Precision) -> Any:
    """Return `run(fabric)` of the first of `devices` processes.

    `run` must be picklable. Under torchrun its processes are taken, whatever `devices` is; under
    srun, with `devices` above 1, those of the job, so many on each node. Raises InputError as
    `run` does, and for devices that are not there.
    """
    chosen = choose_device(device)
    here, nodes, environment = _processes(devices)
    if chosen.type == "cuda" and here > torch.cuda.device_count():
        raise InputError(f"--devices {here}: there are {torch.cuda.device_count()} CUDA devices")
    outside = environment.creates_processes_externally
    strategy: Any = "auto"
    if here * nodes > 1:
        # Each phase leaves some parameters without a gradient: a tail, or the texture transfer.
        start = "popen" if outside else "spawn"
        strategy = DDPStrategy(start_method=start, find_unused_parameters=True)  # type: ignore[arg-type]
    one = 1 if chosen.index is None else [chosen.index]
    mixed = [_MixedPrecision(precision, chosen.type)] if precision == "bf16-mixed" else []
    fabric = Fabric(
        accelerator=chosen.type,
        devices=here if here * nodes > 1 else one,
        num_nodes=nodes,
        strategy=strategy,
        precision=None if mixed else precision,
        plugins=[environment, *mixed],
    )
    if here * nodes == 1 or outside:
        return fabric.launch(run)
    level = logging.getLogger("srntt_pipeline").level
    try:
        return fabric.launch(_Process(run, level, os.getpid()))
    except ProcessExitedException as error:
        raise WorkerDied([error.exit_code]) from None
    except ProcessRaisedException as error:
        if told := re.search(r"^srntt_pipeline\.\S*: (.*)", str(error), re.MULTILINE):
            raise InputError(told[1]) from None
        raise
    except BaseException:
        children = multiprocessing.active_children()
        tell_workers(child.pid for child in children if child.pid)
        for child in children:
            child.kill()
        raise


class _Process:
    """`run` in a process of its own, which logs as ours does and ends with it."""

    def __init__(self, run: Callable[..., Any], level: int, parent: int) -> None:
        self._run, self._level, self._parent = run, level, parent

    def __call__(self, fabric: Fabric) -> Any:
        begin_worker(self._parent)
        logging.basicConfig(level=logging.WARNING, format="%(message)s")
        shown = self._level if fabric.is_global_zero else logging.ERROR
        logging.getLogger("srntt_pipeline").setLevel(shown)
        return work(functools.partial(self._run, fabric))


class _MixedPrecision(MixedPrecision):
    """Autocast alone: Fabric's would round the network's inputs too.

    LR rounded to bfloat16 has 8 bits where `bicubic_skip` adds LR↑ to what the network predicts,
    validation would see other images than training, and a CPU has no bicubic kernel for bfloat16.
    """

    def convert_input(self, data: Any) -> Any:
        return data


def _processes(devices: int) -> tuple[int, int, ClusterEnvironment]:
    """Return processes on this node, nodes, and what started them."""
    if TorchElasticEnvironment.detect():
        world, here = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        return here, world // here, TorchElasticEnvironment()
    tasks = int(os.environ.get("SLURM_NTASKS", 1))
    nodes = int(os.environ.get("SLURM_NNODES", 1))
    # In a SLURM job's single step, or its shell, tasks are no processes of this training.
    if devices > 1 and tasks == devices * nodes and "SLURM_PROCID" in os.environ:
        return devices, nodes, SLURMEnvironment()
    return devices, 1, LightningEnvironment()
