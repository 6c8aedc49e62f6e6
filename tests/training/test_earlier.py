"""A folder that holds another run: what is told of it, and that it stays until it is replaced."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import srntt_pipeline
from srntt_pipeline.errors import InputError
from srntt_pipeline.recipes.sisr import SisrRecipe
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.training.job import make_job
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.products import planned_files
from srntt_pipeline.training.trainer import Trainer

PARAMS = SisrRecipe(
    channels=4, blocks=1, steps=6, batch_size=2, patch_px=32, learning_rate=1e-3,
    validation_pairs=1, validate_every=2, checkpoint_every=3,
)  # fmt: skip
Contents = Callable[[Path], dict[str, bytes]]


def changed(**changes: Any) -> SisrRecipe:
    return PARAMS.model_copy(update=changes)


def run(dataset: Path, out: Path, *, overwrite: bool = False, **changes: Any) -> dict[str, float]:
    return train(changed(**changes), dataset, out, device="cpu", overwrite=overwrite)


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    run(folder, out)
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A folder that holds a finished run of PARAMS."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.fixture
def dataset(folder: Path, tmp_path: Path) -> Path:
    """The pairs, to be changed."""
    shutil.copytree(folder / "train", tmp_path / "data" / "train")
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"learning_rate": 2e-3}, r"learning_rate was 0\.001, is 0\.002;"),
        ({"seed": 1, "augment": True}, "augment was false, is true, seed was 0, is 1;"),
        ({"steps": 5}, "steps was 6, is 5, and 6 steps of all are made;"),
        ({"channels": 6, "blocks": 0}, "blocks was 1, is 0"),
    ],
    ids=str,
)
def test_what_differs_is_told(
    folder: Path, out: Path, contents: Contents, change: dict[str, Any], told: str
) -> None:
    before = contents(out)
    with pytest.raises(InputError, match=f"out holds another run: .*{told}") as caught:
        run(folder, out, **change)
    assert "--overwrite" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert contents(out) == before


def test_when_it_validates_and_saves_may_change(folder: Path, out: Path) -> None:
    run(folder, out, validate_every=1, checkpoint_every=1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"patch_px": 128}, r"\.png is smaller than patch_px = 128"),
        ({"learning_rate": 1e18}, "keeps the weights of the run before; lower learning_rate"),
    ],
    ids=str,
)
def test_a_wrong_option_leaves_the_run_before_as_it_was(
    folder: Path, out: Path, contents: Contents, change: dict[str, Any], told: str
) -> None:
    before = contents(out)
    with pytest.raises(InputError, match=told):
        run(folder, out, overwrite=True, **change)
    assert contents(out) == before


def test_a_run_is_replaced_when_another_has_saved_its_own(
    folder: Path, out: Path, tmp_path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, before = Trainer.step, contents(out)
    left = [2]

    def stopped(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return step(*arguments, **options)

    monkeypatch.setattr(Trainer, "step", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(folder, out, overwrite=True, seed=1)
    assert contents(out) == before  # no state was due
    left[0] = 4
    with pytest.raises(KeyboardInterrupt):
        run(folder, out, overwrite=True, seed=1)
    now = contents(out)
    states = {name for name in now if name.startswith("resume")}
    assert len({Path(name).parent for name in states}) == 1
    assert not states & before.keys()
    for name in ("sisr.safetensors", "card.json", "loss.csv"):
        assert now[name] == before[name]
    left[0] = 99
    run(folder, out, seed=1)  # allowed once, it goes on
    run(folder, tmp_path / "fresh", seed=1)
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_finished_run_without_its_states(folder: Path, out: Path, contents: Contents) -> None:
    before = contents(out)
    shutil.rmtree(out / "resume")
    with pytest.raises(InputError, match="its weights are of step 6, and its states are gone"):
        run(folder, out)
    with pytest.raises(InputError, match="another run: seed was 0, is 1;"):
        run(folder, out, seed=1)
    run(folder, out, overwrite=True)
    assert contents(out) == before


def test_pairs_are_part_of_a_run(dataset: Path, out: Path) -> None:
    first, second, *_ = sorted((dataset / "train" / "input").iterdir())
    Image.open(second).rotate(180).save(second)
    with pytest.raises(InputError, match=rf"run: pairs: 1 changed \({second.stem}\);"):
        run(dataset, out)
    first.rename(first.with_stem("another"))
    (dataset / "train" / "ref" / first.name).rename(dataset / "train" / "ref" / "another.png")
    with pytest.raises(InputError, match=rf"1 gone \({first.stem}\), 1 new \(another\), 1 changed"):
        run(dataset, out)


@pytest.mark.parametrize("package", [srntt_pipeline, torch], ids=lambda package: package.__name__)
def test_versions_are_part_of_a_run(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, package: Any
) -> None:
    version = package.__version__.partition("+")[0]
    monkeypatch.setattr(package, "__version__", "99.0+cpu")
    name = package.__name__
    with pytest.raises(InputError, match=rf"another run: {name} was {version}, is 99\.0"):
        run(folder, out)


def test_another_networks_checkpoint(folder: Path, out: Path, contents: Contents) -> None:
    params = SrnttRecipe(
        channels=4, blocks=(1, 1, 1, 1), warmup_steps=1, reconstruction_steps=0, steps=0,
        batch_size=2, patch_px=32, validation_pairs=1,
    )  # fmt: skip
    before = contents(out)
    with pytest.raises(InputError, match=r"blocks was 1, is .* more; name another folder"):
        train(params, folder, out, folder / "swaps", device="cpu")
    shutil.rmtree(out / "resume")
    with pytest.raises(InputError, match="another run: network was sisr, is srntt-l2;"):
        train(params, folder, out, folder / "swaps", device="cpu")
    assert before.items() >= contents(out).items()
    train(params, folder, out, folder / "swaps", device="cpu", overwrite=True)
    assert [path.name for path in out.glob("*.safetensors")] == ["srntt-l2.safetensors"]
    assert not (out / "sisr.json").exists()
    srntt = params.model_copy(update={"variant": "srntt"})
    with pytest.raises(InputError, match=r"another run: .*variant was srntt-l2, is srntt, "):
        train(srntt, folder, out, folder / "swaps", device="cpu")


def test_foreign_files_stay(folder: Path, out: Path) -> None:
    """Whatever lies between the files of the run that is replaced, or is damaged among them."""
    state = next((out / "resume").glob("*/step-*"))
    strange = [
        out / "dvclive" / "plots" / "metrics" / "train" / "mine.tsv",
        out / "dvclive" / "plots" / "images" / "sample" / "3.png",
        out / "dvclive" / "plots" / "images" / "sample" / "mine.png",
        out / "dvclive" / "params.yaml",
        out / "resume" / "mine" / "step-00000009" / "notes.txt",
        state / "notes.txt",
        out / "mine.safetensors",
    ]
    for path in strange:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff: [")
    (out / "dvclive" / "metrics.json").write_bytes(b"")
    run(folder, out)
    assert json.loads((out / "dvclive" / "metrics.json").read_text())["step"] == 6
    run(folder, out, overwrite=True, seed=1, steps=4)
    assert [path for path in strange if path.read_bytes() != b"\xff: ["] == []
    assert sorted(path.name for path in state.iterdir()) == ["notes.txt"]
    pictures = {path.stem for path in (out / "dvclive" / "plots" / "images" / "sample").iterdir()}
    assert pictures == {"2", "3", "4", "mine"}


def test_all_that_a_run_writes_is_planned(folder: Path, out: Path, contents: Contents) -> None:
    planned = planned_files(make_job(PARAMS, folder, None, torch.device("cpu")))
    written = {path for plan in planned for path in out.glob(str(plan)) if path.is_file()}
    assert {path.relative_to(out).as_posix() for path in written} == contents(out).keys()
