"""What `--method SOURCE` names, as methods."""

import copy
import functools
import importlib
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

from srntt_pipeline.checkpoints import checkpoints_in
from srntt_pipeline.errors import InputError, one_line
from srntt_pipeline.files import fingerprint
from srntt_pipeline.methods.checkpoint import of_checkpoint
from srntt_pipeline.methods.folder import ImagesOfFolder
from srntt_pipeline.methods.marks import MARK, mark_of, row_of, seed_name
from srntt_pipeline.methods.method import Method
from srntt_pipeline.methods.srntt import Srntt, sisr_of
from srntt_pipeline.network_files import AS_NAMED, NetworkFiles
from srntt_pipeline.variants import VARIANTS

GROUP = "srntt_pipeline.methods"  # of entry points
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
KINDS = (
    "a checkpoint, a folder of checkpoints, NAME=FOLDER of SR images, [NAME=]package.module:Class, "
    f"or the name of an installed entry point of the group {GROUP}"
)

Source = str | Path | Method


def read_methods(sources: Sequence[Source], files: NetworkFiles = AS_NAMED) -> list[Method]:
    """Return the methods that `sources` name, in their order; each is checked as far as is quick.

    Several checkpoints of one name are told apart by their seeds (`SRNTT-l2 #seed 0`), if they are
    alike in all else that their JSON says of how they were made, or by their hash
    (`SRNTT-l2 #1a2b3c`). A checkpoint whose network is that of another row of the paper, with LR
    as its own reference, stands for that row too, unless a source has its name. Raises InputError.
    """
    methods = [method for source in sources for method in _of(source, files)]
    names = Counter(method.name for method in methods)
    methods = [
        _told_apart(method, [one for one in methods if one.name == method.name])
        if names[method.name] > 1
        else method
        for method in methods
    ]
    for name, count in Counter(method.name for method in methods).items():
        if count > 1:
            raise InputError(
                f"--method: {count} methods are called {name}; name each once, or give one "
                "another name with NAME=…"
            )
    return [one for method in methods for one in (*_sisr(method, names), method)]


def _of(source: Source, files: NetworkFiles) -> list[Method]:
    if isinstance(source, Method):
        return [source]
    path = Path(source)
    if path.exists() or isinstance(source, Path):
        return [of_checkpoint(one, files) for one in checkpoints_in(path)]
    name, equals, value = source.partition("=")
    if equals:
        return [_named(name, value, source, files)]
    if _TARGET.fullmatch(source):
        return [_imported("", source, source)]
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    if source in installed:
        return [_imported("", installed[source].value, source)]
    more = f"; installed are {', '.join(sorted(installed))}" if installed else ""
    raise InputError(f"--method {source}: neither a file nor a method; name {KINDS}{more}")


def _named(name: str, value: str, source: str, files: NetworkFiles) -> Method:
    path = Path(value)
    if not name.strip() or not value:
        raise InputError(f"--method {source}: a name or what it names is missing; name {KINDS}")
    if path.exists():
        is_checkpoint = not path.is_dir() or any(path.glob("*.safetensors"))
        return of_checkpoint(path, files, name) if is_checkpoint else ImagesOfFolder(name, path)
    if _TARGET.fullmatch(value):
        return _imported(name, value, source)
    raise InputError(f"--method {source}: {value}: no such file or folder; name {KINDS}")


def _told_apart(method: Method, alike: Sequence[Method]) -> Method:
    """Return a checkpoint's method under a name with its seed or its hash; others as they are."""
    if method.checkpoint is None:
        return method
    facts = method.facts()
    if _differ_by_seed(alike):
        name = seed_name(method.name, facts["train"]["seed"])
    else:
        name = f"{method.name}{MARK}{str(facts.get('weights_sha256', ''))[:6]}"
    renamed = copy.copy(method)
    object.__setattr__(renamed, "name", name)  # some are frozen
    return renamed


def _differ_by_seed(methods: Sequence[Method]) -> bool:
    """Tell whether they are checkpoints of one training, each by another seed."""
    seeds, others = set(), set()
    for method in methods:
        facts = {k: v for k, v in method.facts().items() if k not in ("weights_sha256", "metrics")}
        train = dict(facts.get("train", {}))
        seeds.add(train.pop("seed", None))
        others.add(fingerprint(facts | {"train": train}))
    return len(seeds) == len(methods) and len(others) == 1


def _sisr(method: Method, names: Counter[str]) -> list[Method]:
    """Return the method that is this one with LR as its own reference, where the paper has it."""
    if not isinstance(method, Srntt):
        return []
    row = row_of(method.name)
    variant = next((one for one in VARIANTS.values() if one.method == row), None)
    other = sisr_of(variant) if variant else None
    if other is None or names[other.method]:
        return []
    return [replace(method, name=other.method + mark_of(method.name), alone=True)]


def _imported(name: str, target: str, source: str) -> Method:
    """Return an instance of `target`, `package.module:Class`, which is called without arguments.

    It is looked for among what is installed and in the working folder, which processes that are
    started later look into, too.
    """
    module, _, attribute = target.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        kind = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
        method = kind() if callable(kind) else kind
    except Exception as error:  # whatever a stranger's module does
        reason = one_line(f"{type(error).__name__}: {error}")
        raise InputError(f"--method {source}: {target} cannot be loaded ({reason})") from None
    if not isinstance(method, Method):
        raise InputError(
            f"--method {source}: {target} is no method; let it inherit "
            "srntt_pipeline.methods.Method"
        )
    if name:
        method.name = name
    if not getattr(method, "name", ""):
        raise InputError(f"--method {source}: {target} has no name; write NAME={target}")
    return method
