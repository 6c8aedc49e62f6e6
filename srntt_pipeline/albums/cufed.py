"""CUFED as it is distributed: what its JSON files tell about albums and photos.

`event_type.json` holds the event types of each album, `image_importance.json` a score for each
photo of it. Both are optional; `docs/cufed.md` says where they belong.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from srntt_pipeline.errors import InputError
from srntt_pipeline.file_types import PHOTO_SUFFIXES
from srntt_pipeline.files import read_json

EVENTS, IMPORTANCE = "event_type.json", "image_importance.json"
_JOIN = "; "

Value = TypeVar("Value")


@dataclass(frozen=True)
class Labels:
    """Event types by album, and importance by album and photo (without suffix)."""

    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scores: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def event(self, album: str) -> str:
        """Return the event types of `album`, sorted and joined by "; "; empty: unknown.

        Albums go by the last part of their path: `images/0_7595161@N07` is `0_7595161@N07`.
        """
        return _JOIN.join(self.events.get(_last(album), ()))

    def importance(self, album: str, photo: str) -> float | None:
        """Return the importance of the file `photo` in `album`, or None where it is unknown."""
        return self.scores.get((_last(album), _stem(photo)))


def read_labels(albums: Path) -> Labels:
    """Read the two files from the folder of albums, or else from the folder around it.

    Raises InputError that names the file when one is there but is not what CUFED has.
    """
    return Labels(
        _read(albums, EVENTS, _events, '{"ALBUM": ["EVENT", …], …}'),
        _read(albums, IMPORTANCE, _scores, '{"ALBUM": [["…", "ALBUM/PHOTO", SCORE], …], …}'),
    )


def _read(
    albums: Path, name: str, parse: Callable[[Any], dict[Any, Value]], shape: str
) -> dict[Any, Value]:
    places = (albums / name, albums.resolve().parent / name)
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        return {}
    fix = "put CUFED's own file there, or remove it"
    try:
        return parse(read_json(path, fix))
    except (AttributeError, IndexError, TypeError, ValueError):
        raise InputError(f"{path}: not of CUFED's form {shape}; {fix}") from None


def _events(content: Any) -> dict[str, tuple[str, ...]]:
    events = {}
    for album, names in content.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError
        events[album] = tuple(sorted(set(names)))
    return events


def _scores(content: Any) -> dict[tuple[str, str], float]:
    """Return the scores; the last item of a row is the score, the one before it the photo."""
    scores = {}
    for album, rows in content.items():
        for row in rows:
            *_, photo, score = row
            if isinstance(score, bool) or not math.isfinite(score):
                raise ValueError
            scores[album, _stem(_last(photo))] = float(score)
    return scores


def _last(path: str) -> str:
    return PurePosixPath(path).name


def _stem(photo: str) -> str:
    """Return the name without a photo's suffix; other dots are part of the name."""
    suffix = PurePosixPath(photo).suffix
    return photo.removesuffix(suffix) if suffix.lower() in PHOTO_SUFFIXES else photo
