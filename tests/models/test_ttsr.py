"""TTSR against a plain computation and its layers counted by hand."""

import numpy as np
import pytest
import torch

from srntt_pipeline.maps import LAYERS
from srntt_pipeline.models import build_model, entry
from srntt_pipeline.models.tiling import WHOLE, in_tiles, sight
from tests.models.test_attention import matched, pasted
from tests.naive_networks import Array, Conv, conv_of, cubic, pillows, randomised, relu, shuffled

SIZES = {"channels": 4, "blocks": (2, 1, 2, 1), "texture": (3, 4, 5)}
MEAN, STD = (np.reshape(v, (3, 1, 1)) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def resized(x: Array, scale: float, a: float) -> Array:
    """[C, h, w] made `scale` times as large; edges are repeated, or cut (a=-0.5)."""
    wide = max(1, 1 / scale)
    for axis in (1, 2):
        count = x.shape[axis]
        matrix = np.zeros((round(scale * count), count))
        for row in range(len(matrix)):
            centre = (row + 0.5) / scale - 0.5
            for place in range(int(centre - 2 * wide) - 2, int(centre + 2 * wide) + 3):
                inside = min(max(place, 0), count - 1)
                if a != -0.5 or inside == place:
                    matrix[row, inside] += cubic(np.array((centre - place) / wide), a)
        matrix /= matrix.sum(1, keepdims=True)
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


def larger(x: Array, scale: int) -> Array:
    return resized(x, scale, -0.75) if scale > 1 else x


def pooled(x: Array) -> Array:
    _, height, width = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(len(x), height // 2, 2, width // 2, 2).max((2, 4))


def extracted(conv: Conv, image: Array) -> list[Array]:
    """relu3_1, relu2_1, relu1_1."""
    first = relu(conv("extractor.features.0", (image - MEAN) / STD))
    x = pooled(relu(conv("extractor.features.2", first)))
    second = relu(conv("extractor.features.5", x))
    x = pooled(relu(conv("extractor.features.7", second)))
    return [relu(conv("extractor.features.10", x)), second, first]


def body(conv: Conv, name: str, x: Array, blocks: int) -> Array:
    for block in range(blocks):
        x = x + conv(f"{name}.{block}.body.2", relu(conv(f"{name}.{block}.body.0", x)))
    return conv(f"{name}.{blocks}", x)


def path(conv: Conv, name: str, x: Array, source: int, target: int) -> Array:
    if source < target:
        return relu(conv(f"{name}.1", larger(x, 2 ** (target - source))))
    for step in range(source - target):
        x = relu(conv(f"{name}.{2 * step}", x)[:, ::2, ::2])
    return x


def naive(conv: Conv, lr: Array, refs: list[Array], blocks: tuple[int, ...]) -> Array:
    query = extracted(conv, pillows(lr))[0]
    keys = [extracted(conv, pillows(resized(ref, 0.25, -0.5)))[0] for ref in refs]
    values = [extracted(conv, ref) for ref in refs]
    score, best = matched(query, keys)
    head = relu(conv("head.0", 2 * lr - 1))
    scales = [head + body(conv, "body", head, blocks[0])]
    for stage in range(3):
        name = f"stages.{stage}"
        x = scales[-1]
        if stage:
            x = relu(shuffled(conv(f"{name}.enlarge.0", x)))
        texture = pasted(best, [one[stage] for one in values], 2**stage)
        joined = conv(f"{name}.join", np.concatenate([x, texture]))
        x = x + joined * larger(score[None], 2**stage)
        scales = [*scales, x] if stage else [x]
        inner = scales
        if stage:
            inner = [
                relu(conv(f"{name}.exchange.merge.{target}", np.concatenate([own, *(
                    path(conv, f"{name}.exchange.paths.{source}to{target}", other, source, target)
                    for source, other in enumerate(scales) if source != target
                )])))
                for target, own in enumerate(scales)
            ]  # fmt: skip
        scales = [
            x + body(conv, f"{name}.bodies.{number}", seen, blocks[stage + 1])
            for number, (x, seen) in enumerate(zip(scales, inner, strict=True))
        ]
    merged = [relu(conv(f"merge.{k}.1", larger(scales[k], 4 >> k))) for k in range(2)]
    x = relu(conv("tail.0", np.concatenate([scales[2], *merged])))
    return conv("tail.3", conv("tail.2", x))


@pytest.mark.parametrize("skip", [False, True])
def test_loops_give_the_same(skip: bool) -> None:
    model = build_model("ttsr", {**SIZES, "bicubic_skip": skip})
    conv = conv_of(randomised(model))
    rng = np.random.default_rng(1)
    lr, refs = rng.random((3, 4, 5)), [rng.random((3, 21, 14)), rng.random((3, 8, 19))]
    made = naive(conv, lr, [refs[0][:, :20, :12], refs[1][:, :, :16]], SIZES["blocks"])
    expected = pillows(lr) + made / 2 if skip else (np.clip(made, -1, 1) + 1) / 2
    with torch.no_grad():
        given = [torch.from_numpy(ref)[None] for ref in refs]
        found = model(torch.from_numpy(lr)[None], given)[0].numpy()
    assert found.shape == (3, 16, 20)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def by_hand(c: int, blocks: tuple[int, ...], texture: tuple[int, ...]) -> int:
    a, b, d = texture
    extractor = [(3, a, 3), (a, a, 3), (a, b, 3), (b, b, 3), (b, d, 3)]
    count = blocks[0] + blocks[1] + 2 * blocks[2] + 3 * blocks[3]
    inner = [(c, c, 3)] * (2 * count + 7)  # each body is closed by one
    joins = [(c + d, c, 3), (c + b, c, 3), (c + a, c, 3)]
    enlarge = [(c, 4 * c, 3)] * 2
    two = [(c, c, 1), (c, c, 3)] + [(2 * c, c, 3)] * 2
    three = [(c, c, 1)] * 3 + [(c, c, 3)] * 4 + [(3 * c, c, 3)] * 3
    tail = [(c, c, 1)] * 2 + [(3 * c, c, 3), (c, c // 2, 3), (c // 2, 3, 1)]
    layers = [*extractor, (3, c, 3), *inner, *joins, *enlarge, *two, *three, *tail]
    return sum((given * size**2 + 1) * made for given, made, size in layers)


def test_it_has_the_weights_of_its_layers() -> None:
    papers = {"channels": 64, "blocks": (16, 16, 8, 4), "texture": (64, 128, 256)}
    for sizes, told in ((SIZES, SIZES), ({}, papers)):
        model = build_model("ttsr", sizes)
        count = by_hand(told["channels"], told["blocks"], told["texture"])
        assert sum(p.numel() for p in model.parameters()) == count
    assert count == 6_729_603
    assert sum(p.numel() for p in model.extractor.parameters()) == 555_328
    rows = [(entry(n).row, entry(n).inputs, entry(n).references) for n in ("ttsr", "ttsr-rec")]
    assert rows == [("TTSR", "images", "many"), ("TTSR-rec", "images", "many")]


def test_its_own_maps_have_a_gradient_to_the_images_alone() -> None:
    model = build_model("ttsr", SIZES)
    images = torch.rand(1, 3, 8, 12, requires_grad=True)
    found = model.own_maps(images)
    for layer, expected in model.extractor(images).items():
        assert torch.equal(found[layer], expected)
    sum(values.sum() for values in found.values()).backward()
    assert images.grad.any()
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(("lr", "ref"), [((1, 2), (1, 3)), ((5, 3), (30, 9))])
def test_any_size_and_every_weight_learns(lr: tuple[int, int], ref: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = build_model("ttsr", SIZES)
    made = model.several(torch.rand(2, 3, *lr), [torch.rand(2, 3, *ref)])
    assert made["sr"].shape == (2, 3, 4 * lr[0], 4 * lr[1])
    assert list(made) == ["sr", *LAYERS]
    sum(values.sum() for values in made.values()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_tiles_are_the_whole() -> None:
    torch.manual_seed(0)
    model = build_model("ttsr", {**SIZES, "blocks": (0, 0, 0, 0)}).eval().requires_grad_(False)
    ref = torch.rand(1, 3, 40, 30)

    def run(network: torch.nn.Module, lr: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = network(lr, [ref.to(lr)])
        return made

    found = sight(model, run)
    assert found.reach is not None
    lr = np.random.default_rng(0).integers(0, 256, (61, 57, 3), np.uint8)
    whole = in_tiles(model, run, lr, WHOLE, 0).astype(int)
    tiled = in_tiles(model, run, lr, found, 16)
    assert np.abs(whole - tiled).max() <= 1
