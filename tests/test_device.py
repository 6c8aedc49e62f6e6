import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_networks
import torch
from PIL import Image

from srntt_pipeline.cli import main
from srntt_pipeline.device import choose_device, device_workers, worker_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.parallel import run_all

Cuda = Callable[[int], None]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuda]:
    """Pretend that there are so many CUDA devices."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    def pretend(devices: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: devices > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)

    yield pretend
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("devices", [0, 2])
def test_cpu(cuda: Cuda, devices: int) -> None:
    cuda(devices)
    assert choose_device("cpu") == torch.device("cpu")


def test_a_numbered_cpu_is_the_cpu() -> None:
    assert choose_device("cpu:0") == torch.device("cpu")  # Lightning Fabric knows no other


@pytest.mark.parametrize(("devices", "expected"), [(0, "cpu"), (1, "cuda")])
def test_auto(cuda: Cuda, devices: int, expected: str) -> None:
    cuda(devices)
    assert choose_device("auto") == torch.device(expected)


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:1"])
def test_cuda_computes_in_full_float32(cuda: Cuda, name: str) -> None:
    cuda(2)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    assert choose_device(name).type == "cuda"
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("devices", "name", "message"),
    [
        (0, "cuda", "no CUDA device; use --device cpu"),
        (0, "cuda:0", "no CUDA device; use --device cpu"),
        (2, "cuda:2", "there are 2 CUDA devices"),
        (1, "gpu", "unknown; use auto, cpu, cuda or cuda:N"),
        (1, "", "unknown"),
        (1, "cuda:x", "unknown"),
        (1, "cuda:-1", "unknown"),
        (1, "meta", "only cpu and cuda"),
        (1, "mps", "only cpu and cuda"),
    ],
)
def test_unusable(cuda: Cuda, devices: int, name: str, message: str) -> None:
    cuda(devices)
    with pytest.raises(InputError, match=message) as caught:
        choose_device(name)
    assert f"--device {name}" in str(caught.value)
    assert "\n" not in str(caught.value)


# Several GPUs: pretended ones, this has not run on real ones


@pytest.mark.parametrize(
    ("devices", "name", "workers", "expected"),
    [
        (0, "cpu", 7, 7),
        (1, "cuda", 7, 1),
        (4, "cuda", 7, 4),
        (4, "cuda", 2, 2),
        (4, "cuda:2", 7, 1),
    ],
)
def test_workers_are_one_for_each_gpu(
    cuda: Cuda, devices: int, name: str, workers: int, expected: int
) -> None:
    cuda(devices)
    assert device_workers(name, workers) == expected


def put_device(queue: Any, name: str) -> None:
    queue.put(str(worker_device(name)))


def test_each_worker_has_its_own_gpu(cuda: Cuda) -> None:
    cuda(3)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    found = []
    for _ in range(3):
        process = context.Process(target=put_device, args=(queue, "cuda"))
        process.start()
        found.append(queue.get())
        process.join()
    assert sorted(found) == ["cuda:0", "cuda:1", "cuda:2"]


def identity(job: int) -> tuple[int, ...]:
    return multiprocessing.current_process()._identity  # type: ignore[attr-defined]


def test_workers_of_a_pool_are_numbered() -> None:
    found = run_all(identity, range(20), workers=2, description="", unit="")
    assert all(numbers and numbers[-1] >= 1 for numbers in found)


@pytest.mark.parametrize(
    ("devices", "name", "expected"),
    [(0, "cpu", "cpu"), (1, "cuda", "cuda"), (3, "cuda:1", "cuda:1"), (3, "cuda", "cuda:0")],
)
def test_device_of_the_main_process(cuda: Cuda, devices: int, name: str, expected: str) -> None:
    cuda(devices)
    assert str(worker_device(name)) == expected


# tf32 where there is no CUDA: every command that matches patches


@pytest.fixture(scope="module")
def matching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one pair and one test group, and a network whose params say tf32."""
    folder = tmp_path_factory.mktemp("tf32")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    for name in ("train/input/0", "train/ref/0", "test/CUFED5/0_0", "test/CUFED5/0_1"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    tiny_networks.save_srntt(folder / "model" / "srntt-l2.safetensors")
    card = folder / "model" / "srntt-l2.json"
    content = json.loads(card.read_text())
    content["swaps"]["precision"] = "tf32"
    card.write_text(json.dumps(content))
    return folder


def run(command: str, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Run a command on the CPU; return its exit code."""
    words = [word.format(home=folder, out=out) for word in command.split()]
    monkeypatch.setattr(sys, "argv", ["srntt-pipeline", *words, "--device", "cpu"])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code or 0


TF32 = "--encoder-weights random --precision tf32 --scales 1 --rotations-deg 0"
SHOW = "show-match {home}/test/CUFED5/0_0.png --ref {home}/test/CUFED5/0_1.png -o {out}"
ENLARGE = "super-resolve {home}/test/CUFED5/0_0.png --checkpoint {home}/model -o {out}"


@pytest.mark.parametrize(
    ("command", "asks"),
    [
        (f"precompute-swaps {{home}} {{out}} --workers 1 {TF32}", "swaps.precision: "),
        (f"{SHOW} {TF32}", "swaps.precision: "),
    ],
)
def test_tf32_without_cuda_is_one_line(
    command: str,
    asks: str,
    matching: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(command, matching, tmp_path / "out.png", monkeypatch) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    assert f"{asks}tf32 needs CUDA, the device is cpu" in line
    assert line.endswith("--device cuda")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command", [ENLARGE, "evaluate {home} {out} --checkpoint {home}/model --protocol luma"]
)
def test_a_checkpoint_whose_swaps_are_in_tf32_is_used_without(
    command: str, matching: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(command, matching, tmp_path / "out.png", monkeypatch) == 0


def test_flow_compares_no_patches_and_needs_no_cuda(
    matching: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = f"precompute-swaps {{home}} {{out}} --workers 1 --matching flow-dis {TF32}"
    assert run(command, matching, tmp_path / "out", monkeypatch) == 0
    assert (tmp_path / "out" / "index.json").is_file()
