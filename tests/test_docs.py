"""The documentation holds what the code says today."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_parameters_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_parameters", DOCS / "make_parameters.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "parameters.md").read_text(encoding="utf-8") == module.page()
