"""The documentation holds what the code says today."""

import dataclasses
import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from torch import Tensor

import srntt_pipeline
from srntt_pipeline.albums.manifest_rows import TABLES
from srntt_pipeline.cli import cli
from srntt_pipeline.cluster_config import ClusterConfig, read_cluster_config
from srntt_pipeline.config import SwapParams
from srntt_pipeline.maps import EncoderIdentity
from srntt_pipeline.matching.correspondence import match_maps
from srntt_pipeline.matching.patches import PatchNumbers
from srntt_pipeline.swaps.shards import ShardHeader, Shards, StoredSwap, write_index, write_shard
from srntt_pipeline.swaps.swap import swap_layers

DOCS = Path(__file__).parents[1] / "docs"
PROJECT = (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")


def script(name: str) -> ModuleType:
    """Load a script of docs/."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["make_parameters", "make_schema"])
def test_a_page_made_by_a_script_is_up_to_date(name: str) -> None:
    module = script(name)
    assert module.PAGE.read_text(encoding="utf-8") == module.page()


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_described_in_the_schema_and_in_the_formats_page(table: str) -> None:
    schema = script("make_schema").schema()
    name = schema["properties"][table]["items"]["$ref"].split("/")[-1]
    columns = schema["$defs"][name]["properties"]
    assert list(columns) == [field.name for field in dataclasses.fields(TABLES[table])]
    assert all(column.get("description") for column in columns.values())
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    section = page.split(f"**`manifests/{table}`**")[1].split("**`manifests/")[0]
    assert [column for column in columns if f"`{column}`" not in section] == []


@pytest.mark.parametrize("refine", ["none", "relu3_1"])
def test_reader_of_the_formats_page_reads_shards_as_ours_does(
    tmp_path: Path, refine: Literal["none", "relu3_1"]
) -> None:
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(snippet.splitlines()) <= 30
    theirs: dict[str, Any] = {}
    exec(snippet, theirs)

    torch.manual_seed(0)
    lr, refs = torch.rand(256, 9, 8), [torch.rand(256, 7, 6), torch.rand(256, 12, 5)]
    found = match_maps(lr, refs)
    if refine != "none":  # whatever leads out of no version
        _, row, column = PatchNumbers(found.shapes).places(found.index)
        inside = (row < 4) & (column < 2)
        phase = torch.where(inside, torch.randint(16, row.shape), 0)
        found = replace(found, phase=phase.to(torch.uint8))
    # A map for each version in each phase, those of phase 0 are what was matched.
    raw = {(v, p): torch.rand_like(ref) if p else ref for v, ref in enumerate(refs)
           for p in range(16)}  # fmt: skip
    identity = EncoderIdentity("random, seed 0", "e" * 64)
    header = ShardHeader(identity, SwapParams(refine=refine), "f" * 64)
    path = tmp_path / "shard-00000.h5"
    write_shard(path, header, [StoredSwap("pair", "a" * 64, ("b" * 64,), found)])
    write_index(tmp_path, header, [(path, ["pair"])])

    class Maps:
        def __init__(self, version: int) -> None:
            self.version = version

        def cells(self, layer: str, phase: int, row: Tensor, column: Tensor) -> Tensor:
            return raw[self.version, phase][:, row, column].T

    stored = Shards(tmp_path)["pair"].correspondence
    assert torch.equal(stored.phases, found.phases)
    expected = swap_layers({"relu3_1": stored}, Maps)["relu3_1"]
    made, cosine = theirs["swapped_relu3_1"](path, "pair", lambda v, p: raw[v, p].numpy())
    np.testing.assert_allclose(made, expected.numpy(), rtol=1e-5)
    np.testing.assert_array_equal(cosine, stored.cosine.numpy())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_install_page_tells_how_a_shell_completes_commands(shell: str) -> None:
    page = (DOCS / "install.md").read_text(encoding="utf-8")
    (variable,) = set(re.findall(rf"(\w+)={shell}_source srntt-pipeline", page))
    environment = {variable: f"{shell}_complete", "COMP_WORDS": "srntt-pipeline pre",
                   "COMP_CWORD": "pre" if shell == "fish" else "1"}  # fmt: skip
    done = CliRunner().invoke(cli, env=environment, prog_name="srntt-pipeline")
    assert "precompute-swaps" in done.output


def test_the_install_page_names_every_extra() -> None:
    page = (DOCS / "install.md").read_text(encoding="utf-8")
    extras = re.findall(r"^\[project.optional-dependencies\]\n(.*?)^\[", PROJECT, re.M | re.S)[0]
    named = re.findall(r"^\| `(\w+)` \|", page, re.M)
    assert sorted(named) == sorted(re.findall(r"^(\w+) = \[", extras, re.M))


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((DOCS.parent / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == srntt_pipeline.__version__
    assert f'version = "{citation["version"]}"' in PROJECT
    assert f'"{citation["authors"][0]["name"]}"' in PROJECT
    assert citation["preferred-citation"]["title"] in (DOCS.parent / "README.md").read_text(
        encoding="utf-8"
    ).replace("\n", " ")


def test_the_readme_and_the_site_lead_to_every_page() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    files = {page: DOCS.parent / f"{page.upper()}.md" for page in ("changelog", "contributing")}
    for page in pages:
        link = files[page].name if page in files else f"docs/{page}.md"
        assert f"({link}" in readme, page
    trees = re.findall(r"^```{toctree}\n(.*?)```", (DOCS / "index.md").read_text(), re.M | re.S)
    assert sorted(re.findall(r"^[\w-]+$", "".join(trees), re.M)) == sorted(pages)


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
