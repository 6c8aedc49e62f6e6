from collections.abc import Callable, Iterator

import pytest
import torch

from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError

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
