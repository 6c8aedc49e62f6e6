"""The Python of docs/api.md and docs/adding.md runs, block after block, on a tiny data set."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from srntt_pipeline import api
from srntt_pipeline.albums.demo import DemoAlbumJob, write_album
from srntt_pipeline.config import DemoAlbumsParams

DOCS = Path(__file__).parents[1] / "docs"
PARAMS = """
build: {long_side_px: 160, crop_px: 64, levels: 2, levels_by: quantiles, train_pairs: 4,
        test_groups: 1, crops_per_pair: 2}
swaps: {encoder_weights: random, scales: [1.0], rotations_deg: [0.0]}
evaluate: {protocol: luma}
"""


def blocks(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run(page: str, module: str) -> dict[str, Any]:
    """Run a page's blocks as one module."""
    names: dict[str, Any] = {"__name__": module}
    for number, block in enumerate(blocks(page), 1):
        exec(compile(block, f"docs/{page}, block {number}", "exec"), names)
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


def test_everything_public_is_described_and_listed() -> None:
    for name in api.__all__:
        found = getattr(api, name)
        assert getattr(found, "__doc__", None), name
    words = set(re.findall(r"\w+", api.__doc__ or ""))
    functions = [n for n in api.__all__ if n.islower()]
    assert [name for name in functions if name not in words] == []


def test_the_package_is_typed() -> None:
    assert (Path(sys.modules["srntt_pipeline"].__file__ or "").parent / "py.typed").is_file()
