"""Several processes, and several loader workers, train as one does."""

import functools
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.maps import LAYERS
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.training.data import Patches, StepSampler, batches
from srntt_pipeline.training.job import make_job
from srntt_pipeline.training.launch import launch
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.trainer import Trainer

PARAMS = SrnttRecipe(
    variant="srntt",
    channels=4,
    blocks=(1, 1, 1, 1),
    warmup_steps=1,
    reconstruction_steps=1,
    steps=2,
    batch_size=4,
    patch_px=32,
    critic_channels=4,
    texture_weight=1.0,
    adversarial_weight=1.0,
    perceptual_weight=1.0,
    validation_pairs=1,
)
Gradients = dict[str, np.ndarray]


def save_gradients(fabric: Fabric, folder: Path, out: Path) -> None:
    """Write the gradients of network and critic after each step, by the first process."""
    torch.set_num_threads(1)
    job = make_job(PARAMS, folder, folder / "swaps", fabric.device)
    trainer = Trainer(fabric, out, job)
    out.mkdir(parents=True, exist_ok=True)
    trainer._begin()
    found = []
    for phase, batch in trainer.batches_from(0):
        assert len(batch["hr"]) == PARAMS.batch_size // fabric.world_size
        for parameter in trainer.network.parameters():
            parameter.data.normal_(0, 0.05, generator=torch.Generator().manual_seed(len(found)))
        trainer.step(phase, batch)
        networks = {"network": trainer.network, "critic": trainer.critic.critic}
        found.append(
            {
                f"{name}.{key}": p.grad.numpy().copy()
                for name, network in networks.items()
                for key, p in network.named_parameters()
                if p.grad is not None
            }
        )
    if fabric.is_global_zero:
        with (out / "gradients.pickle").open("wb") as file:
            pickle.dump(found, file)


def test_two_processes_have_the_gradients_of_one(folder: Path, tmp_path: Path) -> None:
    steps: list[list[Gradients]] = []
    for count in (1, 2):
        out = tmp_path / str(count)
        launch(functools.partial(save_gradients, folder=folder, out=out), "cpu", count, "32-true")
        steps.append(pickle.loads((out / "gradients.pickle").read_bytes()))
    assert [len(found) for found in steps] == [4, 4]
    for one, two in zip(*steps, strict=True):
        for name, expected in one.items():
            # Some gradients of the critic are nil but for rounding: HR's and SR's cancel out. On a
            # processor without AVX-512 it was 2e-4 of the largest.
            network = name.split(".")[0]
            largest = max(np.abs(v).max() for k, v in one.items() if k.startswith(network))
            atol = (1e-3 if network == "critic" else 1e-4) * largest
            np.testing.assert_allclose(two[name], expected, rtol=1e-3, atol=atol, err_msg=name)
        assert not any(two[name].any() for name in set(two) - set(one))
    assert any(name.startswith("critic") for name in steps[0][-1])


def test_two_processes_leave_what_one_does(folder: Path, tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"learning_rate": 1e-6, "ema_decay": 0.5})
    metrics = [
        train(params, folder, tmp_path / str(n), folder / "swaps", device="cpu", devices=n)
        for n in (1, 2)
    ]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-3)
    curves = []
    for n in (1, 2):
        lines = (tmp_path / str(n) / "loss.csv").read_text().splitlines()
        assert lines[0].startswith("step,phase,loss,reconstruction,perceptual,texture,adversarial")
        curves.append([[float(v) for v in line.split(",")[2:] if v] for line in lines[1:]])
        assert load_checkpoint(tmp_path / str(n)).info.step == 4
    for one, two in zip(*curves, strict=True):
        assert one == pytest.approx(two, rel=1e-3)


def test_a_batch_that_devices_cannot_share_is_refused(folder: Path, tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"batch_size": 3})
    with pytest.raises(InputError, match="batch_size = 3 is not shared evenly by 2 devices") as e:
        train(params, folder, tmp_path, folder / "swaps", device="cpu", devices=2)
    assert "\n" not in str(e.value)


def test_each_device_gets_its_share_of_the_batch() -> None:
    whole = list(StepSampler(5, 6, 2, 9, seed=1))
    shares = [list(StepSampler(5, 6, 2, 9, 1, rank, 3)) for rank in range(3)]
    for step, batch in enumerate(whole):
        assert sorted(draw for share in shares for draw in share[step]) == batch
        assert all(len(share[step]) == 2 for share in shares)


@pytest.mark.parametrize(("context", "colour"), [("fork", 0), ("spawn", 0.2)])
def test_batches_are_the_same_with_loader_workers(
    folder: Path, context: str, colour: float
) -> None:
    pairs = read_train_pairs(folder)
    encoder = load_encoder("random", 0, torch.device("cpu"))
    room = 3 << 20  # a pair takes 1.8 MB: some are kept, some rebuilt

    def drawn(workers: int) -> list[dict[str, torch.Tensor]]:
        data = SwappedPairs(pairs, Shards(folder / "swaps"), encoder, room)
        patches = Patches(data, 32, 0, inputs="maps", augment=True, mixes=2, colour=colour)
        return list(batches(patches, StepSampler(6, 4, 0, 5, seed=0), workers, context))

    alone, shared = drawn(0), drawn(2)
    assert len(alone) == len(shared) == 5
    for one, two in zip(alone, shared, strict=True):
        assert one.keys() == two.keys() == {"lr", "hr", "weight", "mix", *LAYERS}
        assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_training_with_loader_workers_writes_the_same(folder: Path, tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"warmup_steps": 0, "reconstruction_steps": 0})
    for workers in (0, 2):
        out = tmp_path / str(workers)
        train(params, folder, out, folder / "swaps", device="cpu", loader_workers=workers)
    for name in ("srntt.safetensors", "loss.csv", "metrics.json", "card.json"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_processes_end_with_the_command_that_is_killed(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from srntt_pipeline.training.launch import launch

def wait_for_ever(fabric):
    (Path(__file__).parent / "started" / str(os.getpid())).touch()
    time.sleep(200)

if __name__ == "__main__":
    launch(wait_for_ever, "cpu", 2, "32-true")
"""
    (tmp_path / "command.py").write_text(code)
    (tmp_path / "started").mkdir()
    command = subprocess.Popen(
        [sys.executable, tmp_path / "command.py"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )

    def running() -> list[str]:
        pids = [file.name for file in (tmp_path / "started").iterdir()]
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    end = time.monotonic() + 200
    while len(running()) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    command.kill()
    command.wait()
    end = time.monotonic() + 3
    while running():
        assert time.monotonic() < end
        time.sleep(0.05)
