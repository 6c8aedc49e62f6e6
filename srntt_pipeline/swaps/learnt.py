"""Matches by learnt maps: an encoder from a network of ours, beside VGG19's (`swaps.matching`).

Such an encoder finds where patches match; what is swapped in are VGG19's maps still. So its maps
must have a position where VGG19's relu3_1 has one, every 4 px, and it must be laid out as VGG19 is
up to there, from which windows and dense maps follow. TTSR's extractor is (CVPR 2020, section
3.1.1: it begins as VGG19 and is trained with the network).
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from srntt_pipeline.checkpoints import load_checkpoint, weights_file
from srntt_pipeline.config import MatchParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.maps import STRIDE, EncoderIdentity
from srntt_pipeline.models import entry, model_names
from srntt_pipeline.swaps.encoder import Encoder, bare_vgg19
from srntt_pipeline.swaps.layers import EncoderPrecision

KEY = "matching_checkpoint"
_OPTION = "--matching-checkpoint"
# Of a convolution and of a pooling, what must be as in VGG19, for maps of one grid and one sight.
_LAID_OUT = ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode", "ceil_mode")


@dataclass(frozen=True)
class LearntIdentity(EncoderIdentity):
    """Which network's encoder it is; `source`: its name in the registry, `sha256`: of its file."""

    def __str__(self) -> str:
        return f"{self.source} (sha256 {self.sha256[:12]})"

    @property
    def option(self) -> str:
        """The option that names its checkpoint."""
        return _OPTION


def load_learnt(params: MatchParams, device: torch.device) -> Encoder | None:
    """Return the encoder that finds matches on `device`; None where it is VGG19.

    Its maps are called relu1_1, relu2_1 and relu3_1 as VGG19's; they have at most as many channels,
    for which memory is counted. The last ones are kept while their files are unchanged. Raises
    InputError for a checkpoint that is missing, damaged, or of a network without such an encoder.
    """
    if params.matching != "learnt":
        return None
    name = params.matching_checkpoint
    try:
        path = weights_file(Path(name))
        status = path.stat()
        return _load(path, (status.st_mtime_ns, status.st_size), device, params.encoder_precision)
    except OSError:
        raise InputError(f"{_OPTION} {name}: no such file") from None
    except InputError as error:
        raise InputError(f"{_OPTION}: {error}") from None


@functools.lru_cache(maxsize=2)
def _load(
    path: Path, changed: tuple[int, ...], device: torch.device, precision: EncoderPrecision
) -> Encoder:
    checkpoint = load_checkpoint(path)
    info = checkpoint.info
    ask = getattr(checkpoint.model, "matching_layers", None)
    if ask is None:
        able = [one for one in model_names() if hasattr(entry(one).build, "matching_layers")]
        raise InputError(
            f"{path}: a checkpoint of {info.model}, which has no encoder to match by; name one of "
            f"{', '.join(able)}"
        )
    layers = ask()
    if problem := _difference(layers):
        raise InputError(
            f"{path}: the encoder of {info.model} is not laid out as VGG19 up to relu3_1, which "
            f"has a position for every {STRIDE} px ({problem})"
        )
    return Encoder(layers, LearntIdentity(info.model, info.weights_sha256), precision).to(device)


def _difference(layers: nn.Module) -> str:
    """Return in what `layers` are laid out otherwise than VGG19 up to relu3_1; empty: in nothing.

    Fewer channels than VGG19's are not otherwise.
    """
    wanted = bare_vgg19()
    if not isinstance(layers, nn.Sequential) or len(layers) != len(wanted):
        return f"not {len(wanted)} layers, one after the other"
    for number, (layer, other) in enumerate(zip(layers, wanted, strict=True)):
        kind = type(other)
        if type(layer) is not kind:
            return f"layer {number} is no {kind.__name__}"
        for name in _LAID_OUT:
            if _size(getattr(layer, name, None)) != _size(getattr(other, name, None)):
                return f"{name} of layer {number} is not {getattr(other, name)}"
        if isinstance(layer, nn.Conv2d) and isinstance(other, nn.Conv2d):
            if layer.out_channels > other.out_channels:
                return f"layer {number} has more than {other.out_channels} channels"
            if layer.bias is None:
                return f"layer {number} has no bias"
    return ""


def _size(value: object) -> object:
    """Return a size for both sides, if it is one number, as a pair."""
    return (value, value) if type(value) is int else value
