import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage.metrics import peak_signal_noise_ratio
from torch.nn import functional as F
from torch.utils.data import default_collate

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.models import SRNTT
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.training import trainer
from srntt_pipeline.training.data import Patches, StepSampler
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.split import split_validation

SWAPS = SwapParams(encoder_weights="random", scales=(1.0,), rotations_deg=(0.0,))
SIZES = {"channels": 4, "blocks": (1, 1, 1, 1)}
PARAMS = SrnttRecipe(
    **SIZES,
    warmup_steps=3,
    truth_share=0,
    gate=False,
    reconstruction_steps=0,
    steps=5,
    batch_size=2,
    patch_px=32,
    learning_rate=1e-3,
    validation_pairs=1,
    validate_every=4,
    checkpoint_every=2,
)
Contents = Callable[[Path], dict[str, bytes]]
WARMUP, TRANSFER = "SISR warm-up", "texture transfer"


def run(folder: Path, out: Path, *, overwrite: bool = False, **changes: object) -> dict[str, float]:
    params = SrnttRecipe.model_validate({**PARAMS.model_dump(), **changes})
    return train(params, folder, out, folder / "swaps",
        device="cpu", cache_bytes=1 << 28, overwrite=overwrite,
    )  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def straight_run(folder: Path, params: SrnttRecipe) -> tuple[SRNTT, list[float]]:
    """The same training by a plain PyTorch loop: no Fabric, no data loader, no checkpoints."""
    encoder = load_encoder("random", 0, torch.device("cpu"))
    pairs = split_validation(folder, read_train_pairs(folder), params).training
    data = SwappedPairs(pairs, Shards(folder / "swaps"), encoder, cache_bytes=1 << 28)
    torch.manual_seed(params.seed)
    model = SRNTT(**SIZES, bicubic_skip=params.bicubic_skip, weight_maps=params.weight_maps)
    maps = [data[i]["maps"] for i in range(len(data))]
    model.set_map_scales(
        {
            layer: float(np.sqrt(np.mean([m[layer].numpy().var() for m in maps])))
            for layer in maps[0]
        }
    )
    adam = torch.optim.Adam(model.parameters(), params.learning_rate, (params.beta1, 0.999))
    losses = []
    steps = params.warmup_steps + params.steps
    for step, draws in enumerate(StepSampler(len(data), params.batch_size, 0, steps, params.seed)):
        patches = Patches(data, params.patch_px, params.seed, inputs="maps")
        batch = default_collate([patches[draw] for draw in draws])
        warm = step < params.warmup_steps
        sr = model.sisr(batch["lr"]) if warm else model(batch["lr"], batch, batch["weight"])
        loss = 4 * F.mse_loss(sr, batch["hr"])  # images in [-1, 1]
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return model, losses


@pytest.mark.parametrize("options", [{}, {"bicubic_skip": True, "weight_maps": True, "seed": 3}])
def test_a_plain_adam_loop_gives_the_same(folder: Path, tmp_path: Path, options: dict) -> None:
    metrics = run(folder, tmp_path, **options)
    model, losses = straight_run(folder, PARAMS.model_copy(update=options))
    found = rows(tmp_path / "loss.csv")
    assert [row["step"] for row in found] == [str(step) for step in range(1, 9)]
    assert [row["phase"] for row in found] == [WARMUP] * 3 + [TRANSFER] * 5
    np.testing.assert_allclose([float(row["loss"]) for row in found], losses, rtol=1e-5)
    weights = load_file(tmp_path / "srntt-l2.safetensors")
    for name, expected in model.state_dict().items():
        torch.testing.assert_close(weights[name], expected, rtol=1e-4, atol=1e-6)

    encoder = load_encoder("random", 0, torch.device("cpu"))
    params = PARAMS.model_copy(update=options)
    (pair,) = split_validation(folder, read_train_pairs(folder), params).validation
    item = SwappedPairs([pair], Shards(folder / "swaps"), encoder)[0]
    maps = {layer: values[None] for layer, values in item["maps"].items()}
    with torch.no_grad():
        sr = model(item["lr"][None], maps, item["weight"][None])[0].clamp(0, 1)
    psnr = peak_signal_noise_ratio(item["hr"].numpy(), sr.numpy(), data_range=1)
    assert metrics["validation_psnr_db"] == pytest.approx(psnr, abs=2e-3)


def test_outputs(folder: Path, tmp_path: Path) -> None:
    metrics = run(folder, tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert json.loads((tmp_path / "card.json").read_text())["metrics"] == metrics
    curve = rows(tmp_path / "validation.csv")
    assert [(row["step"], row["phase"]) for row in curve] == [("4", TRANSFER), ("8", TRANSFER)]
    assert float(curve[-1]["psnr_db"]) == metrics["validation_psnr_db"]
    loaded = load_checkpoint(tmp_path)
    assert loaded.path == tmp_path / "srntt-l2.safetensors"
    assert loaded.info.step == 8
    assert loaded.info.train == PARAMS.resolved()
    assert loaded.info.swaps == SWAPS
    assert loaded.info.metrics == metrics
    assert loaded.info.encoder.source == "random, seed 0"
    assert list(tmp_path.rglob(".*")) == [tmp_path / MARK]


def test_bicubic_psnr_is_that_of_pillow_and_scikit_image(folder: Path, tmp_path: Path) -> None:
    metrics = run(folder, tmp_path, warmup_steps=0, steps=0)
    (pair,) = split_validation(folder, read_train_pairs(folder), PARAMS).validation
    hr = Image.open(pair.hr)
    up = hr.resize((16, 16), Image.Resampling.BICUBIC).resize((64, 64), Image.Resampling.BICUBIC)
    expected = peak_signal_noise_ratio(np.asarray(hr), np.asarray(up))
    assert metrics["validation_bicubic_psnr_db"] == pytest.approx(expected, abs=0.02)


def test_a_network_worse_than_bicubic_is_warned_of(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = run(folder, tmp_path / "a", warmup_steps=0, steps=0)
    below = metrics["validation_bicubic_psnr_db"] - metrics["validation_psnr_db"]
    assert below > 1  # of random weights
    told = f"worse than bicubic on the validation pairs, by {below:.2f} dB: docs/training.md#worse"
    assert told in caplog.text
    caplog.clear()
    monkeypatch.setattr(trainer, "bicubic_psnr", lambda pairs: 0.0)
    run(folder, tmp_path / "b", warmup_steps=0, steps=0)
    assert "worse than bicubic" not in caplog.text


def test_the_bar_tells_phase_loss_validation_and_bicubic(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = MagicMock()
    monkeypatch.setattr(trainer, "progress", lambda *words, **options: bar)
    metrics = run(folder, tmp_path)
    told = [call.args[0] for call in bar.set_postfix_str.call_args_list]
    losses = [float(row["loss"]) for row in rows(tmp_path / "loss.csv")]
    assert told[:3] == [f"{WARMUP}, loss {loss:.3g}" for loss in losses[:3]]
    assert told[-1] == (
        f"{TRANSFER}, loss {losses[-1]:.3g}, validation "
        f"{float(rows(tmp_path / 'validation.csv')[0]['psnr_db']):.2f} dB, "
        f"bicubic {metrics['validation_bicubic_psnr_db']:.2f} dB"
    )


def test_training_lowers_the_loss(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path, warmup_steps=10, steps=30, learning_rate=5e-3, validate_every=1000)
    found = rows(tmp_path / "loss.csv")
    for phase in (WARMUP, TRANSFER):
        losses = [float(row["loss"]) for row in found if row["phase"] == phase]
        assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_within_a_slurm_job_of_several_tasks_it_is_one_process(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NTASKS": "2", "PROCID": "1", "JOB_ID": "7", "JOB_NAME": "train"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert run(folder, tmp_path, steps=2, warmup_steps=0)
    assert (tmp_path / "srntt-l2.safetensors").is_file()


def assert_same_run(contents: Contents, found: Path, expected: Path) -> None:
    """Same weights, optimiser state, curves and metrics, to the byte."""
    first, second = contents(found), contents(expected)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.parametrize("steps", [0, 1, 4])  # 0: stopped at the end of the warm-up
def test_more_steps_go_on(folder: Path, tmp_path: Path, contents: Contents, steps: int) -> None:
    quiet = {"validate_every": 1000}
    run(folder, tmp_path / "on", steps=steps, **quiet)
    run(folder, tmp_path / "on", **quiet)
    run(folder, tmp_path / "once", **quiet)
    for name in ("srntt-l2.safetensors", "loss.csv", "metrics.json"):
        assert (tmp_path / "on" / name).read_bytes() == (tmp_path / "once" / name).read_bytes()
    steps_made = [int(row["step"]) for row in rows(tmp_path / "on" / "validation.csv")]
    assert steps_made == [3 + steps, 8]


def test_a_finished_run_is_not_repeated(
    folder: Path, tmp_path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder, tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    run(folder, tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "change", [{"learning_rate": 2e-3}, {"seed": 1}, {"warmup_steps": 2}, {"steps": 2}], ids=str
)
def test_changed_parameters_start_afresh(
    folder: Path, tmp_path: Path, contents: Contents, change: dict[str, object]
) -> None:
    run(folder, tmp_path / "out")
    run(folder, tmp_path / "out", overwrite=True, **change)
    run(folder, tmp_path / "fresh", **change)
    assert_same_run(contents, tmp_path / "out", tmp_path / "fresh")


def test_changed_swaps_start_afresh(folder: Path, tmp_path: Path, contents: Contents) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    run(copy, tmp_path / "out")
    swaps = SWAPS.model_copy(update={"rotations_deg": (20.0,)})
    precompute_swaps(copy, copy / "swaps", swaps, workers=1, device="cpu")
    with pytest.raises(
        InputError, match=r"another run: swaps was \w{12}…, is \w{12}…; .*--overwrite"
    ):
        run(copy, tmp_path / "out")
    run(copy, tmp_path / "out", overwrite=True)
    run(copy, tmp_path / "fresh")
    assert_same_run(contents, tmp_path / "out", tmp_path / "fresh")


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.training import loop, state
from srntt_pipeline.training.trainer import Trainer

name, left = sys.argv[4], [int(sys.argv[5])]
owner = Trainer if hasattr(Trainer, name) else state
function = getattr(owner, name)

def killed(*arguments, **options):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return function(*arguments, **options)

setattr(owner, name, killed)
torch.set_num_threads(1)
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
params = SrnttRecipe.model_validate_json(sys.argv[3])
loop.train(params, folder, out, folder / "swaps", device="cpu", cache_bytes=1 << 28)
"""


@pytest.mark.parametrize(
    ("function", "calls", "resumes_at"),
    [
        ("step", 1, None),  # before any checkpoint
        ("save_tensors", 7, 4),  # with half a state written
    ],
)
def test_killed_and_started_again(
    folder: Path,
    tmp_path: Path,
    contents: Contents,
    function: str,
    calls: int,
    resumes_at: int | None,
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, folder, out, PARAMS.model_dump_json()]
    killed = subprocess.run(
        [*command, function, str(calls)],
        check=False,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    states = [path.name for path in (out / "resume").glob("*/step-*")]
    assert states == ([f"step-{resumes_at:08d}"] if resumes_at else [])
    run(folder, out)
    run(folder, tmp_path / "fresh")
    assert_same_run(contents, out, tmp_path / "fresh")


def copy_pairs(folder: Path, target: Path, count: int) -> Path:
    for side in ("input", "ref"):
        (target / "train" / side).mkdir(parents=True)
        for path in sorted((folder / "train" / side).iterdir())[:count]:
            shutil.copy(path, target / "train" / side)
    return target


def test_a_single_pair_is_too_few(folder: Path, tmp_path: Path) -> None:
    single = copy_pairs(folder, tmp_path / "single", 1)
    precompute_swaps(single, single / "swaps", SWAPS, workers=1, device="cpu")
    with pytest.raises(InputError, match="at least two pairs"):
        run(single, tmp_path / "out")


def test_two_pairs_suffice(folder: Path, tmp_path: Path) -> None:
    two = copy_pairs(folder, tmp_path / "two", 2)
    precompute_swaps(two, two / "swaps", SWAPS, workers=1, device="cpu")
    assert np.isfinite(run(two, tmp_path / "out")["validation_psnr_db"])


def test_swaps_of_other_pairs(folder: Path, tmp_path: Path) -> None:
    two = copy_pairs(folder, tmp_path / "two", 2)
    precompute_swaps(two, two / "swaps", SWAPS, workers=1, device="cpu")
    with pytest.raises(InputError, match="holds no swap of the pair"):
        train(PARAMS, folder, tmp_path / "out", two / "swaps", device="cpu")


def test_swaps_of_more_pairs(folder: Path, tmp_path: Path) -> None:
    five = copy_pairs(folder, tmp_path / "five", 5)
    with pytest.raises(
        InputError, match=r"swaps of pairs that .*five lacks \(1 of 6, \S+ the first"
    ):
        train(PARAMS, five, tmp_path / "out", folder / "swaps", device="cpu")
    assert not (tmp_path / "out").exists()


def test_swaps_of_other_images(folder: Path, tmp_path: Path) -> None:
    two = copy_pairs(folder, tmp_path / "two", 6)
    for path in (two / "train" / "input").iterdir():
        Image.open(path).rotate(90).save(path)
    with pytest.raises(InputError, match="run precompute-swaps again"):
        train(PARAMS, two, tmp_path / "out", folder / "swaps", device="cpu")


def test_swaps_of_another_encoder(shared: Path, folder: Path, tmp_path: Path) -> None:
    weights = str(shared / "weights" / "vgg19_relu3_1.pth")
    with pytest.raises(InputError, match="was made with VGG19, random, seed 0"):
        train(PARAMS, folder, tmp_path, folder / "swaps", device="cpu", encoder_weights=weights)


def test_stored_maps_are_not_turned_or_recoloured(folder: Path, tmp_path: Path) -> None:
    two = copy_pairs(folder, tmp_path / "two", 2)
    maps = SWAPS.model_copy(update={"store": "maps"})
    precompute_swaps(two, two / "swaps", maps, workers=1, device="cpu")
    for change in ({"augment": True}, {"colour": 0.1}):
        with pytest.raises(InputError, match=r"swaps holds maps, .* augment: false and colour: 0"):
            run(two, tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_no_swaps(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.json is missing; run precompute-swaps"):
        train(PARAMS, folder, tmp_path / "out", tmp_path, device="cpu")


def test_out_is_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="is a file"):
        run(folder, tmp_path / "out")


def test_pairs_of_several_sizes(folder: Path, tmp_path: Path) -> None:
    pairs = copy_pairs(folder, tmp_path / "pairs", 6)
    for number, path in enumerate(sorted((pairs / "train" / "input").iterdir())):
        Image.open(path).crop((0, 0, 64 - 4 * number, 64)).save(path)
    precompute_swaps(pairs, pairs / "swaps", SWAPS, workers=1, device="cpu")
    assert np.isfinite(run(pairs, tmp_path / "out")["validation_psnr_db"])
    with pytest.raises(InputError, match=r"\.png is smaller than patch_px = 64"):
        run(pairs, tmp_path / "out", patch_px=64)


@pytest.mark.parametrize("channels", [1, 2])
def test_fewest_channels(folder: Path, tmp_path: Path, channels: int) -> None:
    try:
        params = {
            "channels": channels, "warmup_steps": 1, "reconstruction_steps": 0, "steps": 1,
        }  # fmt: skip
        SrnttRecipe(**params)
    except ValueError:
        assert channels == 1
    else:
        run(folder, tmp_path, **params)
