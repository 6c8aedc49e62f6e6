"""The package as others install it: a wheel, in a folder of its own, run outside the repository."""

import email
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "srntt_pipeline"
PARAMS = sorted((REPOSITORY / "params").glob("*.yaml"))

if importlib.util.find_spec("hatchling") is None:
    pytest.skip("needs hatchling, which builds the wheel", allow_module_level=True)

EVERY_COMMAND = """
import importlib, pkgutil, sys
import click
import srntt_pipeline
from srntt_pipeline.cli import cli

def commands(command, names=()):
    yield names
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, (*names, name))

for names in commands(cli):
    cli([*names, "--help"], prog_name="srntt-pipeline", standalone_mode=False)
    print("shown:", *names)
for module in pkgutil.walk_packages(srntt_pipeline.__path__, "srntt_pipeline."):
    importlib.import_module(module.name)
for name, module in list(sys.modules.items()):
    if name.split(".")[0] == "srntt_pipeline":
        print("loaded:", name, module.__file__, sep="|")
"""


TINY = """
build: {long_side_px: 160, crop_px: 64, levels: 2, levels_by: quantiles, train_pairs: 4,
        test_groups: 1}
swaps: {encoder_weights: random, scales: [1.0], rotations_deg: [0.0]}
train:
  srntt: {channels: 4, blocks: [1, 1, 1, 1], warmup_steps: 1, reconstruction_steps: 1, steps: 0,
          batch_size: 2, patch_px: 64}
evaluate: {protocol: luma}
"""


EVERY_NAME = """
from srntt_pipeline.config import read_params
from srntt_pipeline.params_files import packaged_params

for name, path in packaged_params().items():
    assert read_params(name) == read_params(path)
    print(name, path)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *command, str(REPOSITORY)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    target = wheel.parent / "installed"
    command = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    return target


def run(installed: Path, folder: Path, *arguments: str, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def test_a_wheel_holds_all_of_the_package_and_nothing_else(wheel: Path) -> None:
    ours = {
        path.relative_to(REPOSITORY).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    params = {f"srntt_pipeline/params/{path.name}": path for path in PARAMS}
    params["srntt_pipeline/params/demo.yaml"] = REPOSITORY / "params.yaml"
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == ours | set(params)
        for name, path in params.items():
            assert archive.read(name) == path.read_bytes()
    assert {"srntt_pipeline/py.typed", "srntt_pipeline/evaluation/paper_tables.csv"} <= ours


def test_a_wheel_says_who_made_it_and_where_the_paper_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = email.message_from_bytes(archive.read(name))
    assert (told["Author"], told["License-Expression"]) == (
        "The srntt_pipeline founders", "Apache-2.0",
    )  # fmt: skip
    assert told["Project-URL"].startswith("Paper")


def test_an_installed_wheel_finds_its_params_files_by_name(installed: Path, tmp_path: Path) -> None:
    lines = run(installed, tmp_path, "-c", EVERY_NAME).splitlines()
    names = sorted([*(path.stem for path in PARAMS), "demo"])
    assert lines == [f"{name} {installed}/srntt_pipeline/params/{name}.yaml" for name in names]
    command, listed = str(installed / "bin" / "srntt-pipeline"), ", ".join(names)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    asked = ["count-matches", "one.png", "one.png", "--params"]
    assert int(run(installed, tmp_path, command, *asked, "laptop")) > 0
    told = run(installed, tmp_path, command, *asked, "labtop", code=2)
    assert told == f"Error: labtop: no such params file; those that have a name are {listed}\n"


def test_every_command_and_module_of_an_installed_wheel_is_found_there(
    installed: Path, tmp_path: Path
) -> None:
    lines = run(installed, tmp_path, "-c", EVERY_COMMAND).splitlines()
    shown = {line.removeprefix("shown:").strip() for line in lines if line.startswith("shown:")}
    assert {"", "train edsr", "shards verify", "evaluate", "tables"} <= shown
    loaded = dict(line.split("|")[1:] for line in lines if line.startswith("loaded:"))
    modules = {path.relative_to(REPOSITORY).with_suffix("") for path in PACKAGE.rglob("*.py")}
    assert set(loaded) == {".".join(path.parts).removesuffix(".__init__") for path in modules}
    assert all(Path(file).is_relative_to(installed) for file in loaded.values())


def test_the_commands_of_the_readme_run_from_an_installed_wheel(
    installed: Path, tmp_path: Path
) -> None:
    """In a fresh folder, from photos to a table, by a tiny `laptop` of that folder."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## From albums to a table")[2]
    lines = section.partition("```sh\n")[2].partition("```")[0].splitlines()
    commands = [line.split() for line in lines if line.startswith("srntt-pipeline ")]
    assert [words[1] for words in commands] == [
        "build-cufed5", "precompute-swaps", "train", "evaluate", "tables", "super-resolve",
    ]  # fmt: skip
    for name in ("astronaut", "coffee"):
        _save_album(tmp_path / "photos" / name, getattr(skimage.data, name)())
    for name, size in (("small.png", (32, 24)), ("a.jpg", (96, 64)), ("b.jpg", (64, 64))):
        Image.fromarray(skimage.data.coffee()).resize(size).save(tmp_path / name)
    (tmp_path / "laptop").write_text(TINY)
    program = str(installed / "bin" / "srntt-pipeline")
    for words in commands:
        run(installed, tmp_path, program, *words[1:], "--params", "laptop")
    assert "SRNTT" in (tmp_path / "tables" / "table1.md").read_text()
    assert "<table" in (tmp_path / "results" / "index.html").read_text()
    assert Image.open(tmp_path / "large.png").size == (128, 96)


def _save_album(folder: Path, photograph: np.ndarray) -> None:
    """Save four photos, each less like the first than the one before."""
    folder.mkdir(parents=True)
    for number, shift in enumerate((0, 12, 40, 70)):
        view = photograph[20 + shift // 2 :, 60 + shift :][:200, :260]
        Image.fromarray(np.ascontiguousarray(view)).save(folder / f"{number}.png")
