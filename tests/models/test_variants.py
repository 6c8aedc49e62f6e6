"""Networks that transfer texture on some layers only (Table 3), and batch norm."""

import pytest
import torch
from torch import nn

from srntt_pipeline.models import SRNTT, build_model
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


def test_the_papers_names_are_in_its_tables() -> None:
    from pathlib import Path

    table = Path(__file__).parents[2] / "manifests" / "paper_tables.csv"
    names = {line.split(",")[1] for line in table.read_text().splitlines()}
    assert {variant.method for variant in VARIANTS.values()} <= names
