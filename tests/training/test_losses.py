"""The losses against direct float64 computations, on the features of real images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.maps import CELLS, LAYERS
from srntt_pipeline.models.critic import Critic
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.training.features import INDEX, LossFeatures, load_features
from srntt_pipeline.training.losses import (
    adversarial_loss,
    charbonnier_loss,
    critic_loss,
    perceptual_loss,
    reconstruction_loss,
    squared_perceptual_loss,
    squared_texture_loss,
    texture_loss,
)

CPU = torch.device("cpu")
Batch = dict[str, Tensor]


@pytest.fixture(scope="module")
def batch(folder: Path) -> Batch:
    """Two real pairs: LR↑ as SR and HR, in [-1, 1], with swapped maps and S*."""
    data = SwappedPairs(
        read_train_pairs(folder)[:2], Shards(folder / "swaps"), load_encoder("random", 0, CPU)
    )
    pairs = [data[i] for i in range(2)]
    up = [F.interpolate(p["lr"][None], scale_factor=4, mode="bicubic")[0] for p in pairs]
    return {
        "sr": 2 * torch.stack(up) - 1,
        "hr": 2 * torch.stack([p["hr"] for p in pairs]) - 1,
        "weight": torch.stack([p["weight"] for p in pairs]),
        **{layer: torch.stack([p["maps"][layer] for p in pairs]) for layer in LAYERS},
    }


@pytest.fixture(scope="module")
def features(folder: Path) -> LossFeatures:
    return load_features(Shards(folder / "swaps"), None, INDEX, CPU)


def test_reconstruction(batch: Batch) -> None:
    sr, hr = (batch[name].double().numpy() for name in ("sr", "hr"))
    l1 = reconstruction_loss(batch["sr"], batch["hr"], "l1")
    mse = reconstruction_loss(batch["sr"], batch["hr"], "mse")
    assert float(l1) == pytest.approx(np.abs(sr - hr).mean(), rel=1e-5)
    assert float(mse) == pytest.approx(((sr - hr) ** 2).mean(), rel=1e-5)


def test_charbonnier(batch: Batch) -> None:
    sr, hr = (batch[name].double().numpy() for name in ("sr", "hr"))
    expected = np.sqrt((sr - hr) ** 2 + 0.01**2).mean()
    assert float(charbonnier_loss(batch["sr"], batch["hr"], 0.01)) == pytest.approx(expected)


@pytest.mark.parametrize("layer", ["relu5_1", "relu2_1"])
def test_perceptual_is_equation_8(batch: Batch, features: LossFeatures, layer: str) -> None:
    sr, hr = (features(batch[name])[layer] for name in ("sr", "hr"))
    expected = []
    for one, other in zip(sr.double().numpy(), hr.double().numpy(), strict=True):
        norms = 0.0
        for i in range(len(one)):
            norms += np.sqrt(sum((one[i].ravel() - other[i].ravel()) ** 2))
        expected.append(norms / one.size)
    assert float(perceptual_loss(sr, hr)) == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("layer", ["relu5_1", "relu2_1"])
def test_perceptual_of_the_released_code(batch: Batch, features: LossFeatures, layer: str) -> None:
    sr, hr = (features(batch[name])[layer] for name in ("sr", "hr"))
    ours = 255 * np.mean([0.229, 0.224, 0.225])
    total = 0.0
    for one, other in zip(sr.double().numpy().ravel(), hr.double().numpy().ravel(), strict=True):
        total += (ours * one - ours * other) ** 2
    assert float(squared_perceptual_loss(sr, hr)) == pytest.approx(total / sr.numel(), rel=1e-5)


@pytest.mark.parametrize("layers", [LAYERS, ("relu2_1",), ("relu2_1", "relu1_1")])
@pytest.mark.parametrize("form", ["paper", "released"])
def test_texture_is_equation_6(
    batch: Batch, features: LossFeatures, layers: tuple, form: str
) -> None:
    found = features(batch["sr"])
    ours = 255 * np.mean([0.229, 0.224, 0.225])
    expected = []
    for n in range(2):
        total = 0.0
        for layer in layers:
            cells = np.ones((CELLS[layer], CELLS[layer]))
            weight = np.kron(batch["weight"][n, 0].double().numpy(), cells)
            grams = []
            for maps in (found[layer][n], batch[layer][n]):
                weighted = maps.double().numpy() * weight
                gram = np.zeros((len(weighted),) * 2)
                for y in range(weighted.shape[1]):
                    for x in range(weighted.shape[2]):
                        gram += np.outer(weighted[:, y, x], weighted[:, y, x])
                grams.append(gram)
            size = batch[layer][n].numel()
            if form == "paper":
                total += np.sqrt(((grams[0] - grams[1]) ** 2).sum()) / size
            else:
                squares = (ours**2 * grams[0] - ours**2 * grams[1]) ** 2
                total += squares.mean() / 4 / size**2
        expected.append(total)
    maps = {layer: batch[layer] for layer in layers}
    loss = (texture_loss if form == "paper" else squared_texture_loss)(found, maps, batch["weight"])
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-4)


def test_texture_ignores_what_has_no_weight(batch: Batch, features: LossFeatures) -> None:
    maps = {layer: batch[layer] for layer in LAYERS}
    found, nothing = features(batch["sr"]), torch.zeros_like(batch["weight"])
    assert float(texture_loss(found, maps, nothing)) == 0


class Small(nn.Module):
    """A critic that is not linear, in float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 1))
        self.double()

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images)[:, 0]


def test_critic_loss_and_penalty_by_finite_differences(batch: Batch) -> None:
    critic = Small()
    sr, hr = (batch[name][:, :, 20:26, 20:26].double() for name in ("sr", "hr"))
    mix = torch.tensor([0.25, 0.9], dtype=torch.float64)
    distance, penalty = critic_loss(critic, sr, hr, mix)
    with torch.no_grad():
        judged = [[float(critic(image[None])) for image in images] for images in (sr, hr)]
        assert float(distance) == pytest.approx(np.mean(judged[0]) - np.mean(judged[1]), rel=1e-9)
        expected, step = [], 1e-5
        for n in range(2):
            x = mix[n] * hr[n] + (1 - mix[n]) * sr[n]
            moves = step * torch.eye(x.numel(), dtype=torch.float64).view(-1, *x.shape)
            slope = (critic(x + moves) - critic(x - moves)).numpy() / (2 * step)
            expected.append((np.sqrt((slope**2).sum()) - 1) ** 2)
        assert float(penalty) == pytest.approx(np.mean(expected), rel=1e-6)
        judge = adversarial_loss(critic, sr)
        assert float(judge) == pytest.approx(-np.mean(judged[0]), rel=1e-9)


def test_the_penalty_reaches_the_critic_and_not_the_network(batch: Batch) -> None:
    critic = Critic(64, 4)
    sr = batch["sr"].clone().requires_grad_()
    distance, penalty = critic_loss(critic, sr, batch["hr"], torch.rand(2))
    (distance + 10 * penalty).backward()
    assert sr.grad is None
    assert all(p.grad is not None for p in critic.parameters())


def equal(values: Tensor) -> Tensor:
    return values.clone()


def half_equal(values: Tensor) -> Tensor:
    changed = values.clone()
    changed[:, ::2] = 0
    return changed


@pytest.mark.parametrize("change", [equal, half_equal])
def test_channels_without_difference_have_a_finite_gradient(
    batch: Batch, change: Callable[[Tensor], Tensor]
) -> None:
    maps = change(batch["relu3_1"]).requires_grad_()
    loss = perceptual_loss(maps, batch["relu3_1"])
    loss = loss + texture_loss({"l": maps}, {"l": batch["relu3_1"]}, batch["weight"])
    loss.backward()
    assert bool(maps.grad.isfinite().all())


def test_features_are_the_encoders_and_torchvisions(batch: Batch, features: LossFeatures) -> None:
    found, images = features(batch["hr"]), (batch["hr"] + 1) / 2
    encoder = load_encoder("random", 0, CPU)
    for layer, maps in encoder(images).items():
        assert (found[layer] - maps).norm() < 1e-5 * maps.norm()  # the encoder's are Winograd's
    whole = make_layers(cfgs["E"])
    state = features.features.state_dict()
    whole.load_state_dict({k: state.get(k, v) for k, v in whole.state_dict().items()})
    # conv5_1 is the thirteenth convolution.
    convolutions = [i for i, layer in enumerate(whole) if isinstance(layer, nn.Conv2d)]
    deep = whole[: convolutions[12] + 2]((images - encoder.mean) / encoder.std)
    torch.testing.assert_close(found["relu5_1"], deep)
    assert found["relu5_1"].shape == (2, 512, 4, 4)


def test_a_file_that_ends_before_the_layer_is_told_before_training(
    shared: Path, folder: Path, tmp_path: Path
) -> None:
    from srntt_pipeline.config import SwapParams
    from srntt_pipeline.swaps.precompute import precompute_swaps

    weights = shared / "weights" / "vgg19_relu3_1.pth"
    params = SwapParams(encoder_weights=str(weights), scales=(1.0,), rotations_deg=(0.0,))
    precompute_swaps(folder, tmp_path, params, workers=1, device="cpu")
    shards = Shards(tmp_path)
    with pytest.raises(InputError, match=r"ends before relu5_1.*perceptual_layer to relu3_1") as e:
        load_features(shards, None, ("relu1_1", "relu5_1"), CPU)
    assert "\n" not in str(e.value)
    assert str(weights) in str(e.value)
    image = torch.rand(1, 3, 32, 32)
    assert load_features(shards, None, ["relu3_1"], CPU)(image)["relu3_1"].shape[1] == 256


def test_critic_is_the_papers(shared: Path) -> None:
    critic = Critic(160)
    wide = [m for m in critic.features if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.stride[0]) for m in wide] == [
        (3, 32, 1), (32, 32, 2), (32, 64, 1), (64, 64, 2), (64, 128, 1), (128, 128, 2),
        (128, 256, 1), (256, 256, 2), (256, 512, 1), (512, 512, 2),
    ]  # fmt: skip
    assert [m.out_features for m in critic.head if isinstance(m, nn.Linear)] == [1024, 1]
    kinds = {type(m) for m in critic.modules()}
    assert not kinds & {nn.BatchNorm2d, nn.Sigmoid}
    image = Image.open(next((shared / "data" / "cufed" / "train" / "input").glob("*.png")))
    pixels = torch.from_numpy(np.array(image.crop((0, 0, 160, 160)))).permute(2, 0, 1) / 127.5 - 1
    # One sample's judgement does not depend on the others', as the gradient penalty needs.
    with torch.no_grad():
        both = critic(torch.stack([pixels, -pixels]))
        torch.testing.assert_close(both[:1], critic(pixels[None]))


@pytest.mark.parametrize("side", [16, 20, 80, 164])
def test_critic_takes_patches_of_any_side(side: int) -> None:
    assert Critic(side, 2)(torch.zeros(2, 3, side, side)).shape == (2,)
