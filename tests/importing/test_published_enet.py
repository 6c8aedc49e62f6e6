"""ENet's published weights: read, and what they make of an image."""

from pathlib import Path

import leveldb
import numpy as np
import pytest
import torch
from PIL import Image

from srntt_pipeline.errors import InputError
from srntt_pipeline.importing import IMPORTERS, Weights
from srntt_pipeline.maps import to_image, to_tensor
from srntt_pipeline.models import build_model


@pytest.fixture(scope="module")
def weights(shared: Path) -> Weights:
    return IMPORTERS["enet"].read(shared / "weights" / "published" / "enet" / "weights")


def test_the_published_file_is_read(weights: Weights) -> None:
    assert sum(values.size for values in weights.arrays.values()) == 852_867
    model = build_model(*weights.recipe.network())
    state = {name: torch.from_numpy(values) for name, values in weights.arrays.items()}
    model.load_state_dict(state)
    assert weights.recipe.network() == (
        "enet", {"channels": 64, "blocks": 10, "architecture": "released"},
    )  # fmt: skip


def test_its_image_is_sharper_than_bicubic_and_of_the_same_colour(
    weights: Weights, shared: Path
) -> None:
    hr = Image.open(shared / "data" / "urban100" / "img_092.png").convert("RGB")
    hr = hr.crop((200, 160, 392, 352))
    lr = hr.resize((48, 48), Image.Resampling.LANCZOS)  # its authors' LR
    model = build_model(*weights.recipe.network())
    model.load_state_dict({n: torch.from_numpy(v) for n, v in weights.arrays.items()})
    with torch.no_grad():
        sr = to_image(model(to_tensor(np.asarray(lr))[None])[0]).astype(float)
    bicubic = np.asarray(lr.resize(hr.size, Image.Resampling.BICUBIC)).astype(float)
    truth = np.asarray(hr).astype(float)

    def slopes(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean())

    def error(image: np.ndarray) -> float:
        return float(((image - truth)[8:-8, 8:-8] ** 2).mean())

    assert slopes(sr) > 1.2 * slopes(bicubic)
    assert np.abs((sr - truth).mean((0, 1))).max() < 2  # grey levels
    # With LR↑ of other interpolations, 1.5 px away, it has no gain.
    assert error(sr) < 0.8 * error(bicubic)


def test_a_file_of_another_network_is_told(tmp_path: Path) -> None:
    path = leveldb.write(tmp_path / "weights", {"generator/Conv/weights": np.zeros(3, np.float32)})
    with pytest.raises(InputError) as caught:
        IMPORTERS["enet"].read(path)
    assert str(caught.value) == (
        f"{path}: generator/Conv/biases is missing: not ENet as its authors saved it"
    )
