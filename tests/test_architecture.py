"""The rules of the house (docs/architecture.md): who may import whom."""

from pathlib import Path

import pytest
from import_graph import by_package, cycles, import_graph, imported_names

import srntt_pipeline

PACKAGE = Path(srntt_pipeline.__file__).parent
ROOT = PACKAGE.name
PAGE = PACKAGE.parent / "docs" / "architecture.md"
GRAPH = import_graph(PACKAGE)


def imports(importer: str, *imported: str) -> set[tuple[str, str]]:
    """Return the imports of `imported`, modules or packages, by `importer`, one or the other."""

    def within(module: str, names: tuple[str, ...]) -> bool:
        return any(module == name or module.startswith(f"{name}.") for name in names)

    return {
        (module, other)
        for module, others in ((_short(m), map(_short, o)) for m, o in GRAPH.items())
        for other in others
        if within(module, (importer,))
        and within(other, imported)
        and not within(other, (importer,))
    }


def importers(*imported: str) -> set[str]:
    """Return the modules that import one of these modules, beside these themselves."""
    return {
        _short(module)
        for module, others in GRAPH.items()
        if {_short(other) for other in others} & set(imported) and _short(module) not in imported
    }


def _short(module: str) -> str:
    return module.removeprefix(f"{ROOT}.")


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycles(GRAPH) == []


def test_no_packages_import_each_other_in_a_circle() -> None:
    assert cycles(by_package(GRAPH, ROOT)) == []


NETWORKS = (
    "models", "swaps.encoder", "swaps.cached_encoder", "swaps.flow", "swaps.upscaler",
    "swaps.learnt", "swaps.matcher", "swaps.image_matching", "swaps.windowed",
)  # fmt: skip
RULES = {
    "albums know no swaps": imports("albums", "swaps", "matching"),
    "matching knows tensors alone": imports("matching", "config", "models", "swaps", "albums",
                                            "methods", "training", "evaluation", "checkpoints"),
    "swaps know no albums": imports("swaps", "albums"),
    "neither knows what is made of them": imports("albums", "models", "methods", "training",
                                                  "evaluation")
    | imports("swaps", "methods", "training", "evaluation"),
    "evaluation reaches networks by methods alone": imports("evaluation", *NETWORKS),
    "methods know no stage that uses them": imports("methods", "training", "evaluation", "albums"),
    "landmark knows no method": imports("landmark", "methods", "albums", "swaps", "models",
                                        "training", "evaluation", "config"),
    "evaluation knows no training": imports("evaluation", "training"),
    "training knows no evaluation": imports("training", "evaluation", "methods"),
    "evaluation knows no study": imports("evaluation", "study"),
    "a study knows files of an evaluation alone": imports("study", "models", "swaps", "albums",
                                                          "training", "checkpoints"),
    "recipes are data": imports("recipes", "models", "swaps", "albums", "methods", "training",
                                "evaluation", "checkpoints"),
    "metrics are data": imports("metrics", "config", "models", "swaps", "albums", "methods",
                                "training", "evaluation", "checkpoints"),
    "importers read files alone": imports("importing", "config", "models", "swaps", "albums",
                                          "methods", "training", "evaluation", "checkpoints"),
    "selfex knows images alone": imports("selfex", "config", "models", "swaps", "albums",
                                         "methods", "training", "evaluation", "checkpoints"),
    "checkpoints know no stage": imports("checkpoints", "albums", "swaps", "methods", "training",
                                         "evaluation"),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_the_house(rule: str) -> None:
    assert RULES[rule] == set()
    assert rule in PAGE.read_text(encoding="utf-8")


def test_models_know_neither_files_nor_stages() -> None:
    leaves = {"maps", "variants", "errors", "images", "matching.correspondence", "matching.patches"}
    known = {other for module in GRAPH if _short(module).split(".")[0] == "models"
             for other in map(_short, GRAPH[module])}  # fmt: skip
    assert {name for name in known if name.split(".")[0] != "models"} <= leaves
    images = f"{ROOT}.images."
    for path in (PACKAGE / "models").glob("*.py"):
        taken = {name for name in imported_names(path) if name.startswith(images)}
        assert taken <= {f"{images}SCALE", f"{images}RGB"}, path.name


def test_config_alone_reads_params() -> None:
    assert importers("yaml_files") == {"config", "cluster_config"}  # which has a file of its own


def test_formats_are_known_where_they_are_defined() -> None:
    assert all(name.startswith("swaps.") for name in importers("swaps.index", "swaps.stored"))
    assert all(name.startswith("albums.") for name in importers("albums.manifest_rows"))


def test_nobody_imports_commands_and_stages() -> None:
    assert importers("cli") == importers("api") == set()
    for path in PACKAGE.rglob("*.py"):
        assert "stages" not in {name.split(".")[0] for name in imported_names(path)}, path


def test_the_graph_sees_what_runs_and_no_more(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/a.py": "from pkg import b\nimport json",
        "pkg/b.py": "def later():\n    from pkg.sub.c import thing",
        "pkg/d.py": "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from pkg import a\nelse:\n    import pkg.b",
        "pkg/sub/__init__.py": "",
        "pkg/sub/c.py": "from ..a import x\nfrom . import e",
        "pkg/sub/e.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    graph = import_graph(tmp_path / "pkg")
    assert graph["pkg.a"] == {"pkg.b"}
    assert graph["pkg.b"] == {"pkg.sub.c"}
    assert graph["pkg.d"] == {"pkg.b"}
    assert graph["pkg.sub.c"] == {"pkg.a", "pkg.sub.e"}
    assert cycles(graph) == [["pkg.a", "pkg.b", "pkg.sub.c"]]
    assert cycles(by_package(graph, "pkg")) == [["pkg.a", "pkg.b", "pkg.sub"]]
