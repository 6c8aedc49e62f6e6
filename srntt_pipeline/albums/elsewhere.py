"""Finding photos that lie under other names than a manifest's: they are known by their hash.

A name can change on its way between systems without the photo: `é` as one letter or two, `.JPG` as
`.jpg`, an album moved or called otherwise.
"""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePath

from srntt_pipeline.albums.folders import walk
from srntt_pipeline.file_types import PHOTO_SUFFIXES, suffix_of
from srntt_pipeline.files import file_sha256
from srntt_pipeline.parallel import run_all

_ALIKE = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}


@dataclass(frozen=True)
class _File:
    """A file below the albums; `album` and `name` in the spelling that `_plain` gives all."""

    path: Path
    album: str
    name: str


def find_elsewhere(
    wanted: Collection[tuple[str, str, str]], albums: Path, workers: int
) -> dict[tuple[str, str, str], Path]:
    """Return where photos, given by album, name and SHA-256, lie below `albums`, if they do.

    Files of a like name are looked at first, then the rest of the album, then all: so that little
    is read where names alone have changed. Of equal files the first by path is taken.
    """
    left = _files(albums)
    names = {_plain(name) for _, name, _ in wanted}
    places = {(_plain(album), _plain(name)) for album, name, _ in wanted}
    folders = {album for album, _ in places}
    rounds = (
        lambda file: (file.album, file.name) in places,
        lambda file: file.name in names,
        lambda file: file.album in folders,
        lambda file: True,
    )
    found: dict[str, Path] = {}
    for among in rounds:
        if all(digest in found for _, _, digest in wanted):
            break
        now = [file.path for file in left if among(file)]
        left = [file for file in left if not among(file)]
        if not now:
            continue
        digests = run_all(
            _digest, now, workers=workers, description="Looking for photos", unit="files"
        )
        for path, digest in zip(now, digests, strict=True):
            if digest:
                found.setdefault(digest, path)
    return {photo: found[photo[2]] for photo in wanted if photo[2] in found}


def _files(albums: Path) -> list[_File]:
    """Return the files that can be photos, by folder and name."""
    own = albums.resolve().name
    return [
        _File(folder.path / name, _plain("/".join(folder.parts) or own), _plain(name))
        for folder in sorted(walk(albums), key=lambda folder: folder.parts)
        for name in folder.files
        if suffix_of(name) in PHOTO_SUFFIXES or not suffix_of(name)
    ]


def _plain(name: str) -> str:
    """Return a name as it is on every system: one spelling of letters, cases and suffixes."""
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    suffix = PurePath(name).suffix
    return name.removesuffix(suffix) + _ALIKE.get(suffix, suffix)


def _digest(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None
