"""Telling two manifests apart: parameters, versions, and rows by photos and boxes, not by name."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from srntt_pipeline.albums.manifest import Manifest, read_manifests
from srntt_pipeline.albums.manifest_rows import REJECTED, TEST, TRAIN, Rejected, TestRow, TrainRow
from srntt_pipeline.albums.missing import count
from srntt_pipeline.text import printable

_SHOWN = 10  # rows told of each kind

Keyed = dict[tuple[Any, ...], Any]


def diff_manifests(a: Path, b: Path) -> str:
    """Return in words how the manifests in the folders `a` and `b` differ, the verdict first."""
    old, new = read_manifests(a), read_manifests(b)
    if old.files == new.files:
        return f"identical: {_extent(old)}"
    settings = list(_settings(old, new))
    rows = [
        *_rows("training pair", _pairs(old), _pairs(new), _name_pair, ("name",)),
        *_rows("test image", _images(old), _images(new), _name_image, ("group",)),
        *_rows("rejected file", _rejects(old), _rejects(new), "/".join, ()),
    ]
    tables = all(old.files[name] == new.files[name] for name in (TRAIN, TEST, REJECTED))
    same = "the same rows" if tables else "the same rows under other names"
    verdict = "different rows" if rows else same
    return "\n".join([f"{verdict}: {_extent(old)} in A, {_extent(new)} in B", *settings, *rows])


def _extent(data: Manifest) -> str:
    return f"{count(len(data.train), 'training pair')}, {count(data.groups, 'test group')}"


def _settings(old: Manifest, new: Manifest) -> Iterator[str]:
    """Yield what differs in the origins, but for the hashes, which differ with the rows."""
    hashes: Any = {"sha256": True, "rebuilt_from": {"sha256"}}
    a, b = (_flat(data.origin.model_dump(mode="json", exclude=hashes)) for data in (old, new))
    for key in sorted(a.keys() | b.keys()):
        if a.get(key) != b.get(key):
            yield f"{key}: {_shown(a.get(key))} → {_shown(b.get(key))}"


def _flat(content: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[above + key] = value
    return flat


def _pairs(data: Manifest) -> Keyed:
    return {
        (
            row.album, row.hr_photo, row.hr_x_px, row.hr_y_px,
            row.ref_photo, row.ref_x_px, row.ref_y_px, row.size_px,
        ): row
        for row in data.train
    }  # fmt: skip


def _name_pair(key: tuple[Any, ...]) -> str:
    album, hr, hr_x, hr_y, ref, ref_x, ref_y, size = key
    return f"{album}: {hr} ({hr_x}, {hr_y}) with {ref} ({ref_x}, {ref_y}), {size} px"


def _images(data: Manifest) -> Keyed:
    hr = {row.group: row.photo for row in data.test if row.k == 0}
    return {(row.album, hr.get(row.group, ""), row.photo): row for row in data.test}


def _name_image(key: tuple[Any, ...]) -> str:
    album, hr, photo = key
    return f"{album}: HR {hr}" + ("" if photo == hr else f" with {photo}")


def _rejects(data: Manifest) -> Keyed:
    return {(row.album, row.photo): row for row in data.rejected}


def _rows(
    noun: str,
    old: Keyed,
    new: Keyed,
    name: Callable[[tuple[Any, ...]], str],
    running: Sequence[str],
) -> Iterator[str]:
    """Yield the rows only in one, and those with other values but for the `running` names."""
    changes = {}
    for key in old.keys() & new.keys():
        if changed := list(_changes(old[key], new[key], running)):
            changes[key] = ", ".join(changed)
    for where, some in (("A", old.keys() - new.keys()), ("B", new.keys() - old.keys())):
        if some:
            side = old if where == "A" else new
            yield f"only in {where}: {count(len(some), noun)}{_shares([side[k] for k in some])}"
            yield from _shortened([name(key) for key in sorted(some)])
    if changes:
        yield f"changed: {count(len(changes), noun)}"
        yield from _shortened([f"{name(key)}: {changes[key]}" for key in sorted(changes)])


def _changes(
    old: TrainRow | TestRow | Rejected, new: TrainRow | TestRow | Rejected, running: Sequence[str]
) -> Iterator[str]:
    for column in fields(old):
        before, after = getattr(old, column.name), getattr(new, column.name)
        if before != after and column.name not in running:
            yield f"{column.name} {_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    return "none" if value in (None, "") else printable(str(value))


def _shares(rows: list[Any]) -> str:
    """Return the numbers by level, where rows have one, and by album."""
    parts = []
    for column in ("level", "album"):
        counts = Counter(getattr(row, column, None) for row in rows)
        if None not in counts:
            shown = [
                f"{printable(str(value))} {number}" for value, number in sorted(counts.items())
            ]
            more = f", … {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
            parts.append(", ".join(shown[:_SHOWN]) + more)
    return f" ({'; '.join(parts)})"


def _shortened(lines: list[str]) -> Iterator[str]:
    for line in lines[:_SHOWN]:
        yield f"  {printable(line)}"
    if len(lines) > _SHOWN:
        yield f"  … and {len(lines) - _SHOWN} more"
