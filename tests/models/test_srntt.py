import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from srntt_pipeline.models import SRNTT, build_model, entry, model_names
from srntt_pipeline.variants import VARIANTS

LAYERS = {"relu3_1": (256, 1), "relu2_1": (128, 2), "relu1_1": (64, 4)}  # channels, size by LR's


def small(seed: int = 0, **options: object) -> SRNTT:
    torch.manual_seed(seed)
    return SRNTT(**{"channels": 6, "blocks": (2, 3, 2, 1), **options})


def inputs(height: int = 5, width: int = 7, batch: int = 2) -> tuple[Tensor, dict, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def rand(channels: int, scale: int = 1) -> Tensor:
        return torch.rand(batch, channels, height * scale, width * scale, generator=generator)

    maps = {layer: rand(channels, scale) for layer, (channels, scale) in LAYERS.items()}
    return rand(3), maps, rand(1)


def naive(model: SRNTT, lr: Tensor, maps: dict[str, Tensor] | None) -> Tensor:
    """Eq. 4-5 and Figure 3 by plain convolutions, from the network's parameters; before tanh."""
    state = model.state_dict()

    def conv(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def residual(name: str, x: Tensor, blocks: int) -> Tensor:
        for i in range(blocks):
            inner = conv(f"{name}.{i}.body.0", x).clamp_min(0)
            x = x + conv(f"{name}.{i}.body.2", inner)
        return conv(f"{name}.{blocks}", x)

    def twice(name: str, x: Tensor) -> Tensor:
        x = conv(f"{name}.0", x)
        n, channels, height, width = x.shape
        cells = x.view(n, channels // 4, 2, 2, height, width).permute(0, 1, 4, 2, 5, 3)
        return cells.reshape(n, channels // 4, 2 * height, 2 * width).clamp_min(0)

    x = conv("content.head.0", 2 * lr - 1).clamp_min(0)
    x = residual("content.body", x, 2) + x
    if maps is None:
        x = twice("content.sisr_tail.1", twice("content.sisr_tail.0", x))
        return conv("content.sisr_tail.2", x)
    for layer, blocks in zip(LAYERS, (3, 2, 1), strict=True):
        joined = conv(f"transfer.{layer}.head.0", torch.cat([x, maps[layer]], 1)).clamp_min(0)
        x = residual(f"transfer.{layer}.body", joined, blocks) + x
        if layer != "relu1_1":
            x = twice(f"upscale.{layer}", x)
    return conv("tail.1", conv("tail.0", x))


def test_plain_convolutions_give_the_same() -> None:
    model = small()
    lr, maps, weight = inputs()
    with torch.no_grad():
        expected = (torch.tanh(naive(model, lr, maps)) + 1) / 2
        torch.testing.assert_close(model(lr, maps, weight), expected)
        expected = (torch.tanh(naive(model, lr, None)) + 1) / 2
        torch.testing.assert_close(model.sisr(lr), expected)


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (10, 5)])
@pytest.mark.parametrize("bicubic_skip", [False, True])
@pytest.mark.parametrize("weight_maps", [False, True])
@pytest.mark.parametrize("blocks", [(1, 1, 1, 1), (0, 0, 0, 0)])
def test_output_is_4x(
    size: tuple[int, int], bicubic_skip: bool, weight_maps: bool, blocks: tuple[int, ...]
) -> None:
    model = small(blocks=blocks, bicubic_skip=bicubic_skip, weight_maps=weight_maps)
    lr, maps, weight = inputs(*size)
    for sr in (model(lr, maps, weight), model.sisr(lr)):
        assert sr.shape == (2, 3, 4 * size[0], 4 * size[1])
        assert bicubic_skip or 0 <= sr.min() <= sr.max() <= 1


@pytest.mark.parametrize("phase", ["sisr", "transfer"])
def test_gradient_reaches_what_the_phase_uses(phase: str) -> None:
    model = small()
    lr, maps, weight = inputs()
    (model.sisr(lr) if phase == "sisr" else model(lr, maps, weight)).square().mean().backward()
    for name, parameter in model.named_parameters():
        tail = name.startswith("content.sisr_tail")
        used = tail or name.startswith("content") if phase == "sisr" else not tail
        reached = parameter.grad is not None and bool(parameter.grad.any())
        assert reached == used, name


def test_bicubic_skip_starts_from_pillows_bicubic() -> None:
    model = small(bicubic_skip=True)
    for tail in (model.tail[-1], model.content.sisr_tail[-1]):
        torch.nn.init.zeros_(tail.weight)
        torch.nn.init.zeros_(tail.bias)
    lr = np.random.default_rng(0).integers(64, 192, (6, 9, 3), np.uint8)  # none overshoots
    size, bicubic = (36, 24), Image.Resampling.BICUBIC
    exact = [Image.fromarray(lr[..., c].astype(np.float32)).resize(size, bicubic) for c in range(3)]
    eight_bit = np.asarray(Image.fromarray(lr).resize(size, bicubic)).transpose(2, 0, 1)
    _, maps, weight = inputs(6, 9, batch=1)
    tensor = torch.from_numpy(lr).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        for sr in (model(tensor, maps, weight), model.sisr(tensor)):
            np.testing.assert_allclose(255 * sr[0].numpy(), np.array(exact), atol=1e-3)
            np.testing.assert_allclose(255 * sr[0].numpy(), eight_bit, atol=1.2)


def test_weight_maps_of_zero_and_one() -> None:
    model = small(weight_maps=True)
    lr, maps, weight = inputs()
    other = {layer: torch.rand_like(values) for layer, values in maps.items()}
    nothing = torch.zeros_like(weight)
    assert torch.equal(model(lr, maps, nothing), model(lr, other, nothing))
    assert not torch.equal(model(lr, maps, weight), model(lr, other, weight))
    plain = small()
    assert torch.equal(model(lr, maps, torch.ones_like(weight)), plain(lr, maps, weight))
    assert torch.equal(plain(lr, maps, weight), plain(lr, maps, nothing))


def test_weight_maps_weigh_the_cells_of_each_position() -> None:
    lr, maps, weight = inputs()
    cells = {
        layer: values * weight.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        for (layer, values), (_, scale) in zip(maps.items(), LAYERS.values(), strict=True)
    }
    expected = small()(lr, cells, weight)
    torch.testing.assert_close(small(weight_maps=True)(lr, maps, weight), expected)


def test_map_scales_bring_maps_to_unit_deviation() -> None:
    lr, maps, weight = inputs()
    deviations = {"relu3_1": 50.0, "relu2_1": 8.0, "relu1_1": 0.0}  # 0: maps of zeros, left so
    model = small()
    model.set_map_scales(deviations)
    divided = {layer: values / (deviations[layer] or 1) for layer, values in maps.items()}
    torch.testing.assert_close(model(lr, maps, weight), small()(lr, divided, weight))
    copy = small(seed=5)
    copy.load_state_dict(model.state_dict())
    assert torch.equal(copy(lr, maps, weight), model(lr, maps, weight))


def test_parameter_count_of_the_papers_sizes() -> None:
    def conv(channels_in: int, channels_out: int) -> int:
        return 9 * channels_in * channels_out + channels_out

    inner, double = conv(64, 64), conv(64, 256)
    content = conv(3, 64) + (2 * 16 + 1) * inner
    sisr_tail = 2 * double + conv(64, 3)
    transfer = sum(
        conv(64 + maps, 64) + (2 * blocks + 1) * inner
        for maps, blocks in ((256, 16), (128, 8), (64, 4))
    )
    tail = conv(64, 32) + conv(32, 3)
    expected = content + sisr_tail + transfer + 2 * double + tail
    assert sum(p.numel() for p in SRNTT().parameters()) == expected == 4_379_910


def test_registry() -> None:
    assert {"sisr", "edsr", *VARIANTS} <= set(model_names())
    assert (entry("sisr").inputs, entry("sisr").row) == ("lr", "SISR")
    for name, variant in VARIANTS.items():
        assert (entry(name).inputs, entry(name).row) == ("maps", variant.method)
    model = build_model("srntt-l2", {"channels": 4, "blocks": (1, 0, 0, 0), "bicubic_skip": True})
    assert isinstance(model, SRNTT)
    assert model.bicubic_skip
    assert model.tail[0].in_channels == 4
    for look in (entry, lambda name: build_model(name, {})):
        with pytest.raises(KeyError):
            look("esrgan")
