"""VGG19 for the losses: as deep as the perceptual loss asks, from the weights of the swaps."""

from collections.abc import Iterable

import torch
from safetensors.torch import save
from torch import Tensor, nn

from srntt_pipeline.config import MatchParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import sha256
from srntt_pipeline.maps import INDEX, maps_of
from srntt_pipeline.swaps.dataset import encoder_of_maps
from srntt_pipeline.swaps.encoder import Encoder, load_encoder, vgg19
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.training.losses import CAFFE_SCALE


class LossFeatures(nn.Module):
    """Images to their maps on `layers`, with a gradient to the images.

    `encoder` gives the standardisation; `features` begin with its parameters. `sha256`: of all of
    these, while the encoder's identity covers those up to conv3_1; `caffe_scale`: how many times
    as large the maps of Caffe's VGG19 are.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: Encoder, features: nn.Sequential, layers: Iterable[str]) -> None:
        super().__init__()
        self.features = features
        self.sha256 = weights_sha256(features)
        self.caffe_scale = 1.0 if encoder.identity.is_caffe else CAFFE_SCALE
        self._layers = tuple(layers)
        self.register_buffer("mean", encoder.mean)
        self.register_buffer("std", encoder.std)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return maps by layer of images [N, 3, H, W] in [-1, 1]."""
        return maps_of(self.features, ((images + 1) / 2 - self.mean) / self.std, self._layers)


def weights_sha256(features: nn.Module) -> str:
    """Return the SHA-256 of all weights of a network."""
    return sha256(save({name: value.cpu() for name, value in features.state_dict().items()}))


def load_vgg19(weights: str | None) -> nn.Sequential:
    """Return VGG19 up to relu3_1 on the CPU, ImageNet's unless told; raise InputError."""
    made = MatchParams()
    return vgg19(weights or made.encoder_weights, made.encoder_seed, INDEX["relu3_1"] + 1)


def load_features(
    shards: Shards | None, weights: str | None, layers: Iterable[str], device: torch.device
) -> LossFeatures:
    """Return the features that `layers` need: from `weights`, or those that made the swaps.

    Where there are neither, ImageNet's. Raises InputError when the swaps were made with others, or
    when the weights end before the deepest layer.
    """
    layers = list(layers)
    deepest = max(layers, key=INDEX.__getitem__)
    made = shards.params if shards else MatchParams()
    weights, seed = weights or made.encoder_weights, made.encoder_seed
    if shards:
        encoder = encoder_of_maps(shards, device, weights)
    else:
        encoder = load_encoder(weights, seed, device)
    try:
        features = vgg19(weights, seed, INDEX[deepest] + 1)
    except InputError:  # with what reaches relu3_1, as it has just been loaded
        reached = [layer for layer in INDEX if INDEX[layer] <= INDEX["relu3_1"]]
        raise InputError(
            f"--encoder-weights {weights}: ends before {deepest}, which the perceptual loss needs; "
            f"name a whole VGG19, or set perceptual_layer to {reached[-1]}, or its weight to 0 "
            "(perceptual_weight; of enet perceptual_weights)"
        ) from None
    return LossFeatures(encoder, features.to(device), layers)
