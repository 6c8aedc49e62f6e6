"""Training on all losses: against a plain loop, killed, diverging, and what it leaves."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.utils.data import default_collate

from srntt_pipeline.checkpoints import load_checkpoint, save_checkpoint
from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK, file_sha256
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.maps import LAYERS
from srntt_pipeline.methods.restorer import load_restorer
from srntt_pipeline.models import SISR, build_model
from srntt_pipeline.models.critic import Critic
from srntt_pipeline.recipes.sisr import SisrRecipe
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.upscaler import load_upscaler
from srntt_pipeline.training import critic_trainer, objective, trainer
from srntt_pipeline.training.data import Patches, StepSampler
from srntt_pipeline.training.features import load_features
from srntt_pipeline.training.launch import launch
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.losses import perceptual_loss, texture_loss
from srntt_pipeline.training.sources import check_swaps
from srntt_pipeline.training.split import split_validation
from srntt_pipeline.variants import VARIANTS

SIZES = {"channels": 4, "blocks": (1, 1, 1, 1)}
PARAMS = SrnttRecipe(
    **SIZES,
    variant="srntt",
    warmup_steps=1,
    reconstruction_steps=2,
    steps=3,
    batch_size=2,
    patch_px=32,
    learning_rate=1e-3,
    critic_channels=4,
    critic_steps=2,
    perceptual_weight=0.5,
    texture_weight=0.25,
    adversarial_weight=0.125,
    loss_form="paper",
    truth_share=0,
    gate=False,
    gradient_clip=0.05,
    ema_decay=0.75,
    validation_pairs=1,
    validate_every=4,
    checkpoint_every=2,
)
Contents = Callable[[Path], dict[str, bytes]]


def run(folder: Path, out: Path, **changes: Any) -> dict[str, float]:
    options = {key: changes.pop(key) for key in ("content", "overwrite") if key in changes}
    params = SrnttRecipe.model_validate({**PARAMS.model_dump(), **changes})
    return train(
        params, folder, out, folder / "swaps", device="cpu", cache_bytes=1 << 28, **options
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_plain_loop_gives_the_same(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path)
    params = PARAMS
    pairs = split_validation(folder, read_train_pairs(folder), params).training
    shards = Shards(folder / "swaps")
    cpu = torch.device("cpu")
    data = SwappedPairs(pairs, shards, load_encoder("random", 0, cpu), 1 << 28)
    features = load_features(shards, None, [*LAYERS, "relu5_1"], cpu)
    torch.manual_seed(params.seed)
    model = build_model("srntt", SIZES)
    maps = [data[i]["maps"] for i in range(len(data))]
    model.set_map_scales(
        {k: float(np.sqrt(np.mean([m[k].numpy().var() for m in maps]))) for k in LAYERS}
    )
    critic = Critic(32, 4)
    adams = [torch.optim.Adam(m.parameters(), 1e-3, (0.9, 0.999)) for m in (model, critic)]
    average: dict[str, torch.Tensor] = {}
    expected = []
    for step, draws in enumerate(StepSampler(len(data), 2, 0, 6, params.seed)):
        patches = Patches(data, 32, params.seed, inputs="maps", mixes=2)
        batch = default_collate([patches[draw] for draw in draws])
        lr, hr, weight = batch["lr"], 2 * batch["hr"] - 1, batch["weight"]
        sr = 2 * (model.sisr(lr) if step < 1 else model(lr, batch, weight)) - 1
        loss = reconstruction = (sr - hr).abs().mean()
        row = {"loss": loss, "reconstruction": reconstruction}
        if step >= 3:
            for turn in range(2):
                share = batch["mix"][:, turn, None, None, None]
                middle = (share * hr + (1 - share) * sr.detach()).requires_grad_()
                judged = critic(torch.cat([hr, sr.detach(), middle]))
                slope = torch.autograd.grad(judged[4:].sum(), middle, create_graph=True)[0]
                penalty = ((slope.flatten(1).square().sum(1).sqrt() - 1) ** 2).mean()
                judged = judged[2:4].mean() - judged[:2].mean() + 10 * penalty
                adams[1].zero_grad()
                judged.backward()
                adams[1].step()
            deep, deep_hr = features(sr), features(hr)
            row["perceptual"] = perceptual_loss(deep["relu5_1"], deep_hr["relu5_1"])
            row["texture"] = texture_loss(deep, {k: batch[k] for k in LAYERS}, weight)
            row["adversarial"] = -critic(sr).mean()
            row |= {"critic": judged, "gradient_penalty": penalty}
            loss = reconstruction + 0.5 * row["perceptual"] + 0.25 * row["texture"]
            row["loss"] = loss = loss + 0.125 * row["adversarial"]
        adams[0].zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        adams[0].step()
        now = {k: v.clone() for k, v in model.state_dict().items()}
        average = {k: 0.75 * average[k] + 0.25 * v for k, v in now.items()} if average else now
        expected.append({k: v.item() for k, v in row.items()})
    found = rows(tmp_path / "loss.csv")
    assert [row["phase"] for row in found] == (
        ["SISR warm-up"] + ["reconstruction"] * 2 + ["texture transfer"] * 3
    )
    for values, row in zip(expected, found, strict=True):
        given = {k: float(v) for k, v in row.items() if k not in ("step", "phase") and v}
        shares = [given.pop(name) for name in list(given) if name.endswith("_share")]
        assert not shares or sum(shares) == pytest.approx(1, abs=1e-5)
        if "adversarial" in given:  # a critic's offset is free: rounding moves it by Adam's steps
            offsets = given.pop("adversarial"), values.pop("adversarial")
            assert offsets[0] == pytest.approx(offsets[1], abs=4e-3)
        assert given == pytest.approx(values, rel=2e-3)
    weights = load_file(tmp_path / "srntt.safetensors")
    assert weights.keys() == average.keys()
    for name, value in average.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-4)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.training import loop
from srntt_pipeline.training.trainer import Trainer

step, left = Trainer.step, [int(sys.argv[4])]

def killed(*arguments, **options):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(*arguments, **options)

Trainer.step = killed
torch.set_num_threads(1)
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
params = SrnttRecipe.model_validate_json(sys.argv[3])
loop.train(params, folder, out, folder / "swaps", device="cpu", cache_bytes=1 << 28)
"""


@pytest.mark.parametrize(
    ("calls", "changes"),
    [
        (5, {}),
        (3, {"batch_norm": True, "ema_decay": 0}),
        (
            5,
            {
                "loss_form": "released",
                "truth_share": 0.5,
                "rate_schedule": "cosine",
                "gate": True,
                "freeze_content": True,
            },
        ),
    ],
    ids=["plain", "batch norm", "all options"],
)
def test_killed_and_started_again(
    folder: Path, tmp_path: Path, contents: Contents, calls: int, changes: dict[str, Any]
) -> None:
    params = PARAMS.model_copy(update=changes)
    command = [sys.executable, "-c", KILLED, folder, tmp_path / "out", params.model_dump_json()]
    killed = subprocess.run(
        [*command, str(calls)],
        check=False,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list((tmp_path / "out" / "resume").glob("*/step-*"))
    run(folder, tmp_path / "out", **changes)
    run(folder, tmp_path / "fresh", **changes)
    one, two = contents(tmp_path / "out"), contents(tmp_path / "fresh")
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
    parts = {name.split("/")[-1] for name in one if name.startswith("resume")}
    expected = {"model", "optimiser", "best", "critic", "critic_optimiser"}
    expected |= set() if changes.get("ema_decay") == 0 else {"average"}
    curves = {"losses.csv", "validations.csv"}
    assert parts == {"state.json", *curves, *(f"{part}.safetensors" for part in expected)}


def test_nan_stops_with_one_line_and_keeps_the_last_good_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [4]

    def losses(*arguments: Any) -> dict[str, torch.Tensor]:
        left[0] -= 1
        return {k: v / (left[0] > 0) for k, v in objective.losses(*arguments).items()}

    monkeypatch.setattr(trainer, "losses", losses)
    with pytest.raises(InputError, match=r"step 4: .* is inf; .* lower learn") as e:
        run(folder, tmp_path, checkpoint_every=1)
    assert "\n" not in str(e.value)
    checkpoint = load_checkpoint(tmp_path)
    assert f"holds the checkpoint of step {checkpoint.info.step}" in str(e.value)
    assert checkpoint.info.step == 3
    assert all(bool(v.isfinite().all()) for v in checkpoint.model.state_dict().values())
    assert len(rows(tmp_path / "loss.csv")) == 3


def test_a_learning_rate_far_too_high_stops_with_one_line(folder: Path, tmp_path: Path) -> None:
    params = UPSCALER.model_copy(update={"learning_rate": 1e18})
    for every in (1, 100):  # with a state of finite weights whose SR is no number, and without
        wild = params.model_copy(update={"checkpoint_every": every})
        with pytest.raises(InputError, match=r"lower learning_rate \(1e\+18\)") as caught:
            train(wild, folder, tmp_path, device="cpu")
        assert "\n" not in str(caught.value)
        assert not [path for path in tmp_path.glob("*.*") if path.name != MARK]


def test_a_critic_that_runs_away_stops(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(critic_trainer, "_CRITIC_LIMIT", 1e-3)
    with pytest.raises(InputError, match="step 4: the critic diverges") as caught:
        run(folder, tmp_path)
    assert "holds the checkpoint of step 2" in str(caught.value)
    assert load_checkpoint(tmp_path).info.step == 2


def test_card_and_curves(folder: Path, tmp_path: Path) -> None:
    metrics = run(folder, tmp_path, steps=20)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["method"] == "SRNTT"
    assert card["weights_sha256"] == file_sha256(tmp_path / "srntt.safetensors")
    assert card["metrics"] == metrics
    assert card["swaps"]["encoder"]["source"] == "random, seed 0"
    assert card["swaps"]["made_from"] == Shards(folder / "swaps").made_from
    assert card["swaps"]["index_sha256"] == file_sha256(folder / "swaps" / "index.json")
    assert card["params"]["reconstruction"] == "l1"  # the variant's, not null
    assert (card["step"], card["device"], card["manifest_sha256"]) == (23, "cpu", None)
    text = (tmp_path / "card.md").read_text()
    assert text.startswith("# SRNTT\n")
    assert card["weights_sha256"] in text

    losses = rows(tmp_path / "loss.csv")
    assert list(losses[0]) == [
        "step", "phase", "loss", "reconstruction", "perceptual", "texture", "adversarial",
        "reconstruction_share", "perceptual_share", "texture_share", "adversarial_share",
        "critic", "gradient_penalty",
    ]  # fmt: skip
    curves = tmp_path / "dvclive" / "plots"
    texture = (curves / "metrics" / "train" / "texture.tsv").read_text().splitlines()
    assert [line.split()[0] for line in texture] == ["step", "11", "22"]
    assert float(texture[1].split()[1]) == float(losses[10]["texture"])
    shown = sorted((curves / "images" / "sample").iterdir())
    assert {path.stem for path in shown} == {"4", "8", "12", "16", "20", "23"}
    (pair,) = split_validation(folder, read_train_pairs(folder), PARAMS).validation
    picture, hr = np.asarray(Image.open(shown[0])), np.asarray(Image.open(pair.hr))
    ref = np.asarray(Image.open(pair.ref))
    for image in (hr, ref):
        places = np.lib.stride_tricks.sliding_window_view(picture, image.shape)
        assert (places == image).all(axis=(-1, -2, -3)).any()


def test_the_manifests_hash_changes_with_them(folder: Path, tmp_path: Path) -> None:
    manifests = folder / "manifests"
    hashes = []
    names = sorted(path.stem for path in (folder / "train" / "input").iterdir())
    for album in ("a", "a", "b"):
        text = "".join(f"{album},{name}\n" for name in names)
        manifests.mkdir(exist_ok=True)
        (manifests / "train.csv").write_text(f"album,name\n{text}")
        run(folder, tmp_path, warmup_steps=0, steps=0, reconstruction_steps=0)
        hashes.append(json.loads((tmp_path / "card.json").read_text())["manifest_sha256"])
        (manifests / "train.csv").unlink()
        manifests.rmdir()
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str, folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    variant = VARIANTS[name]
    monkeypatch.setattr("srntt_pipeline.training.sources.check_swaps", lambda *_: None)
    defaults = {f"{key}_weight": None for key in ("perceptual", "texture", "adversarial")}
    run(folder, tmp_path, variant=name, warmup_steps=0, reconstruction_steps=1, steps=1, **defaults)
    loaded = load_checkpoint(tmp_path)
    assert loaded.path.name == f"{name}.safetensors"
    assert loaded.info.model == loaded.info.train.variant == name
    assert set(loaded.model.transfer) == set(variant.layers)
    row = rows(tmp_path / "loss.csv")[-1]
    assert ("texture" in row) == bool(variant.texture_weight)
    assert ("critic" in row) == bool(variant.adversarial_weight)
    assert len(rows(tmp_path / "loss.csv")) == 2
    if variant.reconstruction != "mse":
        weighted = float(row["reconstruction"]) + 1e-4 * float(row["perceptual"])
        weighted += 1e-6 * float(row["adversarial"]) + 1e-4 * float(row.get("texture", 0))
        assert float(row["loss"]) == pytest.approx(weighted, rel=1e-4)


def wanted(variant: Any) -> Any:
    return SrnttRecipe(variant=variant.name).swaps()


def shards(**params: str) -> Any:
    dump = {**SwapParams().model_dump(), **params}
    return SimpleNamespace(
        folder=Path("swaps"), params=SimpleNamespace(model_dump=lambda **_: dump)
    )


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=list(VARIANTS))
@pytest.mark.parametrize("matching", ["patches", "flow-dis", "flow-raft"])
@pytest.mark.parametrize("references", ["ref", "lr"])
def test_swaps_must_be_of_the_variant(variant: Any, matching: str, references: str) -> None:
    fits = variant.flow == matching.startswith("flow") and variant.references == references
    made = shards(matching=matching, references=references)
    if fits:
        check_swaps(made, wanted(variant))
        return
    with pytest.raises(InputError, match=r"swaps.*needs swaps.*run precompute-swaps") as caught:
        check_swaps(made, wanted(variant))
    assert variant.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_swaps_of_today_fit_what_needs_no_others(folder: Path) -> None:
    for name, variant in VARIANTS.items():
        if name in ("srntt-flow", "srntt-l2-sisr"):
            with pytest.raises(InputError, match="run precompute-swaps"):
                check_swaps(Shards(folder / "swaps"), wanted(variant))
        else:
            check_swaps(Shards(folder / "swaps"), wanted(variant))


def test_nan_weights_are_not_begun_with(folder: Path, tmp_path: Path) -> None:
    train(UPSCALER.model_copy(update={"steps": 0}), folder, tmp_path / "up", device="cpu")
    loaded = load_checkpoint(tmp_path / "up")
    next(loaded.model.parameters()).data.fill_(torch.nan)
    save_checkpoint(loaded.path, loaded.model, loaded.info)
    with pytest.raises(InputError, match=r"sisr\.safetensors"):
        run(folder, tmp_path / "out", content=tmp_path / "up")


UPSCALER = SisrRecipe(
    channels=4, blocks=1, steps=30, batch_size=2, patch_px=32, learning_rate=5e-3,
    bicubic_skip=True, validation_pairs=1, validate_every=15, checkpoint_every=10,
)  # fmt: skip


def test_the_upscaler_learns_from_hr_alone_and_starts_srntt(folder: Path, tmp_path: Path) -> None:
    hr_alone = tmp_path / "data"
    for side in ("input", "ref"):  # references are not read: any file will do
        (hr_alone / "train" / side).mkdir(parents=True)
        for path in (folder / "train" / "input").iterdir():
            target = hr_alone / "train" / side / path.name
            target.write_bytes(path.read_bytes() if side == "input" else b"")
    metrics = train(UPSCALER, hr_alone, tmp_path / "up", device="cpu")
    loaded = load_checkpoint(tmp_path / "up")
    assert isinstance(loaded.model, SISR)
    assert loaded.info.encoder is None
    assert loaded.info.swaps is None
    assert loaded.info.train == UPSCALER
    losses = [float(row["loss"]) for row in rows(tmp_path / "up" / "loss.csv")]
    assert len(losses) == 30
    assert np.mean(losses[-8:]) < np.mean(losses[:8])
    assert metrics["validation_psnr_db"] > metrics["validation_bicubic_psnr_db"] - 1

    run(folder, tmp_path / "on", content=tmp_path / "up", reconstruction_steps=0, steps=0)
    content = load_file(tmp_path / "on" / "srntt.safetensors")
    for name, value in loaded.model.state_dict().items():
        assert torch.equal(content[name], value), name
    card = json.loads((tmp_path / "on" / "card.json").read_text())
    assert card["content_sha256"] == loaded.info.weights_sha256
    with pytest.raises(InputError, match="its blocks is 1, that of the network's part"):
        run(folder, tmp_path / "no", content=tmp_path / "up", blocks=(2, 1, 1, 1))
    with pytest.raises(InputError, match="its architecture is paper, that of"):
        run(folder, tmp_path / "no", content=tmp_path / "up", architecture="released")
    with pytest.raises(InputError, match="expected a sisr checkpoint"):
        run(folder, tmp_path / "no", content=tmp_path / "on")


@pytest.mark.parametrize("skip", [False, True])
def test_bf16_stays_near_float32(folder: Path, tmp_path: Path, skip: bool) -> None:
    for precision in ("32-true", "bf16-mixed"):
        run(folder, tmp_path / precision, precision=precision, steps=1, bicubic_skip=skip)
    one, two = (rows(tmp_path / p / "loss.csv")[-1] for p in ("32-true", "bf16-mixed"))
    assert one["loss"] != two["loss"]
    assert float(one["loss"]) == pytest.approx(float(two["loss"]), rel=0.1)


@pytest.mark.parametrize(
    ("variant", "others"),
    [("srntt", True), ("srntt-l2", False), ("srntt-relu3", False), ("sisr", False), ("sisr", True)],
)
def test_bf16_with_bicubic_skip_trains_and_restores_on_a_cpu(
    folder: Path, tmp_path: Path, variant: str, others: bool
) -> None:
    options: dict[str, Any] = {"precision": "bf16-mixed", "bicubic_skip": True, "batch_size": 2}
    options |= {"patch_px": 32, "channels": 4, "validation_pairs": 1, "steps": 1}
    if others:
        options |= {"batch_norm": True, "augment": True, "ema_decay": 0.5, "gradient_clip": 0.1}
    if variant == "sisr":
        params = SisrRecipe.model_validate({**options, "blocks": 1})
        metrics = train(params, folder, tmp_path, device="cpu")
    else:
        options |= {"warmup_steps": 1, "reconstruction_steps": 1, "weight_maps": others}
        metrics = run(folder, tmp_path, variant=variant, **options)
    assert np.isfinite(metrics["validation_psnr_db"])
    assert all(np.isfinite(float(row["loss"])) for row in rows(tmp_path / "loss.csv"))
    lr = np.zeros((16, 20, 3), np.uint8)
    if variant == "sisr":
        sr = load_upscaler(str(tmp_path), torch.device("cpu"))(lr)
    else:
        sr = load_restorer(tmp_path, "cpu").super_resolve(lr, [lr])
    assert sr.shape == (64, 80, 3)


def test_mixed_precision_leaves_the_inputs_alone() -> None:
    seen = []

    class Keep(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((x.dtype, self.linear(x).dtype))
            return self.linear(x)

    launch(lambda fabric: fabric.setup(Keep())(torch.rand(1, 2)), "cpu", 1, "bf16-mixed")
    assert seen == [(torch.float32, torch.bfloat16)]
