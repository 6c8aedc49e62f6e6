"""A damaged state ends in one line that names the file and what to do, and loses nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK, file_sha256
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.recipes.sisr import SisrRecipe

PARAMS = SisrRecipe(
    channels=4, blocks=0, steps=2, batch_size=2, patch_px=32, validation_pairs=1,
    validate_every=2, checkpoint_every=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("state")
    train(PARAMS, folder, out, device="cpu")
    return out


@pytest.fixture
def state(finished: Path, tmp_path: Path) -> Path:
    """The state's folder in a copy of a finished run."""
    (found,) = Path(shutil.copytree(finished, tmp_path / "out")).glob("resume/*/step-00000002")
    return found


def refused(folder: Path, state: Path, file: str, contents: Any, told: str = "resume") -> None:
    out = state.parents[2]
    before = contents(out)
    for overwrite in (False, True):  # it allows to replace another run, not to lose this one
        with pytest.raises(InputError, match=told) as caught:
            train(PARAMS, folder, out, device="cpu", overwrite=overwrite)
        assert f"{state / file}" in str(caught.value)
        assert f"delete {state} to" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert contents(out) == before


def put(*place: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: Any) -> None:
        for key in place[:-1]:
            content = content[key]
        content[place[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("step", value="2"),
        put("step", value=2.5),
        put("step", value=True),
        put("step", value=10**15),
        put("step", value=-1),
        put("made_from", value="0f3a"),
        put("schedule", "validate_every", value=0),
        put("schedule", value={}),
        put("sha256", value=[]),
        put("sha256", "model.safetensors", value=1),
        put("more", value=1),
        lambda content: content.pop("step"),
        lambda content: content.pop("made_from"),
        lambda content: content["sha256"].pop("model.safetensors"),
        lambda content: content["sha256"].pop("losses.csv"),
    ],
)
def test_a_damaged_state_json(
    folder: Path, state: Path, contents: Any, change: Callable[[Any], Any]
) -> None:
    content = json.loads((state / "state.json").read_text())
    change(content)
    (state / "state.json").write_text(json.dumps(content))
    refused(folder, state, "", contents)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff", b'{"step": 2}'])
def test_no_state_json(folder: Path, state: Path, contents: Any, content: bytes) -> None:
    (state / "state.json").write_bytes(content)
    refused(folder, state, "state.json", contents)


def test_a_missing_state_json(folder: Path, state: Path, contents: Any) -> None:
    (state / "state.json").unlink()
    refused(folder, state, "state.json", contents, "missing")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimiser.safetensors", "losses.csv", "validations.csv"]
)
def test_a_damaged_file(folder: Path, state: Path, contents: Any, name: str) -> None:
    file = state / name
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    for damaged in (bytes(content), bytes(content[:-9]), b""):
        file.write_bytes(damaged)
        refused(folder, state, file.name, contents, "is damaged")
    file.unlink()
    refused(folder, state, file.name, contents, "is missing")


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("model", lambda tensors: {k: v[:1] if v.ndim else v for k, v in tensors.items()}),
        ("model", lambda tensors: {}),
        ("model", lambda tensors: {k: torch.full_like(v, torch.nan) for k, v in tensors.items()}),
        ("optimiser", lambda tensors: {k: v[:1] if v.ndim else v for k, v in tensors.items()}),
        ("optimiser", lambda tensors: {"a": torch.zeros(1)}),
        ("optimiser", lambda tensors: {"0.step": torch.zeros(())}),
        ("optimiser", lambda tensors: {f"9{k}": v for k, v in tensors.items()}),
    ],
)
def test_other_tensors_under_a_right_hash(
    folder: Path, state: Path, contents: Any, part: str, change: Callable[[Any], Any]
) -> None:
    file = state / f"{part}.safetensors"
    save_file(change(load_file(file)), file)
    content = json.loads((state / "state.json").read_text())
    content["sha256"][file.name] = file_sha256(file)
    (state / "state.json").write_text(json.dumps(content))
    refused(folder, state, file.name, contents)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("losses.csv", ""),
        ("losses.csv", "step,phase\n1,a\n2,a\n"),
        ("losses.csv", "step,phase,loss\n1,a,1\n2,a,nan\n"),
        ("losses.csv", "step,phase,loss\n1,a,1\n2,a,1e999\n"),
        ("losses.csv", "step,phase,loss\n1,a,1\n2,a\n"),
        ("losses.csv", "step,phase,loss\n1,a,1\n1,a,1\n"),
        ("losses.csv", "step,phase,loss\n1,a,1\n2,a,\0\n"),
        ("losses.csv", 'step,phase,loss\n1,a,1\n2,a,"1"1\n'),
        ("validations.csv", "step,phase,psnr_db\n3,a,1\n"),
        ("validations.csv", "step,phase,psnr_db\n2,a,1\n1,a,1\n"),
        ("validations.csv", "step,phase,psnr_db\n2,a,-inf\n"),
    ],
)
def test_other_curves_under_a_right_hash(
    folder: Path, state: Path, contents: Any, name: str, text: str
) -> None:
    (state / name).write_text(text)
    content = json.loads((state / "state.json").read_text())
    content["sha256"][name] = file_sha256(state / name)
    (state / "state.json").write_text(json.dumps(content))
    refused(folder, state, name, contents)


def test_a_state_of_another_version_is_told_and_can_be_replaced(
    folder: Path, state: Path, finished: Path, contents: Any
) -> None:
    out = state.parents[2]
    (state / "state.json").write_text('{"made_from": "0f3a", "step": 2}')
    mark = out / MARK / "mark.json"
    mark.write_text(mark.read_text().replace(state.parent.name, "0123456789ab"))
    state.parent.rename(out / "resume" / "0123456789ab")
    with pytest.raises(InputError, match="is damaged, or of another version"):
        train(PARAMS, folder, out, device="cpu")
    train(PARAMS, folder, out, device="cpu", overwrite=True)
    assert contents(out) == contents(finished)
