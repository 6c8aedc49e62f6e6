"""What a script of `stages/` is made of: the modules that it imports, and the files beside them.

DVC has no list of them: `dvc.yaml`'s stage `imports` writes one for each script, which the script's
stage depends on. So a change of a module runs again what imports it, and nothing else.
"""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from srntt_pipeline.files import write_bytes

PACKAGE = "srntt_pipeline"


def write_imports(stages: Path, out: Path) -> None:
    """Write, for each script of `stages`, `out/NAME.txt`: a hash and a file a line.

    The files are the script, the modules of the package that it imports, be it through others or
    within a function, and what else lies in their packages, such as templates. The package is
    looked for beside `stages`. Comments and docstrings change no hash, as they change no result.
    """
    out.mkdir(parents=True, exist_ok=True)
    for script in sorted(stages.resolve().glob("*.py")):
        write_bytes(out / f"{script.stem}.txt", "".join(_lines(script)).encode())


def code_sha256(script: Path) -> str:
    """Return one hash of all that `write_imports` writes of a script."""
    return hashlib.sha256("".join(_lines(script.resolve())).encode()).hexdigest()


def _lines(script: Path) -> list[str]:
    root = script.parents[1]
    files = [script, *imported(script, root)]
    return [f"{_hash(file)}  {file.relative_to(root).as_posix()}\n" for file in files]


def imported(script: Path, root: Path) -> list[Path]:
    """Return the files of the package in `root` that `script` is made of, sorted."""
    found: set[Path] = set()
    left = [script]
    while left:
        new = set(_read_by(left.pop(), root)) - found
        found |= new
        left += [file for file in new if file.suffix == ".py"]
    return sorted(found)


def _read_by(file: Path, root: Path) -> Iterator[Path]:
    """Yield what a module imports itself, with the packages around it and their data."""
    names = set(_imports(ast.parse(file.read_bytes())))
    if file.name == "__init__.py":
        others = [path for path in file.parent.rglob("*") if path.suffix not in (".py", ".pyc")]
        yield from (path for path in others if path.is_file() and _nearest(path) == file.parent)
        if "pkgutil" in names:  # it imports all that lies beside it
            yield from file.parent.glob("*.py")
    for name in names:
        if name.split(".")[0] != PACKAGE:
            continue
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            path = root.joinpath(*parts[:count])
            candidates = (path.with_suffix(".py"), path / "__init__.py")
            yield from (candidate for candidate in candidates if candidate.is_file())


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield the names that are imported, but for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from _imports(other)
        else:
            yield from _imports(node)


def _nearest(path: Path) -> Path:
    """Return the package that a file belongs to."""
    return next(folder for folder in path.parents if (folder / "__init__.py").is_file())


def _hash(file: Path) -> str:
    content = file.read_bytes()
    if file.suffix == ".py":
        tree = ast.parse(content)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0] if node.body else None
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    node.body = node.body[1:]
        content = ast.unparse(tree).encode()
    return hashlib.sha256(content).hexdigest()
