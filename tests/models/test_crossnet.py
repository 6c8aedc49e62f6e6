"""CrossNet against a plain computation, OpenCV's warping and its layers counted by hand."""

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from srntt_pipeline.models import build_model, entry
from srntt_pipeline.models.crossnet import centred, warped
from tests import naive_layers
from tests.naive_networks import Array, convolved, pillows, randomised

SIZES = {"channels": 3, "flow_channels": 4}


def leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.1 * x)


def selu(x: Array) -> Array:
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))


def bilinear(x: Array, flow: Array) -> Array:
    _, height, width = x.shape
    out = np.zeros_like(x)
    for row in range(height):
        for column in range(width):
            across = min(max(column + flow[0, row, column], 0), width - 1)
            down = min(max(row + flow[1, row, column], 0), height - 1)
            left, top = int(across), int(down)
            right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
            a, b = across - left, down - top
            upper = (1 - a) * x[:, top, left] + a * x[:, top, right]
            lower = (1 - a) * x[:, bottom, left] + a * x[:, bottom, right]
            out[:, row, column] = (1 - b) * upper + b * lower
    return out


class Naive:
    """Its layers by name."""

    def __init__(self, state: dict[str, Array]) -> None:
        self.state = state

    def conv(self, name: str, x: Array, stride: int = 1) -> Array:
        made = convolved(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])
        return made[:, ::stride, ::stride]

    def twice(self, name: str, x: Array) -> Array:
        made = naive_layers.transposed(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])
        return made[:, 1:-1, 1:-1]

    def flows(self, sisr: Array, ref: Array) -> list[Array]:
        x, features = np.concatenate([sisr, ref]), [ref]
        for scale in range(6):
            if scale < 2:
                x = leaky(self.conv(f"flow.down.{scale}.0", x, 2))
            else:
                x = leaky(self.conv(f"flow.down.{scale}.0.0", x, 2))
                x = leaky(self.conv(f"flow.down.{scale}.1.0", x))
            features.append(x)
        found = []
        for step in range(6):
            found.append(self.conv(f"flow.heads.{step}", x))
            finer = leaky(self.twice(f"flow.enlarge.{step}.0", x))
            flow = self.twice(f"flow.enlarge_flow.{step}", found[-1])
            x = np.concatenate([features[5 - step], finer, flow])
        x = selu(self.conv("flow.last.1.0", selu(self.conv("flow.last.0.0", x))))
        return [self.conv("flow.last.2", x), found[5], found[4], found[3]]

    def encoded(self, image: Array) -> list[Array]:
        x, found = selu(self.conv("encoder.head.0", image)), []
        for scale, stride in enumerate((1, 2, 2, 2)):
            x = selu(self.conv(f"encoder.scales.{scale}.0", x, stride))
            found.append(x)
        return found

    def image(self, sisr: Array, ref: Array) -> Array:
        moved = map(bilinear, self.encoded(ref), self.flows(sisr, ref))
        own, moved = self.encoded(sisr), list(moved)
        x = np.concatenate([own[3], moved[3]])
        for step in range(3):
            x = selu(self.twice(f"decoder.{step}.0", x))
            x = np.concatenate([x, own[2 - step], moved[2 - step]])
        return self.conv("image", selu(self.conv("fuse.0", x)))


@pytest.mark.parametrize("skip", [False, True])
def test_plain_convolutions_give_the_same(skip: bool) -> None:
    model = build_model("crossnet", {**SIZES, "sisr_skip": skip})
    naive = Naive(randomised(model))
    rng = np.random.default_rng(0)
    lr, ref = rng.random((3, 3, 5)), rng.random((3, 15, 12))
    sisr = np.pad(pillows(lr), ((0, 0), (0, 52), (0, 44)), mode="edge")
    laid = np.pad(ref[:, 1:13], ((0, 0), (0, 0), (4, 4)), mode="edge")
    laid = np.pad(laid, ((0, 0), (0, 52), (0, 44)), mode="edge")
    expected = naive.image(sisr, laid) + skip * sisr
    with torch.no_grad():
        found = model(torch.from_numpy(lr)[None], [torch.from_numpy(ref)[None]])[0].numpy()
        misfit = model.misfit(torch.from_numpy(lr)[None], [torch.from_numpy(ref)[None]])
    np.testing.assert_allclose(found, expected[:, :12, :20], rtol=1e-6, atol=1e-8)
    seen = bilinear(laid, naive.flows(sisr, laid)[0])[:, :12, :20]
    small = F.interpolate(torch.from_numpy(seen)[None], (3, 5), mode="bicubic", antialias=True)
    assert float(misfit) == pytest.approx(float(((small[0].numpy() - lr) ** 2).mean()), rel=1e-6)


@pytest.mark.parametrize("size", [(7, 9), (1, 6), (1, 1)])
def test_features_are_warped_as_opencv_does_it(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((2, *size), np.float32)
    flow = rng.integers(-160, 160, (2, *size)).astype(np.float32) / 32  # OpenCV's steps
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    found = warped(torch.from_numpy(image)[None], torch.from_numpy(flow)[None])[0].numpy()
    for channel, values in zip(found, image, strict=True):
        expected = cv2.remap(
            values, columns + flow[0], rows + flow[1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        np.testing.assert_allclose(channel, expected, atol=2e-6)


def test_a_reference_of_another_size_is_laid_with_its_middle_on_that_of_hr() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4)
    np.testing.assert_array_equal(centred(image, 1, 2)[0, 0], [[5, 6]])
    wide = centred(image, 5, 4)[0, 0]
    np.testing.assert_array_equal(wide, image[0, 0, [0, 0, 1, 2, 2]])
    np.testing.assert_array_equal(centred(image, 3, 4), image)


def by_hand(c: int, f: int) -> int:
    """Weights and biases of its layers, as the authors' code lists them."""
    down = [(6, f, 7), (f, 2 * f, 5), (2 * f, 4 * f, 5), (4 * f, 4 * f, 3), (4 * f, 8 * f, 3),
            (8 * f, 8 * f, 3), (8 * f, 8 * f, 3), (8 * f, 8 * f, 3), (8 * f, 16 * f, 3),
            (16 * f, 16 * f, 3)]  # fmt: skip
    seen = [16 * f, 12 * f + 2, 12 * f + 2, 6 * f + 2, 3 * f + 2, 2 * f + 2]
    heads = [(size, 2, 3) for size in seen] + [(2, 2, 4)] * 6
    up = list(zip(seen, [4 * f, 4 * f, 2 * f, f, f, f], [4] * 6, strict=True))
    last = [(f + 5, f // 4, 7), (f // 4, f // 4, 7), (f // 4, 2, 3)]
    encoder = [(3, c, 5)] + [(c, c, 5)] * 4
    decoder = [(2 * c, c, 4), (3 * c, c, 4), (3 * c, c, 4), (3 * c, c, 5), (c, 3, 5)]
    layers = down + heads + up + last + encoder + decoder
    return sum((given * size**2 + 1) * made for given, made, size in layers)


def test_it_has_the_weights_of_its_layers() -> None:
    for sizes, count in ((SIZES, by_hand(3, 4)), ({}, by_hand(64, 64))):
        with torch.device("meta"):
            model = build_model("crossnet", sizes)
        assert sum(p.numel() for p in model.parameters()) == count
    assert count == 35_081_377
    fed = entry("crossnet")
    assert (fed.row, fed.inputs, fed.references) == ("CrossNet", "images", "one")


def test_the_front_end_is_any_network_on_lr_and_learns_nothing() -> None:
    front = {"model": "srresnet", "sizes": {"channels": 4, "blocks": 1}}  # it has batch norm
    model = build_model("crossnet", {**SIZES, "front": front}).train()
    before = {name: value.clone() for name, value in model.front.state_dict().items()}
    lr, refs = torch.rand(2, 3, 4, 5), [torch.rand(2, 3, 16, 20)]
    optimiser = torch.optim.Adam(model.parameters(), 0.1, weight_decay=0.1)
    model(lr, refs).sum().backward()
    optimiser.step()
    for name, value in model.front.state_dict().items():
        assert torch.equal(value, before[name])
    sisr = model.front(lr)
    assert torch.equal(model._images(lr, refs)[0][..., :16, :20], sisr)
    for name in ("crossnet", "srntt-l2"):
        with pytest.raises(ValueError, match="is not fed with LR alone"):
            build_model("crossnet", {"front": {"model": name, "sizes": {}}})


def test_where_there_is_nothing_to_find_flow_moves_nothing() -> None:
    """Flow is in positions of its scale: with none, Ref's features lie where they were."""
    model = build_model("crossnet", SIZES)
    for head in [*model.flow.heads, *model.flow.enlarge_flow, model.flow.last[2]]:
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    flows = model.flow(torch.rand(1, 3, 64, 128), torch.rand(1, 3, 64, 128))
    assert [tuple(flow.shape[2:]) for flow in flows] == [(64, 128), (32, 64), (16, 32), (8, 16)]
    assert all(not flow.any() for flow in flows)
    hr = torch.rand(1, 3, 16, 20)
    lr = F.interpolate(hr, (4, 5), mode="bicubic", antialias=True)
    assert float(model.misfit(lr, [hr])) < 1e-12 < float(model.misfit(lr, [hr.flip(3)]))
