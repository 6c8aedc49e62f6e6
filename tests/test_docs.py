"""The documentation holds what the code says today."""

import importlib.util
import re
from pathlib import Path

from srntt_pipeline.config import ClusterConfig, read_cluster_config

DOCS = Path(__file__).parents[1] / "docs"


def test_parameters_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_parameters", DOCS / "make_parameters.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "parameters.md").read_text(encoding="utf-8") == module.page()


def test_cluster_page_explains_every_key_of_the_config() -> None:
    text = (DOCS / "cluster.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))
    defaults = {key: field.default for key, field in ClusterConfig.model_fields.items()}
    assert list(rows) == list(defaults)
    for key, default in defaults.items():
        assert rows[key] == ("–" if default in (None, ()) else f"`{default}`")


def test_example_of_the_cluster_config_is_valid() -> None:
    example = DOCS.parent / "stages" / "slurm" / "cluster.yaml"
    assert read_cluster_config(example).jobs == 2
    known = set(ClusterConfig.model_fields)
    assert set(re.findall(r"^#? ?(\w+): ", example.read_text(), re.MULTILINE)) <= known
