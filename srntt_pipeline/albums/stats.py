"""What a manifest holds, in numbers: by level, event and album."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from srntt_pipeline.albums.manifest import Manifest, read_manifests
from srntt_pipeline.files import csv_bytes, write_bytes
from srntt_pipeline.outputs import check_output_file
from srntt_pipeline.text import printable

UNKNOWN = "unknown"
# What the blocks of the table are by, in its order.
_BLOCKS: dict[str, list[str]] = {
    "all": [],
    "level": ["level"],
    "event": ["event"],
    "event and level": ["event", "level"],
    "album": ["album"],
}
_KEYS = ["by", "event", "album", "level"]
_SHOWN = 12  # lines of a block on the screen


def manifest_stats(manifests: Path, out: Path | None) -> str:
    """Return what the manifest in a folder holds, as text; write all of it to `out` (CSV)."""
    if out:
        check_output_file(out, ".csv", [], _is_stats)
    table = stats(read_manifests(manifests))
    if out:
        cells = table.astype(object).where(table.notna(), None)
        write_bytes(out, csv_bytes(list(cells), cells.to_dict("records")))
    blocks = []
    for by, keys in _BLOCKS.items():
        block = table[table["by"] == by].drop(columns=[key for key in _KEYS if key not in keys])
        block = block.map(lambda cell: printable(cell) if isinstance(cell, str) else cell)
        shown = block.head(_SHOWN).to_string(index=False, na_rep="", float_format="{:.2f}".format)
        more = f"\n… and {len(block) - _SHOWN} more" if len(block) > _SHOWN else ""
        blocks.append(f"{'In all' if by == 'all' else f'By {by}'}\n{shown}{more}\n")
    return "\n".join(blocks)


def _is_stats(path: Path) -> bool:
    """Tell whether a file begins as those that `manifest_stats` writes."""
    with path.open("rb") as file:
        return file.readline(1000).startswith(",".join(_KEYS).encode() + b",")


def stats(manifest: Manifest) -> pd.DataFrame:
    """Return one table: `by` says what a row's numbers are of; `event`, `album`, `level`, of which.

    `matches_mean` and `matches_median` are over training pairs and test references. `photos` is the
    number of photos with a training crop, `crops_per_photo` how many one has on average, and
    `distinct_area` the area of the union of a photo's crops over the sum of their areas: 1 when
    none overlap. An album of several event types counts for each.
    """
    samples, crops = _samples(manifest), _crops(manifest)
    tables = []
    for by, keys in _BLOCKS.items():
        tables.append(
            pd.concat([_count(samples, by, keys), _coverage(crops, by, keys)], axis=1).reset_index()
        )
    table = pd.concat(tables, ignore_index=True)
    for count in ("train_pairs", "test_references", "photos", "crops"):
        table[count] = table[count].fillna(0).astype(int)
    numbers = [column for column in table if column not in _KEYS]
    return table.reindex(columns=[*_KEYS, *numbers]).fillna(dict.fromkeys(_KEYS, ""))


def _samples(manifest: Manifest) -> pd.DataFrame:
    """Return a line per training pair and test reference."""
    lines = [(row.event, row.album, row.level, row.matches, True) for row in manifest.train]
    lines += [
        (row.event, row.album, row.level, row.matches or 0, False) for row in manifest.test if row.k
    ]
    return pd.DataFrame(lines, columns=["event", "album", "level", "matches", "train"])


def _crops(manifest: Manifest) -> pd.DataFrame:
    """Return a line per training crop, HR's and the reference's."""
    lines = []
    for row in manifest.train:
        known = row.event, row.album, row.level, row.size_px
        lines.append((*known, row.hr_photo, row.hr_x_px, row.hr_y_px))
        lines.append((*known, row.ref_photo, row.ref_x_px, row.ref_y_px))
    columns = ["event", "album", "level", "size", "photo", "x", "y"]
    return pd.DataFrame(lines, columns=columns)


def _grouped(lines: pd.DataFrame, by: str, keys: list[str]) -> pd.api.typing.DataFrameGroupBy:
    if "event" in keys:
        events = lines["event"].replace("", UNKNOWN).str.split("; ")
        lines = lines.assign(event=events).explode("event")
    return lines.assign(by=by).groupby(["by", *keys])


def _count(samples: pd.DataFrame, by: str, keys: list[str]) -> pd.DataFrame:
    groups = _grouped(samples, by, keys)
    return pd.DataFrame(
        {
            "train_pairs": groups["train"].sum(),
            "test_references": groups["train"].count() - groups["train"].sum(),
            "matches_mean": groups["matches"].mean(),
            "matches_median": groups["matches"].median(),
        }
    )


def _coverage(crops: pd.DataFrame, by: str, keys: list[str]) -> pd.DataFrame:
    lines = []
    for key, group in _grouped(crops, by, keys):
        photos = defaultdict(list)
        boxes = group[["album", "photo", "x", "y", "size"]].itertuples(index=False)
        for album, photo, *box in boxes:
            photos[album, photo].append(tuple(box))
        numbers = len(photos), len(group), len(group) / len(photos)
        union = sum(map(union_area, photos.values()))
        lines.append((*key, *numbers, union / float((group["size"] ** 2).sum())))
    names = ["by", *keys]
    columns = [*names, "photos", "crops", "crops_per_photo", "distinct_area"]
    return pd.DataFrame(lines, columns=columns).set_index(names)


def union_area(boxes: Sequence[tuple[int, int, int]]) -> int:
    """Return the area, px, that the squares (x, y, side) cover together."""
    covered = np.zeros(
        (max(y + side for _, y, side in boxes), max(x + side for x, _, side in boxes)), bool
    )
    for x, y, side in boxes:
        covered[y : y + side, x : x + side] = True
    return int(covered.sum())
