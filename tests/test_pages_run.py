"""The Python of README.md and docs/ runs, block after block, on a tiny data set."""

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from srntt_pipeline import api
from srntt_pipeline.albums.demo import DemoAlbumJob, write_album
from srntt_pipeline.api import load_checkpoint, make_hr, read_rgb, read_test_set
from srntt_pipeline.config import DemoAlbumsParams
from srntt_pipeline.degradation import PAPER_MAKING
from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.metrics import METRICS
from srntt_pipeline.models import registry
from srntt_pipeline.recipes import RECIPES
from srntt_pipeline.training.objective import LOSSES

DOCS = Path(__file__).parents[1] / "docs"
README = "../README.md"
FOLDERS = "srntt_pipeline|tests|docs|stages|params|benchmarks"
PARAMS = """
build: {long_side_px: 160, crop_px: 64, levels: 2, levels_by: quantiles, train_pairs: 4,
        test_groups: 1, crops_per_pair: 2}
swaps: {encoder_weights: random, scales: [1.0], rotations_deg: [0.0]}
evaluate: {protocol: luma}
"""
TRAIN = """
train:
  srntt: {channels: 4, blocks: [1, 1, 1, 1], warmup_steps: 1, reconstruction_steps: 1, steps: 0,
          batch_size: 2, patch_px: 64}
"""


def blocks(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def blocks_with(text: str) -> list[str]:
    return [block for block in blocks("adding.md") if text in block]


def run(page: str, module: str) -> dict[str, Any]:
    """Run a page's blocks as one module."""
    names: dict[str, Any] = {"__name__": module}
    for number, block in enumerate(blocks(page), 1):
        file = Path(f"{module}_{number}.py").absolute()  # which tracebacks and hashes look at
        file.write_text(block)
        exec(compile(block, str(file), "exec"), names)
    return names


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with two albums and a params file, which is the working folder."""
    folder = tmp_path_factory.mktemp("reader")
    demo = DemoAlbumsParams(photos_min=4, photos_max=4, long_side_px=200)
    for scene in ("cat", "coffee"):
        write_album(DemoAlbumJob(scene, folder / "albums" / scene, demo))
    (folder / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module")
def read(place: Path) -> dict[str, Any]:
    """The names that docs/api.md leaves behind."""
    return run("api.md", "api_page")


def test_the_start_of_the_readme_goes_from_photos_to_a_table(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a tiny `laptop`: a file of that name goes before the packaged one."""
    (start := place / "start").mkdir()
    monkeypatch.chdir(start)
    shutil.copytree(place / "albums", "photos", ignore=shutil.ignore_patterns(".srntt_pipeline"))
    Path("laptop").write_text(PARAMS + TRAIN)
    run(README, "readme")
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [words[0] for words in printed][:3] == ["Bicubic", "SRNTT-l2", "SRNTT-l2"]
    assert all(0 < float(words[-1]) <= 1 < float(words[-2]) for words in printed)


def test_the_loop_of_the_api_page_learns(read: dict[str, Any]) -> None:
    batch = next(iter(DataLoader(read["swapped"], batch_size=len(read["swapped"]))))
    torch.manual_seed(0)
    before, after = read["Fuse"](), read["network"]
    with torch.no_grad():
        errors = [
            float((network(batch["lr"], batch["maps"], batch["weight"]) - batch["hr"]).abs().mean())
            for network in (before, after)
        ]
    assert errors[1] < 0.9 * errors[0]


def test_the_methods_of_the_api_page_stand_in_the_table(read: dict[str, Any]) -> None:
    rows = {(row["method"], row["reference"]) for row in read["rows"]}
    assert {("Bicubic", "none"), ("Fuse", "L1"), ("Fuse", "all"), ("Mean colour", "L1")} <= rows
    assert all(name in (Path("results") / "table.md").read_text() for name in ("Fuse", "Mean col"))


@pytest.fixture(scope="module")
def added(read: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The names that docs/adding.md leaves behind; the registries are as before afterwards."""
    tables: list[dict[str, Any]] = [registry._MODELS, RECIPES, LOSSES, METRICS, PROTOCOLS]
    before = [dict(table) for table in tables]
    yield run("adding.md", "adding_page")
    for table, kept in zip(tables, before, strict=True):
        table.clear()
        table.update(kept)


def test_the_tests_of_the_adding_page_pass(added: dict[str, Any]) -> None:
    tests = [name for name in added if name.startswith("test_")]
    assert len(tests) == len(blocks_with("def test_"))
    for name in tests:
        added[name]()


def test_the_network_of_the_adding_page_stands_in_the_table(added: dict[str, Any]) -> None:
    assert [(row["method"], row["reference"]) for row in added["rows"]] == [
        ("Bicubic", "none"), ("ESPCN", "none"),
    ]  # fmt: skip
    assert load_checkpoint(Path("espcn")).info.recipe == "espcn"
    assert added["rows"][1]["parameters"] == 28 * 16 + (16 * 9 + 1) * 48


EVALUATE = """
from pathlib import Path
from srntt_pipeline.api import EvaluateParams, evaluate

params = EvaluateParams(protocol=(wide.name,), metric=("mae",))
rows = evaluate(
    Path("dataset"), Path("added"), params, methods=["Lanczos=lanczos_sr:Lanczos"], device="cpu"
)
assert [row["method"] for row in rows] == ["Bicubic", "Lanczos"]
"""


def test_methods_metrics_and_protocols_of_the_adding_page_are_measured(
    read: dict[str, Any],
) -> None:
    """In a process of its own, where they are known from the start, as they are in our files."""
    (method,), (metric,), (protocol,) = map(
        blocks_with, ("class Lanczos", "@metric", "PROTOCOLS[wide.name]")
    )
    Path("lanczos_sr.py").write_text(method)
    script = Path("evaluate_added.py")
    script.write_text("\n".join(["import numpy as np", metric, protocol, EVALUATE]))
    package = str(DOCS.parent)
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": package},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Path("added", "per_image.csv").open(newline="") as file:
        per_image = list(csv.DictReader(file))
    assert "| MAE |" in re.sub(" +", " ", Path("added", "table.md").read_text())
    assert "mae_low" in Path("added", "table.csv").read_text().splitlines()[0]
    hr = read_rgb(read_test_set(Path("dataset")).groups[0].hr)
    for row in per_image:
        assert row["border_px"] == "8"
        sr = read_rgb(Path("added") / row["picture"])
        expected = np.abs(make_hr(hr, PAPER_MAKING).astype(int) - sr).mean()
        assert float(row["mae"]) == pytest.approx(expected)


def test_the_files_that_the_adding_page_names_are_there() -> None:
    for page in ("adding.md", "architecture.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        named = set(re.findall(rf"`((?:{FOLDERS})/[\w/.-]+)`", text))
        assert len(named) > 3
        assert [name for name in sorted(named) if not (DOCS.parent / name).exists()] == []


def test_everything_public_is_described_and_listed() -> None:
    for name in api.__all__:
        found = getattr(api, name)
        assert getattr(found, "__doc__", None), name
    words = set(re.findall(r"\w+", api.__doc__ or ""))
    functions = [n for n in api.__all__ if n.islower()]
    assert [name for name in functions if name not in words] == []


def test_the_package_is_typed() -> None:
    assert (Path(sys.modules["srntt_pipeline"].__file__ or "").parent / "py.typed").is_file()
