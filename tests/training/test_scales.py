"""A scale drawn for each batch: MDSR's patches against Pillow, its training, and DRCN's loss."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.files import file_sha256
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.maps import to_image
from srntt_pipeline.models import build_model
from srntt_pipeline.recipes import Loss, Objective
from srntt_pipeline.recipes.drcn import DrcnRecipe
from srntt_pipeline.recipes.mdsr import MdsrRecipe
from srntt_pipeline.training.data import HrImages, Patches, drawn_scale
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.losses import recursive_loss
from srntt_pipeline.training.objective import losses

LOOP: dict[str, Any] = {
    "batch_size": 2, "patch_px": 32, "validation_pairs": 1, "validate_every": 100,
    "checkpoint_every": 100,
}  # fmt: skip
MDSR = MdsrRecipe(**LOOP, channels=8, blocks=1, steps=60, learning_rate=4e-3)


def mean_losses(out: Path) -> tuple[float, float]:
    """The loss over the first and the last steps."""
    with (out / "loss.csv").open() as file:
        found = [float(row["loss"]) for row in csv.DictReader(file)]
    return float(np.mean(found[:6])), float(np.mean(found[-6:]))


def test_each_scale_is_drawn_and_depends_on_the_step_alone() -> None:
    phases = MDSR.phases()
    drawn = [drawn_scale(phases, step, 0) for step in range(1, 31)]
    assert {drawn.count(scale) > 4 for scale in (2, 3, 4)} == {True}
    assert drawn == [drawn_scale(phases, step, 0) for step in range(1, 31)]
    assert drawn != [drawn_scale(phases, step, 1) for step in range(1, 31)]
    assert drawn_scale((), 1, 0) == 4


def test_lr_of_each_scale_is_pillows(folder: Path) -> None:
    pairs = read_train_pairs(folder)[:2]
    data = HrImages(pairs, {pair.name: file_sha256(pair.hr) for pair in pairs})
    patches = Patches(data, 32, 0, "lr", phases=MDSR.phases())
    seen = set()
    for step in range(12):
        scale = drawn_scale(MDSR.phases(), step + 1, 0)
        patch = patches[step, 0, 1]
        assert (patch["lr"].shape, patch["hr"].shape) == ((3, 8, 8), (3, 8 * scale, 8 * scale))
        hr = np.asarray(Image.open(pairs[1].hr).convert("RGB"))
        side = 64 // scale * scale  # 64 px of the pair, cut to a multiple
        hr = hr[:side, :side]
        lr = np.asarray(Image.fromarray(hr).resize((side // scale,) * 2, Image.Resampling.BICUBIC))
        found_lr, found_hr = (to_image(patch[name]) for name in ("lr", "hr"))
        places = [
            (top, left)
            for top in range(side // scale - 7)
            for left in range(side // scale - 7)
            if np.array_equal(lr[top : top + 8, left : left + 8], found_lr)
        ]
        assert len(places) == 1
        top, left = (scale * place for place in places[0])
        size = 8 * scale
        np.testing.assert_array_equal(hr[top : top + size, left : left + size], found_hr)
        seen.add(scale)
    assert seen == {2, 3, 4}


def test_mdsr_learns_at_all_scales(folder: Path, tmp_path: Path) -> None:
    train(MDSR, folder, tmp_path, device="cpu")
    first, last = mean_losses(tmp_path)
    assert last < 0.8 * first
    after = load_checkpoint(tmp_path).model.state_dict()
    torch.manual_seed(MDSR.seed)
    before = build_model("mdsr", {"channels": 8, "blocks": 1})
    for name, value in before.state_dict().items():
        assert not torch.equal(value, after[name]), name  # each scale's parts have learnt


def test_scales_hold_4() -> None:
    for scales in ((2, 3), (4, 4), (2, 5)):
        with pytest.raises(ValueError, match="scales"):
            MdsrRecipe(scales=scales)


# DRCN


def test_the_recursive_loss_fades_from_the_depths_to_their_mean() -> None:
    rng = np.random.default_rng(0)
    depths = [rng.random((2, 1, 4, 5)) for _ in range(3)]
    hr, sr = rng.random((2, 1, 4, 5)), rng.random((2, 1, 4, 5))
    expected = 0.0
    for image in depths:
        expected += 0.3 * np.mean((image - hr) ** 2) / 3
    expected += 0.7 * np.mean((sr - hr) ** 2)
    tensors = [torch.from_numpy(image) for image in depths]
    found = recursive_loss(torch.from_numpy(sr), tensors, torch.from_numpy(hr), 0.3)
    assert float(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("step", "alpha"), [(0, 1), (25, 0.75), (100, 0), (999, 0)])
def test_its_weight_falls_with_the_steps_of_the_phase(step: int, alpha: float) -> None:
    torch.manual_seed(0)
    model = build_model("drcn", {"channels": 2, "depth": 2})
    lr, hr = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 16, 16)
    made = model.several(lr)
    sr = made.pop("sr")
    objective = Objective((Loss("recursive", 2.0, options={"fading_steps": 100}),))
    found = losses(objective, sr, {"hr": hr}, None, None, made, step)["loss"]
    weights = torch.tensor([65.481, 128.553, 24.966])[:, None, None] / 255
    of_sr, of_hr = (16 / 255 + (x * weights).sum(1, keepdim=True) for x in (sr, hr))
    expected = recursive_loss(of_sr, [made["1"], made["2"]], of_hr, alpha)
    torch.testing.assert_close(found, 2 * expected)


def test_drcn_learns(folder: Path, tmp_path: Path) -> None:
    params = DrcnRecipe(
        **LOOP, channels=8, depth=3, steps=30, fading_steps=15, optimiser="adam",
        learning_rate=2e-3,
    )  # fmt: skip
    train(params, folder, tmp_path, device="cpu")
    first, last = mean_losses(tmp_path)
    assert last < first
