"""Metrics beside PSNR and SSIM, made ready; of `metrics`, LPIPS and DISTS are networks of here.

They are by torchmetrics: 0 for equal images, lower is nearer. LPIPS (Zhang et al. 2018) compares
features of an AlexNet, DISTS (Ding et al. 2020) features of a VGG16, both trained on ImageNet.
torchmetrics brings what was fitted on top; the ImageNet weights are torchvision's, from a file or
downloaded once. Images are taken whole, in RGB, so these numbers are the same under every protocol.
"""

import functools
import inspect
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from srntt_pipeline.config import EvaluateParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256
from srntt_pipeline.images import RGB
from srntt_pipeline.maps import to_tensor
from srntt_pipeline.metrics import METRICS
from srntt_pipeline.tensors import check_finite, read_weights

_NETWORKS = {"lpips": "alexnet", "dists": "vgg16"}  # torchvision's names


@dataclass(frozen=True)
class Ready:
    """A metric that is ready to measure: `METRICS[name]` with its ImageNet weights, if any.

    `sha256`: of the weights, or of the file of its code where it takes none.
    """

    name: str
    weights: Path | None
    sha256: str

    @property
    def file(self) -> Path:
        """The weights of one that takes some."""
        assert self.weights is not None
        return self.weights

    @property
    def words(self) -> str:
        """What readers of the numbers must know."""
        kind = METRICS[self.name]
        if self.weights is None:
            return f"{kind.heading}: {kind.meaning}, whole 8-bit RGB images."
        return (
            f"{kind.heading}: torchmetrics {_library().__version__}, weights "
            f"{self.weights.name} (sha256 {self.sha256[:12]}), whole 8-bit RGB images; lower is "
            "nearer to HR."
        )


def read_metrics(params: EvaluateParams) -> tuple[Ready, ...]:
    """Return the metrics that `params` ask for, ready to be used.

    Raises InputError when the library or the weights are missing or do not fit, so that nothing
    has been computed by then.
    """
    given = {"lpips": params.lpips_weights, "dists": params.dists_weights}
    metrics = []
    for name in dict.fromkeys(params.metric):
        if measure := METRICS[name].measure:
            metrics.append(Ready(name, None, file_sha256(Path(inspect.getfile(measure)))))
            continue
        _library()
        path = Path(given[name]) if given[name] else _downloaded(name)
        if not path.is_file():
            raise InputError(f"--{name}-weights {path}: no such file")
        metrics.append(Ready(name, path, file_sha256(path)))
        _network(metrics[-1])
    return tuple(metrics)


def check_size(metric: Ready, hr: RGB) -> None:
    """Raise InputError when a side of `hr`, uint8 [H, W, 3], is below the metric's least."""
    height, width = hr.shape[:2]
    least = METRICS[metric.name].min_side_px
    if min(height, width) < least:
        raise InputError(
            f"metric {metric.name} cannot measure {width}×{height} px: it needs {least} px on each "
            "side"
        )


def distance(metric: Ready, hr: RGB, sr: RGB, device: str) -> float:
    """Return how far `sr` is from `hr`, both uint8 [H, W, 3].

    Raises InputError when a side is too small, or for a value that is no number.
    """
    check_size(metric, hr)
    if measure := METRICS[metric.name].measure:
        value = float(measure(hr, sr))
        if not math.isfinite(value):
            raise InputError(f"metric {metric.name} gives {value}, not a finite number")
        return value
    network = _network(metric).to(device)
    images = [to_tensor(image)[None].to(device) for image in (sr, hr)]
    with torch.inference_mode():
        if metric.name == "lpips":
            images = [2 * image - 1 for image in images]  # it takes [-1, 1]
        return float(network(*images))


@functools.lru_cache(maxsize=2)
def _network(metric: Ready) -> torch.nn.Module:
    """Return the network, which maps two images [1, 3, H, W] to their distance."""
    _check(metric)
    network = _built(metric)
    check_finite(metric.file, network.state_dict())
    return network


def _built(metric: Ready) -> torch.nn.Module:
    with _as_downloaded(metric):
        try:
            if metric.name == "lpips":
                from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

                lpips: torch.nn.Module = LearnedPerceptualImagePatchSimilarity("alex").net
                return lpips
            # The metric itself would read the weights again for every image.
            from torchmetrics.functional.image.dists import DISTSNetwork

            return DISTSNetwork().eval()
        except RuntimeError:
            model = "AlexNet" if metric.name == "lpips" else "VGG16"
            raise InputError(
                f"--{metric.name}-weights {metric.weights}: not the weights of torchvision's "
                f"{model}"
            ) from None


def _check(metric: Ready) -> None:
    """Refuse files that are not a plain state dict: what torchvision does with them is unsafe."""
    read_weights(metric.file, f"--{metric.name}-weights")


@contextmanager
def _as_downloaded(metric: Ready) -> Iterator[None]:
    """Let torchvision find the file where it keeps downloads; torchmetrics names no other way."""
    before = torch.hub.get_dir()
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "checkpoints", _file_name(metric.name))
        link.parent.mkdir()
        link.symlink_to(metric.file.resolve())
        torch.hub.set_dir(folder)
        try:
            yield
        finally:
            torch.hub.set_dir(before)


def _imagenet(name: str) -> Any:
    from torchvision.models import get_model_weights  # takes a second that few runs need

    return get_model_weights(_NETWORKS[name])["IMAGENET1K_V1"]


def _file_name(name: str) -> str:
    return str(_imagenet(name).url).rsplit("/", 1)[-1]


def _downloaded(name: str) -> Path:
    """Return the file of torchvision's weights, which are downloaded if need be."""
    path = Path(torch.hub.get_dir(), "checkpoints", _file_name(name))
    if not path.is_file():
        try:
            _imagenet(name).get_state_dict(progress=False, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            raise InputError(
                f"metric {name}: cannot download {_imagenet(name).url} ({error}); give the file "
                f"with --{name}-weights FILE"
            ) from None
    return path


def _library() -> Any:
    try:
        import torchmetrics
    except ImportError:
        raise InputError(
            "perceptual metrics need torchmetrics; install it: pip install "
            "'srntt-pipeline[perceptual]'"
        ) from None
    return torchmetrics
