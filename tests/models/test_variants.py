"""Networks that transfer texture on some layers only (Table 3), batch norm, architectures."""

from typing import Any

import pytest
import torch
from torch import nn

from srntt_pipeline.errors import InputError
from srntt_pipeline.models import SISR, SRNTT, build_model
from srntt_pipeline.recipes import Recipe, get_recipe
from srntt_pipeline.sections import validate
from srntt_pipeline.variants import VARIANTS

CHANNELS = {"relu3_1": (256, 1), "relu2_1": (128, 2), "relu1_1": (64, 4)}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=list(VARIANTS))
def test_only_the_variants_layers_change_the_image(variant) -> None:
    torch.manual_seed(0)
    model = build_model(
        variant.name, {"channels": 4, "blocks": (1, 1, 1, 1), "layers": variant.layers}
    )
    maps = {k: torch.rand(1, c, 5 * r, 6 * r) for k, (c, r) in CHANNELS.items()}
    lr, weight = torch.rand(1, 3, 5, 6), torch.rand(1, 1, 5, 6)
    sr = model(lr, maps, weight)
    assert sr.shape == (1, 3, 20, 24)
    for layer in CHANNELS:
        changed = model(lr, {**maps, layer: torch.rand_like(maps[layer])}, weight)
        assert torch.equal(changed, sr) == (layer not in variant.layers)


def test_unknown_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="relu9_1"):
        SRNTT(4, (1, 1, 1, 1), layers=("relu9_1",))


def test_batch_norm_is_after_both_convolutions_of_each_block() -> None:
    model = SRNTT(4, (2, 1, 1, 1), batch_norm=True)
    kinds = [type(layer) for layer in model.content.body[0].body]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.BatchNorm2d]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == 2 * (2 + 1 + 1 + 1)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in SRNTT(4).modules())


def weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_released_architecture_has_the_released_codes_weights() -> None:
    norm, inner = 2 * 64, 9 * 64 * 64  # γ and β; no bias before them

    def body(blocks: int) -> int:
        return (2 * blocks + 1) * (inner + norm)

    def conv(channels_in: int, channels_out: int, size: int = 3) -> int:
        return (size**2 * channels_in + 1) * channels_out

    double = conv(64, 256)
    sisr = conv(3, 64) + body(16) + 2 * double + conv(64, 3, 1)
    transfer = sum(
        conv(64 + maps, 64) + body(blocks) for maps, blocks in ((256, 16), (128, 8), (64, 4))
    )
    srntt = sisr + transfer + 2 * double + conv(64, 32) + conv(32, 3, 1)
    assert weights(SISR(architecture="released")) == sisr == 1_518_147
    assert weights(SRNTT(architecture="released")) == srntt == 4_383_494
    # Without the tail by which the content extractor alone makes an image.
    assert srntt - 2 * double - conv(64, 3, 1) == 4_087_875


def test_the_released_architecture_has_batch_norm_after_each_convolution_of_a_body() -> None:
    model = SRNTT(4, (2, 1, 1, 1), architecture="released")
    for body, blocks in ((model.content.body, 2), (model.transfer["relu1_1"].body, 1)):
        kinds = [type(layer) for layer in body[0].body]
        assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.BatchNorm2d]
        assert [type(layer) for layer in body[blocks:]] == [nn.Conv2d, nn.BatchNorm2d]
        convolutions = [layer for layer in body.modules() if isinstance(layer, nn.Conv2d)]
        assert all(layer.bias is None for layer in convolutions)
    assert (model.tail[1].kernel_size, model.content.sisr_tail[2].kernel_size) == ((1, 1), (1, 1))
    norm = model.content.body[2 + 1]
    assert (norm.eps, norm.momentum) == (1e-5, 0.1)  # TensorFlow's decay of 0.9


@pytest.mark.parametrize("recipe", ["sisr", "srntt"])
def test_a_recipe_makes_the_architecture_that_it_names(recipe: str) -> None:
    sizes: dict[str, Any] = {"channels": 4, "blocks": 1 if recipe == "sisr" else (1, 1, 1, 1)}
    made = get_recipe(recipe)(**sizes, architecture="released").network()
    assert build_model(*made).state_dict().keys() > {"content.body.2.running_mean"}
    assert get_recipe(recipe)(**sizes).network()[1]["architecture"] == "paper"


@pytest.mark.parametrize("recipe", ["sisr", "srntt"])
def test_batch_norm_twice_is_refused(recipe: str) -> None:
    section: type[Recipe] = get_recipe(recipe)
    with pytest.raises(InputError, match="leave batch_norm out") as caught:
        validate(section, {"architecture": "released", "batch_norm": True}, "options")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="leave batch_norm out"):
        build_model("sisr", {"architecture": "released", "batch_norm": True})
    with pytest.raises(ValueError, match="neither paper nor released"):
        SRNTT(4, (1, 1, 1, 1), architecture="ours")


def test_the_papers_names_are_in_its_tables() -> None:
    from pathlib import Path

    table = Path(__file__).parents[2] / "manifests" / "paper_tables.csv"
    names = {line.split(",")[1] for line in table.read_text().splitlines()}
    assert {variant.method for variant in VARIANTS.values()} <= names
