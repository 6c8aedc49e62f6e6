"""A network of one's own as a method, without a checkpoint or an entry in the registry."""

import copy
from typing import Any

import safetensors.torch
import torch
from torch import nn

from srntt_pipeline.config import SwapParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import one_line
from srntt_pipeline.files import fingerprint, sha256
from srntt_pipeline.images import RGB
from srntt_pipeline.maps import to_image, to_tensor
from srntt_pipeline.methods.method import BEST, NONE, CannotRun, Method
from srntt_pipeline.methods.networks import Loaded, OfNetwork, References
from srntt_pipeline.methods.scene import Scene
from srntt_pipeline.models.registry import Inputs
from srntt_pipeline.swaps.matcher import Matcher, matcher_for
from srntt_pipeline.swaps.windowed import swap_features


def network_method(
    name: str,
    network: nn.Module,
    *,
    inputs: Inputs = "lr",
    references: References = "one",
    swaps: SwapParams | None = None,
) -> Method:
    """Return a network of one's own as a method that tables call `name`.

    `network`: maps LR, float32 [1, 3, h, w] in [0, 1], to SR [1, 3, 4h, 4w], about [0, 1]. With
    `inputs` of `images` it takes as a second argument a list of references [1, 3, H, W] in [0, 1]:
    `one` at a time, or as `many` as there are. With `maps` it takes as second and third arguments
    the swapped maps by layer and their weight S*, as a batch of one of `SwappedPairs` holds them;
    they are made by `swaps`. Its weights are copied. Large images are run in tiles where that gives
    the same SR, but with `maps` whole. Raises ValueError for `maps` without `swaps`.
    """
    if inputs != "maps":
        return NetworkAtHand(name, network, inputs, references)
    if swaps is None:
        raise ValueError(
            "a network on maps needs `swaps`, the parameters that its maps are made by"
        )
    return SwappedAtHand(name, network, swaps)


class _Copied:
    """A copy of a network as it is now, on whatever device it is asked for, and a hash of it.

    The hash is of its printed form and weights. Other processes make the devices' copies anew.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
        weights = sha256(safetensors.torch.save(dict(self._network.state_dict())))
        self.sha256 = fingerprint([repr(self._network), weights])
        self._on: dict[str, Loaded] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_on": {}}

    def on(self, device: str) -> Loaded:
        if device not in self._on:
            network = copy.deepcopy(self._network).to(choose_device(device))
            self._on[device] = Loaded(network)
        return self._on[device]

    def parameters(self) -> int:
        return sum(weight.numel() for weight in self._network.parameters())


class NetworkAtHand(OfNetwork):
    """A network on images that is at hand as an object."""

    def __init__(
        self, name: str, network: nn.Module, inputs: Inputs, references: References
    ) -> None:
        self.name, self.inputs, self.references = name, inputs, references
        self.chooses = hasattr(network, "misfit")
        self._network = _Copied(network)

    def identity(self, scene: Scene, reference: str) -> str:
        """Return a hash of the network's printed form and of its weights."""
        return self._network.sha256

    def _loaded(self, device: str) -> Loaded:
        return self._network.on(device)


class SwappedAtHand(Method):
    """A network on LR, swapped maps and their weight, such as one trained on `SwappedPairs`."""

    def __init__(self, name: str, network: nn.Module, swaps: SwapParams) -> None:
        self.name, self._swaps, self._network = name, swaps, _Copied(network)

    def takes(self, reference: str) -> bool:
        """Tell whether it takes the reference: any that names its images."""
        return reference not in (NONE, BEST)

    def identity(self, scene: Scene, reference: str) -> str:
        """Return a hash of the network's printed form, of its weights and of the swaps."""
        return fingerprint([self._network.sha256, self._key(self._matcher(scene))])

    @torch.inference_mode()
    def super_resolve(self, scene: Scene, reference: str) -> RGB:
        """Return SR; networks of the same swaps share correspondences through the scene."""
        images, matcher = scene.images(reference), self._matcher(scene)
        found = scene.share(
            (self._key(matcher), reference), lambda: matcher.match(scene.lr, images)
        )
        swapped = swap_features(found, images, matcher.versions, matcher.encoder)
        lr = to_tensor(scene.lr)[None].to(choose_device(scene.device))
        maps = {layer: values[None] for layer, values in swapped.maps.items()}
        try:
            sr = self._network.on(scene.device).model(lr, maps, swapped.weight[None])[0]
        except RuntimeError as error:
            raise CannotRun(one_line(str(error))) from None
        if not bool(sr.isfinite().all()):
            raise CannotRun(f"{self.name} gives values that are no numbers")
        return to_image(sr)

    def notes(self, device: str) -> list[str]:
        """Return with which encoder its maps are made."""
        matcher = matcher_for(self._swaps, device)
        learnt = f", matched by the maps of {matcher.learnt.identity}" if matcher.learnt else ""
        return [f"{self.name}: swapped maps of {matcher.encoder.identity}{learnt}."]

    def parameters(self) -> int:
        """Return how many weights the network has."""
        return self._network.parameters()

    def _matcher(self, scene: Scene) -> Matcher:
        return matcher_for(self._swaps, scene.device)

    def _key(self, matcher: Matcher) -> str:
        return fingerprint(
            [matcher.encoder.identity.sha256, self._swaps.matched_by, matcher.networks]
        )
