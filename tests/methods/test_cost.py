import sys

import numpy as np
import pytest

from srntt_pipeline.methods import Scene
from srntt_pipeline.methods.bicubic import Bicubic
from srntt_pipeline.methods.checkpoint import of_checkpoint
from srntt_pipeline.methods.cost import measure_cost
from srntt_pipeline.methods.method import Method
from tests.tiny_networks import save_as

LR = np.zeros((24, 30, 3), np.uint8)


def test_multiply_adds_and_weights_are_those_of_the_convolutions(tmp_path):
    """By hand, for each LR pixel: 3×3 convolutions at LR size, at ×2 and at ×4."""
    channels = 6
    path = save_as(tmp_path / "sisr.safetensors", "sisr", {"channels": channels, "blocks": 2})
    cost = measure_cost(of_checkpoint(path), Scene(LR), "none")
    at_lr = 3 * channels + 2 * 2 * channels**2 + channels**2
    up = 4 * channels**2 * (1 + 4)
    expected = 9 * (at_lr + up + 16 * 3 * channels)
    assert cost.multiply_adds_per_pixel == pytest.approx(expected / 16, abs=0.1)
    layers = [(3, channels), *[(channels, channels)] * 5, *[(channels, 4 * channels)] * 2]
    weights = sum(9 * a * b + b for a, b in [*layers, (channels, 3)])
    assert cost.parameters == weights
    assert cost.seconds_per_image > 0
    assert cost.cost_device.endswith("thread") or cost.cost_device.endswith("threads")


def test_what_has_no_network_has_no_weights():
    cost = measure_cost(Bicubic(), Scene(LR), "none")
    assert (cost.parameters, cost.multiply_adds_per_pixel) == (None, None)


class Hungry(Method):
    """It touches 200 MB."""

    name = "Hungry"

    def super_resolve(self, scene, reference):
        np.ones(200 << 20, np.uint8).sum()
        return scene.bicubic()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
def test_memory_is_the_peak_above_what_was_held():
    cost = measure_cost(Hungry(), Scene(LR), "none")
    if cost.peak_memory_mib is None:
        pytest.skip("this system does not let a process watch its peak")
    assert 195 <= cost.peak_memory_mib <= 260
    assert measure_cost(Bicubic(), Scene(LR), "none").peak_memory_mib < 20
