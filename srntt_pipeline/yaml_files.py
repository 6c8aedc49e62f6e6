"""Reading YAML that anyone may have written: what it says, or one line that says why not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import read_content
from srntt_pipeline.text import shortened

_MOST_BYTES = 64 * 2**10  # params files have some kilobytes
_MOST_NODES = 5_000  # with what aliases repeat
# What PyYAML raises for a text that is not of its type, such as a date without such a day.
_MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def read_yaml(path: Path, kind: str) -> Any:
    """Return the content of a YAML file, a `kind` of file in words.

    Raises InputError with one line that names the file and the place: also for a key that stands
    twice in a mapping, for nesting that is too deep, and for what is too large, as aliases of
    aliases can be.
    """
    try:
        content = read_content(path, _MOST_BYTES).decode()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read the {kind} ({error})") from None
    try:
        return yaml.load(content, _Loader)
    except yaml.YAMLError as error:
        where = str(error).replace('in "<unicode string>", ', "at ")
        problem = shortened(" ".join(where.split()), 300)
        raise InputError(f"{path}: not YAML: {problem}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply for a {kind}") from None


class _Loader(yaml.SafeLoader):
    """YAML's own types, no key twice in a mapping, aliases only as far as they stay small."""

    def get_single_data(self) -> Any:
        """Return the content; raise YAMLError."""
        root = self.get_single_node()
        if root is None:
            return None
        _check_size(root, {})
        try:
            return self.construct_document(root)
        except _MISFITS:
            raise _refusal("a tag that does not fit what it stands at", root) from None

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the content of a node; raise YAMLError, also where its text is of no such type."""
        try:
            return super().construct_object(node, deep)
        except _MISFITS:
            raise _refusal(f"not of the type {node.tag.rpartition(':')[2]}", node) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; raise YAMLError where a key is no text, or stands twice."""
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("a key that is no text", key)
            if (key.tag, key.value) in seen:
                raise _refusal(f"the key {shortened(key.value, 40)!r} stands twice", key)
            seen.add((key.tag, key.value))
        content: dict[Any, Any] = super().construct_mapping(node, deep)
        return content


def _refusal(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _check_size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return the number of nodes in `node`, aliases counted as what they stand for."""
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise _refusal("an alias of itself", node)
        return sizes[id(node)]
    sizes[id(node)] = 0  # not known yet: it is being counted
    size = 1 + sum(_check_size(child, sizes) for child in _children(node))
    if size > _MOST_NODES:
        raise _refusal(f"more than {_MOST_NODES:,} values, with what aliases repeat", node)
    sizes[id(node)] = size
    return size


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
