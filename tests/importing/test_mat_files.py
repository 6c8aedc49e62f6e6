"""Networks saved as their authors' MATLAB files against plain computations in those layouts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.errors import InputError
from srntt_pipeline.import_weights import import_weights
from srntt_pipeline.methods.checkpoint import of_checkpoint
from tests.naive_layers import bicubic, leaky, padded

RNG = np.random.default_rng(0)
Y = RNG.random((3, 4))


def found(out: Path) -> np.ndarray:
    """What the checkpoint makes of Y, [12, 16]."""
    model = load_checkpoint(out).model.double()
    made: np.ndarray = model.luma_of(torch.from_numpy(Y)[None, None])[0, 0].numpy()
    return made


def columns(x: np.ndarray, size: int) -> np.ndarray:
    """Return the patches of [h, w] as columns, each column by column, [size², positions]."""
    height, width = x.shape[0] - size + 1, x.shape[1] - size + 1
    places = [(r, c) for r in range(height) for c in range(width)]
    return np.stack([x[r : r + size, c : c + size].ravel("F") for r, c in places], 1)


# SRCNN


def srcnn_file(path: Path, **changes: Any) -> Path:
    variables = {
        "weights_conv1": RNG.normal(size=(25, 4)), "biases_conv1": RNG.normal(size=(4, 1)),
        "weights_conv2": RNG.normal(size=(4, 9, 3)), "biases_conv2": RNG.normal(size=(3, 1)),
        "weights_conv3": RNG.normal(size=(3, 9)), "biases_conv3": RNG.normal(size=(1, 1)),
    }  # fmt: skip
    scipy.io.savemat(path, variables | changes)
    return path


def test_srcnn(tmp_path: Path) -> None:
    path = srcnn_file(tmp_path / "x4.mat")
    values = scipy.io.loadmat(path)
    import_weights("srcnn", [path], tmp_path / "out")
    x = bicubic(Y[None], 4)
    for number, size in enumerate((5, 3, 3), 1):
        around = padded(x, size // 2, "edge")
        kernels = values[f"weights_conv{number}"]  # [k², out], [in, k², out] or [in, k²]
        if number == 1:
            kernels = kernels[None]
        kernels = kernels.reshape(len(x), size**2, -1)
        made = sum(kernels[i].T @ columns(around[i], size) for i in range(len(x)))
        x = (made + values[f"biases_conv{number}"]).reshape(-1, 12, 16)
        x = np.maximum(x, 0) if number < 3 else x
    np.testing.assert_allclose(found(tmp_path / "out"), x[0], atol=1e-4 * np.abs(x).max())
    info = load_checkpoint(tmp_path / "out").info
    assert info.sizes == {"kernels": [5, 3, 3], "channels": [4, 3], "bicubic_skip": False}
    assert (info.trained_on, info.imported[0][0]) == ("matlab-replicate", "x4.mat")
    method = of_checkpoint(tmp_path / "out")
    assert (method.name, method.trained_on) == ("SRCNN", "matlab-replicate")


# SCN


def fixed() -> dict[str, np.ndarray]:
    """The two filters that are no weights: differences from a patch's mean, and a tent."""
    differences = np.zeros((9, 9, 25))
    for number in range(25):
        differences[2:7, 2:7, number] = -1 / 25
        differences[2 + number % 5, 2 + number // 5, number] += 1
    line = np.array([0, 0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 0]) / 25
    return {
        "diffms": differences.reshape(81, 25, order="F"),
        "mean2": np.outer(line, line).reshape(169, 1),
    }


def scn_file(path: Path, codes: int = 7, **changes: Any) -> Path:
    model = {
        "conv": RNG.normal(size=(81, 6)), "wd": 3 * RNG.normal(size=(6, codes)),
        "usd1": RNG.normal(size=(codes, codes)), "ud": RNG.normal(size=(codes, 25)),
        "addp": RNG.normal(size=(25, 1)), **fixed(),
    }  # fmt: skip
    scipy.io.savemat(path, {"model": model | changes})
    return path


def shrunk(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.maximum(np.abs(values) - 1, 0)


def test_scn(tmp_path: Path) -> None:
    files = [scn_file(tmp_path / name) for name in ("52.mat", "310.mat")]
    import_weights("scn", files, tmp_path / "out")
    y = Y[None]
    for file in files:
        model = scipy.io.loadmat(file, simplify_cells=True)["model"]
        y = bicubic(y, 2)
        _, height, width = y.shape
        around = padded(y, 6, "edge")[0]
        windows = columns(around, 9)[::-1]  # turned: theirs are convolutions
        features = model["conv"].T @ windows
        features /= np.sqrt((features**2).sum(0))
        first = model["wd"].T @ features
        code = shrunk(model["usd1"].T @ shrunk(first) + first)
        patches = model["ud"].T @ code
        norms = np.sqrt(((model["diffms"].T @ windows) ** 2).sum(0))
        patches *= 1.1 * norms / np.sqrt((patches**2).sum(0)) * model["addp"][:, None]
        patches = patches.reshape(25, height + 4, width + 4)
        y = (model["mean2"] @ columns(around, 13)).reshape(1, height, width)
        for number, values in enumerate(patches):  # from the last pixel of a patch on, row by row
            row, column = divmod(number, 5)
            y[0] += values[row : row + height, column : column + width]
    np.testing.assert_allclose(found(tmp_path / "out"), y[0], atol=1e-4 * np.abs(y).max())
    assert load_checkpoint(tmp_path / "out").info.sizes == {"features": 6, "codes": 7}


# LapSRN


def dag(**changes: Any) -> dict[str, Any]:
    shapes: dict[str, tuple[int, ...]] = {"input_conv_f": (3, 3, 1, 4), "input_conv_b": (1, 4)}
    for level in ("level2", "level1"):
        for name, out in (("conv1", 4), ("conv2", 4), ("upconv", 4), ("residual_conv", 1)):
            shapes |= {f"{level}_{name}_f": (3, 3, 4, out), f"{level}_{name}_b": (1, out)}
        shapes[f"{level}_img_up_f"] = (4, 4)
    return {
        name: 0.3 * RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()
    } | changes


def lapsrn_file(path: Path, values: dict[str, Any]) -> Path:
    params = np.empty(len(values), [("name", object), ("value", object)])
    for number, (name, value) in enumerate(values.items()):
        params[number] = name, value
    scipy.io.savemat(path, {"net": {"params": params, "vars": [], "layers": []}})
    return path


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """MatConvNet's convolution of [C, h, w] by [k, k, in, out], zeros around."""
    _, height, width = x.shape
    around, out = padded(x, 1), np.zeros((kernel.shape[3], height, width))
    for row, column in np.ndindex(3, 3):
        seen = around[:, row : row + height, column : column + width]
        out += np.einsum("ihw,io->ohw", seen, kernel[row, column])
    return out + bias.reshape(-1, 1, 1)


def enlarged(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Its transposed convolution of [C, h, w] by [k, k, out, in], 2 px apart, not cut."""
    _, height, width = x.shape
    size = len(kernel)
    out = np.zeros((kernel.shape[2], 2 * height + size - 2, 2 * width + size - 2))
    for row, column in np.ndindex(size, size):
        spread = np.einsum("ihw,oi->ohw", x, kernel[row, column])
        out[:, row : row + 2 * height : 2, column : column + 2 * width : 2] += spread
    return out


def test_lapsrn(tmp_path: Path) -> None:
    values = dag()
    path = lapsrn_file(tmp_path / "LapSRN_x4.mat", values)
    import_weights("lapsrn", [path], tmp_path / "out")

    def conv(x: np.ndarray, name: str) -> np.ndarray:
        kernel = values[f"{name}_f"]
        return convolved(x, kernel, values[f"{name}_b"])

    image = Y[None]
    x = leaky(conv(image, "input_conv"))
    for level in ("level2", "level1"):
        for name in ("conv1", "conv2"):
            x = leaky(conv(x, f"{level}_{name}"))
        x = enlarged(x, values[f"{level}_upconv_f"])[:, :-1, :-1]
        x = leaky(x + values[f"{level}_upconv_b"].reshape(-1, 1, 1))
        image = enlarged(image, values[f"{level}_img_up_f"][:, :, None, None])[:, 1:-1, 1:-1]
        image = image + conv(x, f"{level}_residual_conv")
    np.testing.assert_allclose(found(tmp_path / "out"), image[0], rtol=1e-5, atol=1e-6)
    info = load_checkpoint(tmp_path / "out").info
    assert info.sizes == {"channels": 4, "blocks": 2}
    assert (info.train.recipe, info.step) == ("lapsrn", 0)


# Files that do not fit


def told(method: str, *files: Path) -> str:
    with pytest.raises(InputError) as caught:
        import_weights(method, files, files[0].parent / "out")
    assert str(caught.value).isprintable()
    assert not (files[0].parent / "out").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights_conv2": np.zeros((5, 9, 3))},
         "weights_conv2 is of shape (5, 9, 3), expected (4, any, any)"),
        ({"weights_conv1": np.zeros((24, 4))},
         "weights_conv1 has kernels of 24 numbers, no odd square"),
        ({"weights_conv1": np.zeros((17**2, 4))}, "a network of sizes that srcnn cannot have"),
        ({"biases_conv1": np.full((4, 1), np.nan)},
         "biases_conv1 is not finite: it holds NaN or infinity"),
        ({"weights_conv3": "text"}, "holds no array weights_conv3"),
        ({"weights_conv1": np.zeros((0, 0))},
         "weights_conv1 is of shape (0, 0), expected (any, any)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_of_srcnn(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    path = srcnn_file(tmp_path / "x4.mat", **changes)
    assert told("srcnn", path) == f"{path}: {reason}"


def test_what_is_wrong_with_files_of_scn(tmp_path: Path) -> None:
    first, second = scn_file(tmp_path / "1.mat"), scn_file(tmp_path / "2.mat", codes=8)
    assert told("scn", first, second) == f"{second}: of other sizes than {first}"
    scn_file(second, mean2=np.full((169, 1), 1 / 169))
    assert "diffms and mean2 are not those" in told("scn", first, second)
    srcnn_file(second)
    assert told("scn", first, second) == f"{second}: holds no struct model"


def test_what_is_wrong_with_a_file_of_lapsrn(tmp_path: Path) -> None:
    path = tmp_path / "LapSRN_x8.mat"
    more = dag(level0_conv1_f=np.zeros((3, 3, 4, 4)))
    assert told("lapsrn", lapsrn_file(path, more)) == (
        f"{path}: not the parameters of LapSRN for ×4 alone"
    )
    lapsrn_file(path, dag(level1_upconv_f=np.zeros((3, 3, 4, 5))))
    assert "level1_upconv_f is of shape (3, 3, 4, 5), expected (3, 3, 4, 4)" in told("lapsrn", path)
    scipy.io.savemat(path, {"net": {"params": "none"}})
    assert told("lapsrn", path) == f"{path}: holds no list net.params"
