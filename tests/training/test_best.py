"""The checkpoint of the best validation beside the last one."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.files import file_sha256
from srntt_pipeline.methods.sources import read_methods
from srntt_pipeline.recipes.sisr import SisrRecipe
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.training import trainer
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.state import Progress
from srntt_pipeline.training.trainer import Trainer

# A rate so high that PSNR falls again.
PARAMS = SisrRecipe(
    channels=4, blocks=1, steps=8, batch_size=2, patch_px=32, learning_rate=0.05,
    validation_pairs=1, validate_every=1, checkpoint_every=3,
)  # fmt: skip
Contents = Callable[[Path], dict[str, bytes]]


def run(folder: Path, out: Path, **changes: Any) -> dict[str, float]:
    overwrite = changes.pop("overwrite", False)
    params = PARAMS.model_copy(update=changes)
    return train(params, folder, out, device="cpu", overwrite=overwrite)


def curve(out: Path) -> list[tuple[int, float]]:
    with (out / "validation.csv").open() as file:
        return [(int(row["step"]), float(row["psnr_db"])) for row in csv.DictReader(file)]


@pytest.mark.parametrize("ema_decay", [0, 0.5])
def test_it_is_what_a_run_to_that_step_leaves(
    folder: Path, tmp_path: Path, ema_decay: float
) -> None:
    out = tmp_path / "out"
    metrics = run(folder, out, ema_decay=ema_decay)
    step, psnr = max(curve(out), key=lambda row: row[1])
    assert step < 8, "choose a rate with which the last is not the best"
    run(folder, tmp_path / "short", steps=step, ema_decay=ema_decay)
    one, other = out / "best" / "sisr.safetensors", tmp_path / "short" / "sisr.safetensors"
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes() != (out / "sisr.safetensors").read_bytes()

    best = load_checkpoint(out / "best")
    assert (best.info.step, best.info.metrics["validation_psnr_db"]) == (step, psnr)
    assert load_checkpoint(out).info.step == 8
    (last,), (method,) = read_methods([out]), read_methods([out / "best"])
    assert last.checkpoint == out / "sisr.safetensors"
    assert method.checkpoint == one
    card = json.loads((out / "card.json").read_text())
    assert card["step"] == 8
    bicubic = metrics["validation_bicubic_psnr_db"]
    assert card["best"] == {
        "checkpoint": "best/sisr.safetensors",
        "weights_sha256": file_sha256(one),
        "step": step,
        "validation_psnr_db": psnr,
        "validation_bicubic_psnr_db": bicubic,
    }


def test_it_outlives_a_stop(
    folder: Path, tmp_path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder, tmp_path / "fresh")
    step = Trainer.step
    for stop in (5, 2, 9):  # after a state with the best in it, or before; then to the end
        left = [stop]

        def stopped(*arguments: Any, left: list[int] = left, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return step(*arguments, **options)

        monkeypatch.setattr(Trainer, "step", stopped)
        if stop < 9:
            with pytest.raises(KeyboardInterrupt):
                run(folder, tmp_path / "out")
            assert not (tmp_path / "out" / "best").exists()
        else:
            run(folder, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_phases_are_not_compared(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([40.0, 41.0, 30.0, 32.0, 32.0, 31.0, 31.0])
    monkeypatch.setattr(trainer, "mean_psnr", lambda *_: next(values))
    params = SrnttRecipe(
        channels=4, blocks=(0, 0, 0, 0), warmup_steps=2, reconstruction_steps=0, steps=4,
        batch_size=2, patch_px=32, validation_pairs=1, validate_every=1,
    )  # fmt: skip
    train(params, folder, tmp_path, folder / "swaps", device="cpu")
    assert load_checkpoint(tmp_path / "best").info.step == 4  # the first of the highest


def test_best_of_no_validation_is_none() -> None:
    assert Progress(0, [], []).best is None


def test_a_run_without_steps_has_one(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path, steps=0)
    one, two = (tmp_path / name / "sisr.safetensors" for name in ("", "best"))
    assert one.read_bytes() == two.read_bytes()


def test_it_goes_with_the_run_that_is_replaced(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path)
    before = (tmp_path / "best" / "sisr.safetensors").read_bytes()
    run(folder, tmp_path, seed=1, overwrite=True)
    assert (tmp_path / "best" / "sisr.safetensors").read_bytes() != before
    params = SrnttRecipe(
        channels=4, blocks=(0, 0, 0, 0), warmup_steps=1, reconstruction_steps=0, steps=0,
        batch_size=2, patch_px=32, validation_pairs=1,
    )  # fmt: skip
    train(params, folder, tmp_path, folder / "swaps", device="cpu", overwrite=True)
    left = sorted(path.name for path in (tmp_path / "best").iterdir())
    assert left == ["srntt-l2.json", "srntt-l2.safetensors"]
