"""docs/notebook.ipynb runs from its first cell to its last; it holds no outputs to grow old."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "notebook.ipynb"


def table(cells: list[Any]) -> list[list[str]]:
    """Return the words of each line that the cell before the last printed."""
    printed = [out for out in cells[-2].outputs if out.get("name") == "stdout"]
    return [line.split() for out in printed for line in out["text"].splitlines() if line]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The cells after a run in a kernel of its own."""
    place = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(place))  # where it writes
        patch.setenv("IPYTHONDIR", str(place / "ipython"))
        patch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(notebook, timeout=250, resources={"metadata": {"path": place}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_notebook_ends_with_a_table_and_a_picture(cells: list[Any]) -> None:
    assert [words[0] for words in table(cells)][:2] == ["Bicubic", "SRNTT-l2"]
    assert [list(out["data"]) for out in cells[-1].outputs if "image/png" in out.get("data", {})]


def test_its_network_learns_from_the_reference(cells: list[Any]) -> None:
    psnr = {tuple(words[:2]): float(words[-3]) for words in table(cells)}
    assert psnr["SRNTT-l2", "L1"] > psnr["Bicubic", "none"]


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
