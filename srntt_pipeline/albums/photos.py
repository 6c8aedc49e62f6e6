"""Finding albums and their photos."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from srntt_pipeline.albums.manifest import Rejected
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError, UnusableImage
from srntt_pipeline.files import sha256
from srntt_pipeline.file_types import SUFFIXES
from srntt_pipeline.images import RGB, decode, limit_long_side, read_bytes

# What cameras and telephones write, and we do not read.
_OTHER_PHOTOS = frozenset({".heic", ".heif", ".avif", ".gif", ".dng", ".nef", ".cr2", ".arw"})


@dataclass(frozen=True)
class Album:
    """A folder that directly holds photos; `name` is its path below the albums folder."""

    name: str
    folder: Path
    photos: tuple[str, ...]

    @property
    def slug(self) -> str:
        """A short name that is safe for files and tells albums apart: `lund-3f2a91c0`."""
        readable = re.sub(r"[^A-Za-z0-9@_-]+", "_", self.name)[-40:]
        return f"{readable}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class PhotoChecks:
    """What a photo must pass, and the size it is used at."""

    long_side_px: int
    min_side_px: int
    max_megapixels: float

    @classmethod
    def of(cls, params: BuildParams) -> "PhotoChecks":
        """Return the checks of a build with `params`."""
        return cls(params.long_side_px, params.crop_px, params.max_megapixels)


def check_outside(albums: Path, out: Path) -> None:
    """Raise InputError when `out` lies inside `albums`, whose next build would read it."""
    if out.resolve().is_relative_to(albums.resolve()):
        raise InputError(f"{out} lies inside {albums}: its images would be taken for albums")


def find_albums(root: Path) -> tuple[list[Album], list[Rejected]]:
    """Return the albums under `root`, nested or not, by name, and the files in them no one reads.

    An album is a folder with at least one file of a photo's suffix directly in it; `root` itself
    can be one. Hidden files and folders are passed over. Raises InputError when there is no album.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    albums, rejected = [], []
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in sorted(folders):
        below = folder.relative_to(root)
        if any(part.startswith(".") for part in below.parts):
            continue
        files = sorted(
            path.name
            for path in folder.iterdir()
            if not path.is_dir() and not path.name.startswith(".")
        )
        photos = [name for name in files if Path(name).suffix.lower() in SUFFIXES]
        if not photos:
            # A telephone's album may hold nothing else: that must not pass in silence.
            files = [name for name in files if Path(name).suffix.lower() in _OTHER_PHOTOS]
        own = root.resolve().name
        album = below.as_posix() if below.parts else own if not (root / own).is_dir() else "."
        for name in files:
            if reason := _unreadable_name(name, album):
                rejected.append(Rejected(_printable(album), _printable(name), reason))
        readable = tuple(name for name in photos if not _unreadable_name(name, album))
        if readable:
            albums.append(Album(album, folder, readable))
    if not albums:
        raise InputError(
            f"{root}: no albums found; put each album's photos in a folder of its own there "
            f"({', '.join(sorted(SUFFIXES))})"
        )
    return albums, rejected


def album_folder(root: Path, album: str) -> Path:
    """Return where the photos of an album lie that `find_albums` named; it may be `root` itself."""
    folder = root / album
    return root if album == root.resolve().name and not folder.is_dir() else folder


def _unreadable_name(name: str, album: str) -> str | None:
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        return f"not a photo's file type ({suffix or 'no suffix'})"
    if name != _printable(name) or album != _printable(album):
        return "the name is not valid UTF-8; rename it"
    return None


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_photo(path: Path, checks: PhotoChecks) -> tuple[RGB, str]:
    """Return the photo at its working size, uint8 [H, W, 3], and the SHA-256 of its file.

    Raises UnusableImage with the reason to list.
    """
    content = read_bytes(path)
    photo = decode(content, path, min_side=checks.min_side_px, max_megapixels=checks.max_megapixels)
    photo = limit_long_side(photo, checks.long_side_px)
    # A panorama can be large enough as a file and too narrow once its long side is shrunk.
    if min(photo.shape[:2]) < checks.min_side_px:
        height, width = photo.shape[:2]
        raise UnusableImage(
            str(path),
            f"too narrow: {width}×{height} px once its long side is {checks.long_side_px} px, "
            f"{checks.min_side_px} px needed on the short side",
        )
    return photo, sha256(content)
