"""Which module of a package imports which, read from the sources: nothing is run."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

Graph = Mapping[str, set[str]]


def import_graph(root: Path) -> dict[str, set[str]]:
    """Return the modules of the package at `root` and what each imports of it, by dotted names.

    Imports within functions count: they run sooner or later. Those under TYPE_CHECKING don't, for
    they never run. A name that is no module, such as `a.b.f`, stands for `a.b`.
    """
    files = {_name(path, root): path for path in root.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        found = (_module(name, files) for name in imported_names(path, package))
        graph[module] = {name for name in found if name and name != module}
    return graph


def imported_names(path: Path, package: str = "") -> set[str]:
    """Return what the file at `path`, of `package`, imports: `a.b` for `from a import b` too."""
    return set(_imports(ast.parse(path.read_text(encoding="utf-8")), package))


def cycles(graph: Graph) -> list[list[str]]:
    """Return the groups of modules that reach each other (Tarjan), each sorted."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in number:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], number[other])
        if lowest[module] == number[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(graph):
        if module not in number:
            visit(module)
    return found


def by_package(graph: Graph, root: str) -> dict[str, set[str]]:
    """Return the graph with each sub-package of `root` as one; modules beside them stay."""
    packages = {name.split(".")[1] for name in graph if name.count(".") > 1}

    def package(module: str) -> str:
        parts = module.split(".")
        return f"{root}.{parts[1]}" if len(parts) > 1 and parts[1] in packages else module

    joined: dict[str, set[str]] = {package(module): set() for module in graph}
    for module, imported in graph.items():
        joined[package(module)] |= {package(other) for other in imported} - {package(module)}
    return joined


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _module(name: str, files: Mapping[str, Path]) -> str | None:
    """Return the module that `name` is, or is in; None for other packages."""
    while name and name not in files:
        name = name.rpartition(".")[0]
    return name or None


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from _running(other)
        else:
            yield from _running(child)
