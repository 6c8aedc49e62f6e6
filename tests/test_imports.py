"""What DVC's stages depend on of the code: all that their scripts import, and no more."""

import subprocess
import sys
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
import yaml

from srntt_pipeline.imports import imported, write_imports

REPOSITORY = Path(__file__).resolve().parents[1]
STAGES = REPOSITORY / "stages"
SCRIPTS = sorted(STAGES.glob("*.py"))


def modules(script: Path) -> set[Path]:
    return {path for path in imported(script, REPOSITORY) if path.suffix == ".py"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_stage_depends_on_every_module_that_its_script_imports(script: Path) -> None:
    """By Python's own ModuleFinder, which reads bytecode; it knows not what is for types alone."""
    finder = ModuleFinder(path=[str(REPOSITORY)])
    finder.run_script(str(script))
    files = {Path(module.__file__) for module in finder.modules.values() if module.__file__}
    beyond = files - {script} - modules(script)
    if beyond:
        told = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sys.modules)"
        command = [sys.executable, "-c", told, str(script)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        loaded = done.stdout.split()
        names = {name for name, module in finder.modules.items() if module.__file__}
        names = {name for name in names if Path(finder.modules[name].__file__ or "") in beyond}
        assert not names & set(loaded)


def test_every_stage_of_dvc_depends_on_what_its_script_imports() -> None:
    content = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())
    for name, stage in content["stages"].items():
        stage = stage.get("do", stage)
        script = Path(stage["cmd"].split()[1])
        if name == "imports":
            assert {"stages", "srntt_pipeline"} <= set(stage["deps"])
            assert stage["outs"] == ["${run}/imports"]
        else:
            assert stage["deps"][0] == f"${{run}}/imports/{script.stem}.txt"


def test_what_a_stage_does_not_import_does_not_run_it_again() -> None:
    folders = {
        script.stem: {path.relative_to(REPOSITORY).parts[1] for path in modules(script)}
        for script in SCRIPTS
    }
    assert not {"evaluation", "methods", "albums", "cli.py"} & folders["train"]
    assert not {"evaluation", "methods", "albums", "cli.py"} & folders["precompute_swaps"]
    assert not {"evaluation", "methods", "models", "swaps", "cli.py"} & folders["build_cufed5"]
    assert not {"albums", "cli.py"} & folders["evaluate"]
    assert not {"albums", "evaluation", "cli.py"} & folders["super_resolve"]
    networks = (REPOSITORY / "srntt_pipeline" / "models").glob("*.py")
    assert set(networks) <= modules(STAGES / "train.py")  # its package imports them by pkgutil


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small house of the same make: a script, and what it imports one way or another."""
    files = {
        "stages/one.py": "from srntt_pipeline import a\n",
        "stages/two.py": "import json\n",
        "srntt_pipeline/__init__.py": "",
        "srntt_pipeline/a.py": '"""Says."""\n'
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from srntt_pipeline import for_types\n"
        "def late():\n    import srntt_pipeline.deep.b\n",
        "srntt_pipeline/for_types.py": "",
        "srntt_pipeline/other.py": "",
        "srntt_pipeline/plug/__init__.py": "import pkgutil\n",
        "srntt_pipeline/plug/in_it.py": "",
        "srntt_pipeline/deep/__init__.py": "",
        "srntt_pipeline/deep/b.py": "from srntt_pipeline.plug import all\n",
        "srntt_pipeline/deep/page/index.html": "a page",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def written(house: Path) -> dict[str, str]:
    write_imports(house / "stages", house / "out")
    return {path.stem: path.read_text() for path in (house / "out").iterdir()}


def test_what_is_imported_late_by_others_or_by_name_counts(house: Path) -> None:
    told = {name: text.split()[1::2] for name, text in written(house).items()}
    assert told == {
        "one": [
            "stages/one.py",
            "srntt_pipeline/__init__.py",
            "srntt_pipeline/a.py",
            "srntt_pipeline/deep/__init__.py",
            "srntt_pipeline/deep/b.py",
            "srntt_pipeline/deep/page/index.html",
            "srntt_pipeline/plug/__init__.py",
            "srntt_pipeline/plug/in_it.py",
        ],
        "two": ["stages/two.py"],
    }


@pytest.mark.parametrize(
    ("name", "content", "changes"),
    [
        ("a.py", "from srntt_pipeline.deep import b\n", {"one"}),
        ("plug/in_it.py", "DEFAULT = 2\n", {"one"}),
        ("deep/page/index.html", "another page", {"one"}),
        ("plug/in_it.py", '"""A docstring."""\n\n# A comment\n', set()),
        ("other.py", "DEFAULT = 2\n", set()),
        ("for_types.py", "DEFAULT = 2\n", set()),
    ],
)
def test_a_change_that_changes_a_result(
    house: Path, name: str, content: str, changes: set[str]
) -> None:
    before = written(house)
    (house / "srntt_pipeline" / name).write_text(content)
    after = written(house)
    assert {script for script in before if before[script] != after[script]} == changes
