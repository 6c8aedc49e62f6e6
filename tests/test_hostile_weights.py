"""Checkpoints and weights of strangers: no code of theirs is run, one line, nothing allocated."""

import os
import pickle
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import pytest
import torch
from safetensors.torch import save_file
from test_checkpoints import save
from torchvision.models.optical_flow import raft_small

from srntt_pipeline.checkpoints import CheckpointInfo, load_checkpoint, save_checkpoint
from srntt_pipeline.config import EvaluateParams, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.perceptual import read_metrics
from srntt_pipeline.models import build_model
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps.encoder import load_encoder, vgg19
from srntt_pipeline.swaps.flow import load_flow
from srntt_pipeline.swaps.learnt import load_learnt
from srntt_pipeline.swaps.upscaler import load_upscaler
from srntt_pipeline.tensors import load_tensors, read_weights
from srntt_pipeline.training.sources import load_start

CPU = torch.device("cpu")


def line(call: Callable[[], object]) -> str:
    """Return the one line of the error that `call` raises, in no time and with little memory."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(InputError) as caught:
        call()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10  # KiB
    assert time.monotonic() - start < 60
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000
    return message


@pytest.mark.parametrize("name", hostile.CHECKPOINTS)
def test_a_checkpoint_of_a_stranger_is_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path)
    hostile.edit_json(path)
    load_checkpoint(path)  # as it was
    hostile.CHECKPOINTS[name](path)
    said = line(lambda: load_checkpoint(path))
    assert said.startswith((str(path), str(path.with_suffix(".json"))))


def test_the_tensor_that_is_no_number_is_named(tmp_path: Path) -> None:
    path = save(tmp_path)
    hostile.CHECKPOINTS["weights NaN"](path)
    said = line(lambda: load_checkpoint(path))
    assert (
        said == f"{path}: content.body.0.body.0.bias is not finite: it holds NaN or infinity; "
        "use another file"
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_checkpoint_that_is_a_pipe_does_not_hang(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path)
    path.with_suffix(suffix).unlink()
    os.mkfifo(path.with_suffix(suffix))
    assert "not a regular file" in line(lambda: load_checkpoint(path))


def test_a_checkpoint_may_be_a_link(tmp_path: Path) -> None:
    path = save(tmp_path / "there")
    for suffix in (".safetensors", ".json"):
        (tmp_path / "here").with_suffix(suffix).symlink_to(path.with_suffix(suffix))
    assert load_checkpoint(tmp_path / "here.safetensors").info.step == 7


def test_batch_norm_counts_batches_in_whole_numbers(tmp_path: Path) -> None:
    loaded = load_checkpoint(save(tmp_path, batch_norm=True)).model
    assert any(value.dtype == torch.int64 for value in loaded.state_dict().values())


def test_states_hold_finite_numbers(tmp_path: Path) -> None:
    path = tmp_path / "optimiser.safetensors"
    save_file({"0.step": torch.tensor(3.0), "0.exp_avg": torch.tensor([1.0, float("nan")])}, path)
    assert line(lambda: load_tensors(path)).startswith(f"{path}: 0.exp_avg is not finite")


def sisr(path: Path) -> Path:
    info = CheckpointInfo(
        model="sisr",
        sizes={"channels": 2, "blocks": 1},
        step=0,
        encoder=None,
        swaps=None,
        train=SrnttRecipe(),
        dataset="",
        metrics={},
    )
    save_checkpoint(path, build_model("sisr", info.sizes), info)
    return path


def metric(name: str) -> Callable[[Path], object]:
    return lambda path: read_metrics(
        EvaluateParams(metric=(name,), **{f"{name}_weights": str(path)})
    )


def flow(path: Path) -> object:
    return load_flow(SwapParams(matching="flow-raft", flow_weights=str(path)), CPU)


def encoder(path: Path) -> object:
    load_encoder.cache_clear()
    return load_encoder(str(path), 0, CPU)


LOADERS: dict[str, Callable[[Path], object]] = {
    "encoder": encoder,
    "losses": lambda path: vgg19(str(path), 0, 12),
    "flow": flow,
    "lpips": metric("lpips"),
    "dists": metric("dists"),
    "checkpoint": load_checkpoint,
    "upscaler": lambda path: load_upscaler(str(path), CPU),
    "learnt": lambda path: load_learnt(
        SwapParams(matching="learnt", matching_checkpoint=str(path)), CPU
    ),
    "content": lambda path: load_start(path, SrnttRecipe()),
}


@pytest.mark.parametrize("loader", LOADERS)
def test_no_code_in_weights_is_run(tmp_path: Path, loader: str) -> None:
    canary = tmp_path / "canary"
    files = hostile.payloads(tmp_path, canary)
    assert len(files) > 30
    model = sisr(tmp_path / "sisr.safetensors")
    for name, content in files.items():
        for suffix in (".pth", ".safetensors"):
            path = tmp_path / f"weights{suffix}"
            path.write_bytes(content)
            shutil.copy(model.with_suffix(".json"), path.with_suffix(".json"))
            hostile.edit_json(path)
            said = line(lambda path=path: LOADERS[loader](path))
            assert str(path) in said, name
            assert not canary.exists(), name


def test_the_payloads_are_no_blanks(tmp_path: Path) -> None:
    """Where pickles are run as they are, they do make the file."""
    canary = tmp_path / "canary"
    files = hostile.payloads(tmp_path, canary)
    for name in ("pickle of protocol 0", "pickle of protocol 5", "pickle by hand"):
        pickle.loads(files[name])
        canary.unlink()
    for name in ("os.system, archive", "exec, old format", "torch.load, archive"):
        (tmp_path / "w.pth").write_bytes(files[name])
        torch.load(tmp_path / "w.pth", weights_only=False)
        canary.unlink()


def vgg_state() -> dict[str, torch.Tensor]:
    state = vgg19("random", 0, 12).state_dict()
    return {f"features.{key}": value for key, value in state.items()}


def raft_state() -> dict[str, torch.Tensor]:
    return raft_small().state_dict()


@pytest.mark.parametrize(("loader", "make"), [(encoder, vgg_state), (flow, raft_state)])
def test_a_state_dict_of_a_stranger_is_named(
    tmp_path: Path, loader: Callable[[Path], object], make: Callable[[], Any]
) -> None:
    path = tmp_path / "weights.pth"
    good = make()
    torch.save(good, path)
    loader(path)  # as it was
    for number, (name, change) in enumerate(hostile.STATE_DICTS.items()):
        state = dict(good)
        change(state)
        for new in (True, False):
            path = tmp_path / f"{number}-{new}.pth"
            torch.save(state, path, _use_new_zipfile_serialization=new)
            said = line(lambda path=path: loader(path))
            assert str(path) in said, name
        if name in ("NaN", "infinite"):
            assert "not finite" in said


def test_both_formats_of_pytorch_are_read(tmp_path: Path) -> None:
    state = vgg_state()
    for new in (True, False):
        torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
        found = read_weights(tmp_path / "w.pth", "--encoder-weights")
        assert all(torch.equal(found[name], value) for name, value in state.items())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def bomb(path: Path) -> None:
    hostile.deflated(path, path.with_suffix(".zip"))
    path.with_suffix(".zip").rename(path)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def declared(path: Path) -> None:
    """A storage of 4 TB that the file does not hold, in the format that lists them behind."""
    torch.save({"a": torch.zeros(7654321)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content.count(pickle.dumps(7654321, 2)[2:-1]) == 2  # storage and size
    much = pickle.dumps(2**40, 2)[2:-1]
    path.write_bytes(content.replace(pickle.dumps(7654321, 2)[2:-1], much)[:4000])


@pytest.mark.parametrize("damage", [cut, bomb, pipe, device, declared])
@pytest.mark.parametrize("loader", [encoder, flow])
def test_a_file_that_is_not_what_it_says(
    tmp_path: Path, loader: Callable[[Path], object], damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(vgg_state(), path)
    damage(path)
    assert str(path) in line(lambda: loader(path))
