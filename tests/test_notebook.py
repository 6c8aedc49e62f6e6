"""docs/notebook.ipynb runs from its first cell to its last, and holds no outputs that could grow old."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "notebook.ipynb"


def outputs(cell: Any, kind: str) -> list[str]:
    """What a cell printed (`text`) or showed (a MIME type)."""
    if kind == "text":
        return [out["text"] for out in cell.outputs if out.output_type == "stream"]
    return [out["data"][kind] for out in cell.outputs if kind in out.get("data", {})]


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
    table = "".join(outputs(cells[-2], "text"))
    assert [line.split()[0] for line in table.splitlines()][:2] == ["Bicubic", "SRNTT-l2"]
    assert len(outputs(cells[-1], "image/png")) == 1


def test_its_network_learns_from_the_reference(cells: list[Any]) -> None:
    rows = [line.split() for line in "".join(outputs(cells[-2], "text")).splitlines()]
    psnr = {tuple(row[:2]): float(row[-3]) for row in rows}
    assert psnr["SRNTT-l2", "L1"] > psnr["Bicubic", "none"]


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
