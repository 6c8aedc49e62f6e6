"""A disk that is full, at whatever byte: one line that names a file, and later the same bytes."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import MARK
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.recipes.sisr import SisrRecipe

PARAMS = SisrRecipe(
    channels=4, blocks=1, steps=12, batch_size=1, patch_px=16, validation_pairs=1,
    validate_every=5, checkpoint_every=6,
)  # fmt: skip
SIZE = 1 << 20
Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of SIZE bytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def run(folder: Path, out: Path, *, overwrite: bool = False, **changes: int) -> None:
    params = PARAMS.model_copy(update=changes)
    train(params, folder, out, device="cpu", overwrite=overwrite)


def fill(disk: Path, room: int) -> Path:
    """Leave so many bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        block = bytes(4096)
        try:
            while file.write(block) == len(block):
                pass
        except OSError:
            pass
        file.truncate(file.tell() - min(room, file.tell()))
    return filler


def runs_into_it(folder: Path, disk: Path, room: int, **options: Any) -> bool:
    """Run with so much room; return whether it was too little."""
    filler = fill(disk, room)
    told = ""
    try:
        run(folder, disk / "out", **options)
    except InputError as error:
        told = str(error)
    except OSError as error:  # told by `console.reporting`
        told = f"{error.filename}: {error.strerror}"
    filler.unlink()
    if told:
        assert told.startswith(str(disk / "out"))
        assert "No space left on device" in told
        assert "\n" not in told
        assert not list((disk / "out" / MARK).glob("partial/*"))
    return bool(told)


def test_with_room_again_a_run_ends_as_if_undisturbed(
    folder: Path, tmp_path: Path, disk: Path, contents: Contents
) -> None:
    run(folder, tmp_path / "undisturbed")
    expected = contents(tmp_path / "undisturbed")
    assert "dvclive/metrics.json" in expected
    full = []
    for kib in (0, 4, 16, 28, 44, 60, 100, 140, 180, 300):
        full.append(runs_into_it(folder, disk, 1024 * kib))
        if full[-1]:
            run(folder, disk / "out")
        found = contents(disk / "out")
        assert found.keys() == expected.keys()
        assert [name for name in found if found[name] != expected[name]] == []
        subprocess.run(["rm", "-r", disk / "out"], check=True)
    assert full[0]
    assert not full[-1]


def test_a_full_disk_keeps_the_run_that_was_to_be_replaced(
    folder: Path, tmp_path: Path, disk: Path, contents: Contents
) -> None:
    run(folder, disk / "out")
    before = contents(disk / "out")
    wider = {"channels": 12}
    assert runs_into_it(folder, disk, 0, overwrite=True, **wider)
    kept = contents(disk / "out")
    lost = {name for name in before if kept.get(name) != before[name]}
    assert {Path(name).parts[0] for name in lost} <= {"dvclive"}  # made anew from the state
    run(folder, disk / "out", overwrite=True, **wider)
    run(folder, tmp_path / "undisturbed", **wider)
    assert contents(disk / "out") == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe"])
def test_damaged_curves_stop_nothing(
    folder: Path, tmp_path: Path, contents: Contents, damage: bytes
) -> None:
    run(folder, tmp_path)
    before = contents(tmp_path)
    for name in before:
        if name.startswith("dvclive") and not name.endswith(".png"):
            (tmp_path / name).write_bytes(damage)
    run(folder, tmp_path)
    assert contents(tmp_path) == before
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)
