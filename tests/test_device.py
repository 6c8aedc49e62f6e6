import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

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
