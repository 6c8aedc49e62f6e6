"""A network on swapped maps as a method, against maps made by hand."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.maps import to_image, to_tensor
from srntt_pipeline.methods import CannotRun, Scene, network_method
from srntt_pipeline.methods.checkpoint import of_checkpoint
from srntt_pipeline.models import registry
from srntt_pipeline.swaps import matcher as matchers
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.matcher import matcher_for
from srntt_pipeline.swaps.windowed import swap_features
from tests.tiny_networks import save_as

SWAPS = SwapParams(encoder_weights="random", scales=(1.0, 0.7), rotations_deg=(0.0,))

pytestmark = pytest.mark.usefixtures("one_thread")


class OnMaps(nn.Module):
    """All layers and the weight have a part in SR."""

    def __init__(self, fails=False):
        super().__init__()
        self.scale, self.fails = nn.Parameter(torch.tensor(0.1)), fails

    def forward(self, lr, maps, weight):
        if self.fails:
            raise RuntimeError("no such size")
        large = nn.functional.interpolate(lr * weight, scale_factor=4)
        texture = maps["relu1_1"].mean(1, True) + nn.functional.interpolate(
            maps["relu2_1"].mean(1, True), scale_factor=2
        )
        return large + self.scale * texture * maps["relu3_1"].mean()


@pytest.fixture
def scene(photograph):
    refs = {f"L{k}": photograph[20 * k : 20 * k + 48, 120:180] for k in (1, 2)}
    return Scene(np.ascontiguousarray(photograph[30:42, 130:146]), refs, name="a")


@pytest.mark.parametrize("reference", ["L1", "all", "LR", "stitched"])
def test_it_is_fed_with_the_maps_that_the_swaps_say(scene, reference):
    network = OnMaps()
    method = network_method("Mine", network, inputs="maps", swaps=SWAPS)
    found = method.super_resolve(scene, reference)
    matcher, images = matcher_for(SWAPS, "cpu"), scene.images(reference)
    match = match_images(
        matcher.upscaler(scene.lr), images, matcher.versions, matcher.encoder, max_memory=1 << 30,
        refine="relu3_1",
    )  # fmt: skip
    swapped = swap_features(match, images, matcher.versions, matcher.encoder)
    maps = {layer: values[None] for layer, values in swapped.maps.items()}
    with torch.no_grad():
        expected = network(to_tensor(scene.lr)[None], maps, swapped.weight[None])[0]
    np.testing.assert_array_equal(found, to_image(expected))
    assert method.takes(reference)
    assert method.parameters() == 1


def test_methods_of_the_same_swaps_match_once(scene, monkeypatch):
    calls = []
    match = matchers.Matcher.match
    monkeypatch.setattr(
        matchers.Matcher, "match", lambda *given, **more: calls.append(1) or match(*given, **more)
    )
    for name in ("A", "B"):
        network_method(name, OnMaps(), inputs="maps", swaps=SWAPS).super_resolve(scene, "L1")
    assert len(calls) == 1
    other = SWAPS.model_copy(update={"scales": (1.0,)})
    network_method("C", OnMaps(), inputs="maps", swaps=other).super_resolve(scene, "L1")
    assert len(calls) == 2


def test_weights_and_swaps_decide_the_identity_and_copies_do_not(scene):
    network = OnMaps()
    method = network_method("Mine", network, inputs="maps", swaps=SWAPS)
    identity = method.identity(scene, "L1")
    assert pickle.loads(pickle.dumps(method)).identity(scene, "L1") == identity
    before = method.super_resolve(scene, "L1")
    network.scale.data.fill_(
        0.5
    )  # training goes on: the method is of the weights that it was given
    np.testing.assert_array_equal(method.super_resolve(scene, "L1"), before)
    changed = network_method("Mine", network, inputs="maps", swaps=SWAPS)
    other = SWAPS.model_copy(update={"encoder_seed": 1})
    swapped_otherwise = network_method("Mine", OnMaps(), inputs="maps", swaps=other)
    found = {identity, changed.identity(scene, "L1"), swapped_otherwise.identity(scene, "L1")}
    assert len(found) == 3


def test_what_it_cannot_do_is_told(scene):
    method = network_method("Mine", OnMaps(), inputs="maps", swaps=SWAPS)
    assert not method.takes("none")
    assert not method.takes("best")
    with pytest.raises(CannotRun, match="no such size"):
        network_method("Mine", OnMaps(fails=True), inputs="maps", swaps=SWAPS).super_resolve(
            scene, "L1"
        )
    broken = OnMaps()
    broken.scale.data.fill_(float("nan"))
    with pytest.raises(CannotRun, match="no numbers"):
        network_method("Mine", broken, inputs="maps", swaps=SWAPS).super_resolve(scene, "L1")
    with pytest.raises(ValueError, match="`swaps`"):
        network_method("Mine", OnMaps(), inputs="maps")


def test_a_checkpoint_on_maps_without_stages_is_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    registry.register("on-maps", inputs="maps", row="On maps")(OnMaps)
    path = save_as(tmp_path / "on-maps.safetensors", "on-maps", {})
    told = "on-maps is fed with swapped maps, but has no `extract`.*network_method"
    with pytest.raises(InputError, match=told):
        of_checkpoint(path)
