"""State dicts of others' implementations: their networks, in NumPy, make the same image."""

from collections.abc import Callable, Mapping
from pathlib import Path

import hostile
import numpy as np
import pytest
import torch

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.errors import InputError
from srntt_pipeline.import_weights import import_weights
from tests.naive_networks import Array, conv_of, convolved, normed, prelu, relu, shuffled

MEAN = np.reshape((0.4488, 0.4371, 0.4040), (3, 1, 1))
LR = np.random.default_rng(1).random((3, 4, 5))
Made = Callable[[Mapping[str, Array]], Array]


class State:
    """A state dict with random values, by others' names."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.tensors: dict[str, torch.Tensor] = {}

    def add(self, name: str, values: Array) -> None:
        self.tensors[name] = torch.from_numpy(values.astype(np.float32))

    def conv(self, name: str, inside: int, outside: int, size: int = 3, bias: bool = True) -> None:
        scale = (inside * size**2) ** -0.5
        self.add(f"{name}.weight", scale * self.rng.standard_normal((outside, inside, size, size)))
        if bias:
            self.add(f"{name}.bias", self.rng.standard_normal(outside))

    def norm(self, name: str, channels: int) -> None:
        for own in ("weight", "bias", "running_mean", "running_var"):
            self.add(f"{name}.{own}", self.rng.uniform(0.5, 1.5, channels))
        self.tensors[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def arrays(self) -> dict[str, Array]:
        return {name: value.double().numpy() for name, value in self.tensors.items()}


def shift(state: State, name: str, sign: int) -> None:
    state.add(f"{name}.weight", np.eye(3).reshape(3, 3, 1, 1))
    state.add(f"{name}.bias", sign * 255 * MEAN.ravel())


def shifted(state: Mapping[str, Array], name: str, x: Array) -> Array:
    return convolved(x, state[f"{name}.weight"], state[f"{name}.bias"])


def edsr_state(channels: int = 4, blocks: int = 2) -> State:
    state = State()
    shift(state, "sub_mean", -1)
    shift(state, "add_mean", 1)
    state.conv("head.0", 3, channels)
    for block in range(blocks):
        for place in (0, 2):
            state.conv(f"body.{block}.body.{place}", channels, channels)
    state.conv(f"body.{blocks}", channels, channels)
    for place in (0, 2):
        state.conv(f"tail.0.{place}", channels, 4 * channels)
    state.conv("tail.1", channels, 3)
    return state


def edsr_image(state: Mapping[str, Array]) -> Array:
    """EDSR in 0…255, as its authors' code has it."""
    conv = conv_of(state)
    x = head = conv("head.0", shifted(state, "sub_mean", 255 * LR))
    for block in range(2):
        x = x + conv(f"body.{block}.body.2", relu(conv(f"body.{block}.body.0", x)))
    x = conv("body.2", x) + head
    x = conv("tail.1", shuffled(conv("tail.0.2", shuffled(conv("tail.0.0", x)))))
    return shifted(state, "add_mean", x) / 255


def basicsr_state() -> State:
    """The same network by BasicSR's names, in one of the dicts that its files have."""
    names = {"head.0": "conv_first", "body.2": "conv_after_body", "tail.1": "conv_last"}
    names |= {f"tail.0.{place}": f"upsample.{place}" for place in (0, 2)}
    names |= {f"body.{b}.body.{p}": f"body.{b}.conv{p // 2 + 1}" for b in (0, 1) for p in (0, 2)}
    state = State()
    for name, value in edsr_state().tensors.items():
        layer, _, own = name.rpartition(".")
        if "mean" not in layer:
            state.tensors[f"{names[layer]}.{own}"] = value
    return state


def mdsr_state(scales: tuple[int, ...] = (2, 3, 4)) -> State:
    state, channels = State(), 4
    shift(state, "sub_mean", -1)
    shift(state, "add_mean", 1)
    state.conv("head.0", 3, channels)
    for number, scale in enumerate(scales):
        for block in (0, 1):
            for place in (0, 2):
                state.conv(f"pre_process.{number}.{block}.body.{place}", channels, channels, 5)
        for place in (0, 2) if scale == 4 else (0,):
            steps = 9 if scale == 3 else 4
            state.conv(f"upsample.{number}.{place}", channels, steps * channels)
    for place in (0, 2):
        state.conv(f"body.0.body.{place}", channels, channels)
    state.conv("body.1", channels, channels)
    state.conv("tail.0", channels, 3)
    return state


def mdsr_image(state: Mapping[str, Array], number: int = 2, scale: int = 4) -> Array:
    conv = conv_of(state)
    x = conv("head.0", shifted(state, "sub_mean", 255 * LR))
    for block in (0, 1):
        name = f"pre_process.{number}.{block}.body"
        x = x + conv(f"{name}.2", relu(conv(f"{name}.0", x)))
    before = x
    x = x + conv("body.0.body.2", relu(conv("body.0.body.0", x)))
    x = conv("body.1", x) + before
    for place in (0, 2) if scale == 4 else (0,):
        x = shuffled(conv(f"upsample.{number}.{place}", x), 3 if scale == 3 else 2)
    return shifted(state, "add_mean", conv("tail.0", x)) / 255


def srresnet_state(older: bool = False) -> State:
    state, channels = State(), 4
    outer = "conv_block{}" if older else "conv{}"
    state.conv(outer.format(1) + ".0", 3, channels, 9)
    state.add(outer.format(1) + ".1.weight", np.array([0.2]))
    for block in range(2):
        for place in (0, 3):
            state.conv(f"trunk.{block}.rcb.{place}", channels, channels, bias=False)
            state.norm(f"trunk.{block}.rcb.{place + 1}", channels)
        state.add(f"trunk.{block}.rcb.2.weight", np.array([0.3]))
    state.conv(outer.format(2) + ".0", channels, channels, bias=False)
    state.norm(outer.format(2) + ".1", channels)
    for number in range(2):
        state.conv(f"upsampling.{number}.upsample_block.0", channels, 4 * channels)
        state.add(f"upsampling.{number}.upsample_block.2.weight", np.array([0.1]))
    state.conv(outer.format(3), channels, 3, 9)
    return state


def srresnet_image(state: Mapping[str, Array]) -> Array:
    state = {name.replace("conv_block", "conv"): value for name, value in state.items()}
    conv = conv_of(state)
    x = head = prelu(conv("conv1.0", LR), state["conv1.1.weight"])
    for block in range(2):
        name = f"trunk.{block}.rcb"
        inner = normed(conv(f"{name}.0", x), state, f"{name}.1")
        inner = conv(f"{name}.3", prelu(inner, state[f"{name}.2.weight"]))
        x = x + normed(inner, state, f"{name}.4")
    x = head + normed(conv("conv2.0", x), state, "conv2.1")
    for number in range(2):
        name = f"upsampling.{number}.upsample_block"
        x = prelu(shuffled(conv(f"{name}.0", x)), state[f"{name}.2.weight"])
    return conv("conv3", x)


def edsr_of_basicsr(_: Mapping[str, Array]) -> Array:
    return edsr_image(edsr_state().arrays())


@pytest.mark.parametrize(
    ("method", "state", "image"),
    [
        ("edsr", edsr_state, edsr_image),
        ("edsr", basicsr_state, edsr_of_basicsr),
        ("mdsr", mdsr_state, mdsr_image),
        ("srresnet", srresnet_state, srresnet_image),
        ("srgan", lambda: srresnet_state(older=True), srresnet_image),
    ],
    ids=["edsr", "edsr of BasicSR", "mdsr", "srresnet", "srgan"],
)
@pytest.mark.parametrize("within", ["", "params", "state_dict"])
def test_the_image_is_that_of_the_other_code(
    tmp_path: Path, method: str, state: Callable[[], State], image: Made, within: str
) -> None:
    made = state()
    path = tmp_path / "weights.pth"
    torch.save({within: made.tensors, "epoch": 7} if within else made.tensors, path)
    model = load_checkpoint(import_weights(method, [path], tmp_path / "out")).model.double()
    found = model(torch.from_numpy(LR)[None])[0].numpy()
    expected = image(made.arrays())
    # Kernels times 255, or by it, are rounded to float32.
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_mdsr_has_each_scale(tmp_path: Path) -> None:
    made = mdsr_state((4, 3))
    torch.save({f"module.{name}": value for name, value in made.tensors.items()}, tmp_path / "w.pt")
    checkpoint = load_checkpoint(import_weights("mdsr", [tmp_path / "w.pt"], tmp_path / "out"))
    assert tuple(checkpoint.info.sizes["scales"]) == (4, 3)
    found = checkpoint.model.double()(torch.from_numpy(LR)[None], 3)[0].numpy()
    expected = mdsr_image(made.arrays(), 1, 3)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_values_of_0_to_1_and_large_networks_are_known(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    made = edsr_state(256, 0)
    made.tensors["sub_mean.bias"] /= 255
    made.tensors["add_mean.bias"] /= 255
    torch.save(made.tensors, path)
    checkpoint = load_checkpoint(import_weights("edsr", [path], tmp_path / "out"))
    assert checkpoint.info.sizes == {"channels": 256, "blocks": 0, "res_scale": 0.1}
    assert torch.equal(checkpoint.model.head.weight, made.tensors["head.0.weight"])


def without(name: str) -> Callable[[State], object]:
    return lambda state: state.tensors.pop(name)


def put(name: str, value: torch.Tensor) -> Callable[[State], object]:
    return lambda state: state.tensors.update({name: value})


@pytest.mark.parametrize(
    ("method", "state", "change", "told"),
    [
        ("edsr", edsr_state, without("head.0.weight"), "head.0.weight is missing: another network"),
        ("edsr", edsr_state, without("body.1.body.2.bias"), "body.1.body.2.bias is missing"),
        ("edsr", edsr_state, without("tail.0.2.weight"), "tail.0.2.weight is missing"),
        ("edsr", edsr_state, put("tail.1.bias", torch.zeros(4)),
         "tail.1.bias is of shape (4,), expected (3,)"),
        ("edsr", edsr_state, put("more", torch.zeros(4)), "more is of another network"),
        ("edsr", edsr_state, put("tail.1.bias", torch.full((3,), torch.nan)),
         "tail.1.bias is not finite"),
        ("edsr", edsr_state, put("tail.1.bias", torch.zeros(3).half()),
         "tail.1.bias is float16, not float32"),
        ("edsr", edsr_state, put("head.0.weight", torch.zeros(3)), "of shape (3,), no kernel"),
        ("edsr", edsr_state, put("sub_mean.bias", torch.zeros(3)), "is not the mean of DIV2K"),
        ("edsr", mdsr_state, lambda state: None, "tail.0.0.weight is missing"),
        ("mdsr", lambda: mdsr_state((2, 3)), lambda state: None, "its scales are ×2, ×3; ×4 must"),
        ("mdsr", edsr_state, lambda state: None, "its scales are none"),
        ("srresnet", edsr_state, lambda state: None, "conv1.0.weight is missing"),
        ("srgan", srresnet_state, without("trunk.1.rcb.4.running_mean"), "running_mean is missing"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(
    tmp_path: Path,
    method: str,
    state: Callable[[], State],
    change: Callable[[State], object],
    told: str,
) -> None:
    made = state()
    change(made)
    path = tmp_path / "w.pth"
    torch.save(made.tensors, path)
    with pytest.raises(InputError) as caught:
        import_weights(method, [path], tmp_path / "out")
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "out").exists()


def test_no_pickle_is_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name, content in hostile.payloads(tmp_path, canary).items():
        path = tmp_path / "w.pth"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            import_weights("edsr", [path], tmp_path / "out")
        assert str(caught.value).startswith(f"{path}: "), name
        assert not canary.exists(), name
