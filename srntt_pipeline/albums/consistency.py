"""Whether a manifest's rows agree with one another and with the parameters of its origin."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from srntt_pipeline.albums.levels import level_name, levels_by_bands
from srntt_pipeline.albums.manifest import Manifest
from srntt_pipeline.albums.manifest_rows import TEST, TRAIN, TestRow
from srntt_pipeline.albums.missing import photos_of_pair
from srntt_pipeline.albums.origin import Origin


def inconsistencies(data: Manifest) -> Iterator[str]:
    """Yield what is wrong among the rows: names, groups, levels, boxes, test photos in training."""
    yield from _of_pairs(data)
    yield from _of_groups(data)
    in_test = {row.album for row in data.test} | set(data.origin.test_albums)
    for album in sorted({row.album for row in data.train} & in_test):
        yield f"{TRAIN}: the test album {album} is in training"
    test_photos = {row.sha256: f"{row.album}/{row.photo}" for row in data.test}
    trained = {photo for row in data.train for photo in photos_of_pair(row)}
    for photo in sorted(trained):
        if photo.sha256 in test_photos:
            yield (
                f"{TRAIN}: {photo.album}/{photo.name} is the test photo {test_photos[photo.sha256]}"
            )


def _of_pairs(data: Manifest) -> Iterator[str]:
    long_side = data.origin.params.long_side_px
    for name, times in Counter(row.name for row in data.train).items():
        if times > 1:
            yield f"{TRAIN}: {times} pairs are named {name}"
    for row in data.train:
        for side, x, y in (("HR", row.hr_x_px, row.hr_y_px), ("Ref", row.ref_x_px, row.ref_y_px)):
            if max(x, y) + row.size_px > long_side:
                yield (
                    f"{TRAIN}: {row.name}: the {side} box at ({x}, {y}) leaves any photo of "
                    f"{long_side} px"
                )
        if row.hr_photo == row.ref_photo:
            yield f"{TRAIN}: {row.name}: {row.hr_photo} is its own reference"
        yield from _of_level(data.origin, f"{TRAIN}: {row.name}", row.level, row.matches)


def _of_groups(data: Manifest) -> Iterator[str]:
    groups: dict[str, list[TestRow]] = defaultdict(list)
    for row in data.test:
        groups[row.group].append(row)
    expected = list(range(data.origin.params.levels + 1))
    for group, rows in groups.items():
        place = f"{TEST}: group {group}"
        if sorted(row.k for row in rows) != expected:
            has = ", ".join(str(row.k) for row in rows)
            yield f"{place} has the images {has}; 0 to {expected[-1]} make a group"
        if len({row.album for row in rows}) > 1:
            yield f"{place} is of more than one album"
        if len({row.photo for row in rows}) < len(rows):
            yield f"{place} has a photo twice"
        for row in rows:
            if row.level != (level_name(row.k) if row.k else "HR"):
                yield f"{place}: image {row.k} has the level {row.level}"
            elif (row.matches is None) != (row.k == 0):
                yield f"{place}: image {row.k} has {row.matches or 'no'} matches"
            elif row.matches is not None:
                yield from _of_level(data.origin, f"{place}: image {row.k}", row.level, row.matches)


def _of_level(origin: Origin, place: str, level: str, matches: int) -> Iterator[str]:
    """Yield when bands give that number of matches another level."""
    if origin.level_bands is None:
        return
    bands = list(origin.level_bands.values())
    by_bands = int(levels_by_bands(np.array([matches]), bands)[0])
    if level != level_name(by_bands):
        yield f"{place}: {matches} matches are not of level {level}"
