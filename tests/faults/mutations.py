"""Hypothesis strategies that spoil valid files: their bytes, or the values that they hold."""

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

CANARY = "canary"  # no code in any input may make a file of this name
_EXTREME = (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@st.composite
def spoilt_bytes(draw: st.DrawFn, valid: Sequence[bytes]) -> bytes:
    """Draw one of the valid files with one to four changes, each anywhere or near its head."""
    content = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 4))):
        size = len(content)
        if not size:
            break
        reach = min(size, draw(st.sampled_from([64, 512, size])))
        at = draw(st.integers(0, reach - 1))
        length = draw(st.integers(1, draw(st.sampled_from([2, 16, max(2, size)]))))
        change = draw(st.sampled_from([
            "bit", "byte", "number", "cut", "hole", "remove", "repeat", "insert", "splice",
            "lose the middle",
        ]))  # fmt: skip
        if change == "bit":
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "byte":
            content[at] = draw(st.integers(0, 255))
        elif change == "number":
            width, order = (
                draw(st.sampled_from([2, 4, 8])),
                draw(st.sampled_from(["little", "big"])),
            )
            value = draw(st.sampled_from(_EXTREME)) % (1 << 8 * width)
            content[at : at + width] = value.to_bytes(width, order)  # type: ignore[arg-type]
        elif change == "cut":
            del content[at:]
        elif change == "hole":
            content[at : at + length] = bytes(len(content[at : at + length]))
        elif change == "remove":
            del content[at : at + length]
        elif change == "repeat":
            content[at:at] = content[at : at + length]
        elif change == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=32))
        elif change == "splice":
            content[at:] = draw(st.sampled_from(valid))[at:]
        else:  # a cut, then a valid end
            content[at:] = content[-min(32, size) :]
    return bytes(content)


_DEEP: Any = []
for _ in range(60):
    _DEEP = [_DEEP]
HOSTILE = (
    None, True, False, -1, 0, 1, 3, 2**31, 2**63, 2**70, 0.5, -0.0, 1e308, 1e-320, float("inf"),
    float("nan"), "", "0", "16", "-5", "nan", "x", "\0", "a\nb", "\ud800", "../x", "/etc/passwd",
    "é", "\x1b[31m", "=1+1", "a" * 300, "9" * 5000, [], {}, [None], {"": None}, [1, 2, 3], _DEEP,
)  # fmt: skip


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Return each place in a tree of JSON: its container and key."""
    if isinstance(tree, dict):
        keys: list[Any] = list(tree)
    elif isinstance(tree, list):
        keys = list(range(len(tree)))
    else:
        return []
    return [(tree, key) for key in keys] + [p for key in keys for p in _places(tree[key])]


@st.composite
def spoilt_tree(draw: st.DrawFn, valid: Any) -> Any:
    """Draw a tree of JSON with one to three values replaced, lost, renamed, added or repeated."""
    tree = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        places = _places(tree)
        if not places:
            return draw(st.sampled_from(HOSTILE))
        container, key = draw(st.sampled_from(places))
        change = draw(st.sampled_from(["replace", "replace", "replace", "lose", "add", "repeat"]))
        if change == "replace":
            container[key] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
        elif change == "lose":
            del container[key]
        elif isinstance(container, dict):
            value = container[key] if change == "repeat" else draw(st.sampled_from(HOSTILE))
            container[draw(st.sampled_from(["x", "", "../x", "\0", "0", f"{key}2"]))] = (
                copy.deepcopy(value)
            )
        else:
            container.insert(0, copy.deepcopy(container[key]))
    return tree


def _text(tree: Any) -> bytes:
    return json.dumps(tree).encode()


@st.composite
def spoilt_json(draw: st.DrawFn, valid: bytes) -> bytes:
    """Draw a JSON file: of spoilt values, of spoilt bytes, or of what parsers stumble over."""
    way = draw(st.sampled_from(["values", "values", "values", "values", "bytes", "odd"]))
    if way == "values":
        return _text(draw(spoilt_tree(json.loads(valid))))
    if way == "bytes":
        return draw(spoilt_bytes([valid]))
    return draw(st.sampled_from([
        b"", b"\xef\xbb\xbf" + valid, valid.decode().encode("utf-16"), b"[" * 100_000,
        b'{"a":' * 50_000, b"9" * 10_000, valid + valid, b"null", b"[]", b"{}", b'"x"', b"\0",
        valid.rstrip().removesuffix(b"}") + b', "format": 1, "format": 2}', b"NaN", b"\xff\xfe",
    ]))  # fmt: skip


_BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


def code_in_yaml(canary: str) -> list[bytes]:
    """Return YAML that would make the file `canary`, were its code executed."""
    return [
        f"!!python/object/apply:os.system ['touch {canary}']".encode(),
        f"build: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path "
        f"['{canary}']]".encode(),
    ]


def odd_yaml(valid: bytes, canary: str) -> list[bytes]:
    """Return YAML files that parsers stumble over, or that hold code."""
    return [
        b"", _BOMB.encode(), f"{_BOMB}build: {{name: *a11}}\n".encode(),
        f"{_BOMB}build: {{bands: *a11}}\njobs: *a11\n".encode(),
        b"[" * 20_000, b"a: &a [*a]\n", b"build: &b\n  <<: *b\n",
        b"build: {seed: 1}\nbuild: {seed: 2}\n", b"build: {seed: 1, seed: 2}\n", b"? [a]\n: b\n",
        b"build: {? {a: b} : c}\n", b"\xef\xbb\xbf" + valid, valid.decode().encode("utf-16"),
        b"build: 2001-01-01\n", b"build: !!binary x\n", b"--- 1\n--- 2\n", b"build: {seed: 0x" +
        b"f" * 5000 + b"}\n", b"\0", b"build: {seed: .nan}", b"\xff", b"- 1\n", b"1\n", b"x\n",
        b"build: {long_side_px: 1e400}\n", b"build: {[1]: 2}\n", b"1: 2\n", b"null: {}\n",
        b"build: {name: \"\\ud800\"}\n", *code_in_yaml(canary),
    ]  # fmt: skip


@st.composite
def spoilt_yaml(draw: st.DrawFn, valid: bytes, tree: Any, canary: str) -> bytes:
    """Draw a YAML file: of spoilt values (JSON is YAML), spoilt bytes, or what is odd in YAML."""
    way = draw(st.sampled_from(["values", "values", "values", "bytes", "bytes", "odd"]))
    if way == "values":
        return _text(draw(spoilt_tree(tree)))
    if way == "bytes":
        return draw(spoilt_bytes([valid]))
    return draw(st.sampled_from(odd_yaml(valid, canary)))


_CELLS = (
    "", "0", "-1", "1e308", "nan", "inf", "1.5", "9" * 5000, "x", "../x", "/etc/passwd", "a\0b",
    "é", "L9", "=1+1", "True", '"', "a,b", "a\nb", "\x1b[31m", "\u202e", "a" * 140_000,
)  # fmt: skip


@st.composite
def spoilt_csv(draw: st.DrawFn, valid: bytes) -> bytes:
    """Draw a CSV file with cells replaced, lost, added or rows repeated; or of spoilt bytes."""
    if draw(st.integers(0, 3)) == 0:
        return draw(spoilt_bytes([valid]))
    lines = [line.split(",") for line in valid.decode().splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.integers(0, len(lines) - 1))
        cell = draw(st.integers(0, max(0, len(lines[row]) - 1)))
        change = draw(st.sampled_from(["replace", "replace", "replace", "lose", "add", "repeat"]))
        if change == "replace" and lines[row]:
            lines[row][cell] = draw(st.sampled_from(_CELLS))
        elif change == "lose" and lines[row]:
            del lines[row][cell]
        elif change == "add":
            lines[row].insert(cell, draw(st.sampled_from(_CELLS)))
        else:
            lines.insert(row, list(lines[row]))
    text = draw(st.sampled_from(["\n", "\n", "\r\n"])).join(map(",".join, lines)) + "\n"
    return draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf"])) + text.encode()
