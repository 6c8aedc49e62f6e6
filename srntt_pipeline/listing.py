"""The images in a folder, by name, and those that cannot be used."""

import os
from dataclasses import dataclass
from pathlib import Path

from srntt_pipeline.errors import InputError
from srntt_pipeline.file_types import (
    PHOTO_SUFFIXES,
    SUFFIXES,
    is_picture,
    kind_of_file,
    suffix_of,
    why_not_read,
)

_MAX_STEM_BYTES = 250  # with `.json` after it, the longest name that file systems take


@dataclass(frozen=True)
class Unread:
    """A file that is an image by its name or its bytes, and why it is not used."""

    path: Path
    reason: str


def images_in(folder: Path, *, unique: bool = True) -> tuple[list[Path], list[Unread]]:
    """Return the image files in `folder`, and those that can't be used, both by name.

    Hidden files and what is no image are passed over. `unique`: stems name outputs, so each is to
    be there once. Raises InputError where it is not, for names that are not UTF-8, and for a
    folder that cannot be read.
    """
    images: list[Path] = []
    stems: dict[str, Path] = {}
    unread = []
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    for path in paths:
        if path.name.startswith(".") or path.is_dir():
            continue
        if reason := _why_unread(path):
            unread.append(Unread(path, reason))
        if path.suffix.lower() not in SUFFIXES or reason:
            continue
        if path.name != path.name.encode(errors="replace").decode():
            raise InputError(f"{path}: the name is not valid UTF-8; rename it")
        if unique and path.stem in stems:
            raise InputError(
                f"{stems[path.stem]} and {path.name} would have outputs of one name; rename one"
            )
        stems[path.stem] = path
        images.append(path)
    return images, unread


def _why_unread(path: Path) -> str | None:
    """Return why an image is not used; None for one that is, and for what is no image."""
    suffix = suffix_of(path)
    if suffix in SUFFIXES:
        if len(os.fsencode(path.stem)) > _MAX_STEM_BYTES:
            return "the name is too long: outputs are called after it; rename it"
        return None if path.is_file() else "not a regular file"
    kind = None if suffix in PHOTO_SUFFIXES else kind_of_file(path)
    return why_not_read(path, kind) if suffix in PHOTO_SUFFIXES or is_picture(kind) else None
