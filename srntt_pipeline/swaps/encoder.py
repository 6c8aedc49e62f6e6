"""The texture encoder φ: VGG19 up to relu3_1 (paper sections 3.1 and 3.4)."""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB
from srntt_pipeline.maps import (
    CAFFE,
    CELLS,
    INDEX,
    LAYERS,
    STRIDE,
    EncoderIdentity,
    Maps,
    to_tensor,
)
from srntt_pipeline.matching.windows import Window, windows
from srntt_pipeline.swaps import caffe
from srntt_pipeline.swaps.dense import DenseMaps
from srntt_pipeline.swaps.layers import EncoderPrecision, Layers, pool
from srntt_pipeline.tensors import check_tensor, read_weights

# Images of one size that go through together. On a CPU one at a time is fastest (docs/shards.md).
_BATCH_PIXELS = {"cpu": 1, "cuda": 64 * 160 * 160}

_LENGTH = INDEX["relu3_1"] + 1
# VGG19 (Simonyan and Zisserman 2015, configuration E): convolutions, by their channels, in blocks
# that a pooling ends. torchvision has the same, but takes as long to load as half of PyTorch does.
_BLOCKS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)


class Encoder(Layers):
    """φ: images to their maps on three layers.

    relu1_1 [N, 64, H, W], relu2_1 [N, 128, H/2, W/2], relu3_1 [N, 256, H/4, W/4]. Images are
    float32 RGB [N, 3, H, W] in [0, 1]; they are standardised as torchvision's ImageNet models
    expect.
    """

    def forward(self, images: Tensor, layers: Sequence[str] = LAYERS) -> Maps:
        """Return the maps of `images` by layer, float32 whatever the precision."""
        maps = {"relu1_1": self.convolve(self.standardised(images), "relu1_1")}
        if "relu2_1" in layers or "relu3_1" in layers:
            maps["relu2_1"] = self.convolve(pool(self.relu1_2(maps["relu1_1"])), "relu2_1")
        if "relu3_1" in layers:
            maps["relu3_1"] = self.convolve(pool(self.relu2_2(maps["relu2_1"])), "relu3_1")
        return {layer: maps[layer].float().contiguous() for layer in layers}

    @torch.inference_mode()
    def encode(self, image: RGB, layers: Sequence[str] = LAYERS) -> Maps:
        """Return the maps [C, H, W] of one image, uint8 [H, W, 3], on the encoder's device.

        Sides are multiples of 4 px. A large image goes through window by window: beside its maps,
        448 bytes a pixel for all `layers`, the memory needed does not grow with it.
        """
        height, width = (side // STRIDE for side in image.shape[:2])
        parts = list(windows(height, width))
        if len(parts) == 1:
            return self._encode_batch([image], layers)[0]
        whole, maps = Window(0, height, 0, width), {}
        for window in parts:
            for layer, part in self._encode_batch([window.cut(image)], layers)[0].items():
                if layer not in maps:
                    size = height * CELLS[layer], width * CELLS[layer]
                    maps[layer] = part.new_empty(len(part), *size)
                window.of(maps[layer], whole, CELLS[layer]).copy_(window.inner(part, image))
        return maps

    @torch.inference_mode()
    def encode_each(self, images: Iterable[RGB], layers: Sequence[str] = LAYERS) -> Iterator[Maps]:
        """Yield the maps of each image; on CUDA neighbours of one size go through together.

        Images are as for `encode`, of at most 536 px a side, so none is cut into windows.
        """
        batch: list[RGB] = []
        for image in images:
            if batch and (
                image.shape != batch[0].shape
                or (len(batch) + 1) * image.shape[0] * image.shape[1]
                > _BATCH_PIXELS[self.mean.device.type]
            ):
                yield from self._encode_batch(batch, layers)
                batch = []
            batch.append(image)
        if batch:
            yield from self._encode_batch(batch, layers)

    def encode_grids(self, images: Iterable[RGB], *, dense: bool = False) -> Iterator[Tensor]:
        """Yield relu3_1 of each image as `encode_each` does; `dense`: its dense maps come next."""
        if dense and self.mean.device.type == "cpu":
            yield from (self.dense(image).grid() for image in images)
        else:
            yield from (maps["relu3_1"] for maps in self.encode_each(images, ["relu3_1"]))

    @torch.inference_mode()
    def dense(self, image: RGB, *, texture: bool = False) -> DenseMaps:
        """Return the dense maps of an image, as DenseMaps takes it."""
        return DenseMaps(self, image, texture=texture)

    def _encode_batch(self, images: Sequence[RGB], layers: Sequence[str]) -> list[Maps]:
        """Return the maps of images of one size."""
        tensors = torch.stack([to_tensor(image) for image in images]).to(self.mean.device)
        maps = self(tensors, layers)
        for values in maps.values():
            self.check(values)
        return [{layer: maps[layer][i] for layer in layers} for i in range(len(images))]


@functools.lru_cache(maxsize=2)
def load_encoder(
    weights: str, seed: int, device: torch.device, precision: EncoderPrecision = "float32"
) -> Encoder:
    """Return the encoder of `weights` on `device`.

    `weights`: `imagenet` (torchvision's ImageNet weights, downloaded once), `random` (Kaiming, by
    `seed`), or the path of a state dict under torchvision's key names (`features.0.weight` …): the
    whole VGG19 or its part up to conv3_1, as .pth or .safetensors. Before a file of Caffe's weights
    stands `caffe:` or `caffe-rgb:` (`swaps.caffe`). `precision`: of the convolutions; maps are
    float32 in any case.

    Raises InputError when weights cannot be had or do not fit.
    """
    features = vgg19(weights, seed, _LENGTH)
    if weights == "random":
        source = f"random, seed {seed}"
    else:
        source = "ImageNet" if weights == "imagenet" else _source(weights)
    return Encoder(features, EncoderIdentity(source, _hash(features)), precision).to(device)


def bare_vgg19(length: int = _LENGTH) -> nn.Sequential:
    """Return the first layers of VGG19, up to relu3_1 unless told, without memory for weights."""
    layers: list[nn.Module] = []
    before = 3
    with torch.device("meta"):  # none for what is not used, and none before a file fits
        for block in _BLOCKS:
            for channels in block:
                # ReLU in place would keep inference tensors from autograd.
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
                before = channels
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:length])


def vgg19(weights: str, seed: int, length: int) -> nn.Sequential:
    """Return the first `length` of torchvision's VGG19 features; arguments as `load_encoder`'s.

    A `random` one begins with the same parameters whatever its length.
    """
    features = bare_vgg19(length)
    if weights == "random":
        _randomise(features, seed)
    else:
        _load(features, _imagenet() if weights == "imagenet" else _read(weights), weights)
        if found := caffe.named(weights):
            caffe.fold(features[0], found)
    return features


def _source(weights: str) -> str:
    found = caffe.named(weights)
    return f"file {Path(weights).name}" if found is None else f"{CAFFE}, file {found.path.name}"


def _randomise(features: nn.Sequential, seed: int) -> None:
    features.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def _imagenet() -> dict[str, Any]:
    from torchvision.models import VGG19_Weights

    try:
        return dict(VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(
            f"cannot download torchvision's ImageNet VGG19 ({error}); give a file that holds it "
            "with --encoder-weights FILE, or --encoder-weights random"
        ) from None


def _read(weights: str) -> dict[str, Any]:
    found = caffe.named(weights)
    path = found.path if found else Path(weights)
    if not path.exists():
        raise InputError(
            f"--encoder-weights {path}: no such file (nor is it `imagenet` or `random`)"
        )
    if found and path.suffix == ".mat":
        return caffe.read_matconvnet(path)
    return read_weights(path, "--encoder-weights")


def _load(features: nn.Sequential, state: dict[str, Any], weights: str) -> None:
    prefix = "features."
    wanted = features.state_dict()
    missing = sorted(key for key in wanted if prefix + key not in state)
    if missing:
        raise InputError(
            f"--encoder-weights {weights}: {prefix}{missing[0]} is missing; expected torchvision's "
            f"VGG19 parameters from features.0 to features.{len(features) - 2}"
        )
    for key, parameter in wanted.items():
        problem = check_tensor(state[prefix + key], parameter)
        if problem:
            raise InputError(
                f"--encoder-weights {weights}: {prefix}{key} is not VGG19's; it is {problem}"
            )
    features.to_empty(device="cpu").load_state_dict({key: state[prefix + key] for key in wanted})


def _hash(features: nn.Sequential) -> str:
    digest = hashlib.sha256()
    for key, parameter in features.state_dict().items():
        digest.update(key.encode())
        digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
