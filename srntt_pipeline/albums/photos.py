"""Finding albums and their photos."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from srntt_pipeline.albums.folders import Folder, walk
from srntt_pipeline.albums.manifest_rows import Rejected
from srntt_pipeline.colour import (
    BROKEN,
    BrokenProfile,
    convert,
    profile_name,
    told_from_srgb,
)
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError, UnusableImage
from srntt_pipeline.file_types import (
    PHOTO_SUFFIXES,
    SUFFIXES,
    is_picture,
    is_read,
    kind_of_file,
    suffix_of,
    why_not_read,
)
from srntt_pipeline.files import sha256
from srntt_pipeline.images import RGB, decode_whole, limit_long_side, read_bytes


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
    """What a photo must pass, and the size and colours it is used in."""

    long_side_px: int
    min_side_px: int
    max_megapixels: float
    to_srgb: bool = True

    @classmethod
    def of(cls, params: BuildParams, to_srgb: bool = True) -> "PhotoChecks":
        """Return the checks of a build with `params`; `to_srgb`: whether colours are converted."""
        return cls(params.long_side_px, params.crop_px, params.max_megapixels, to_srgb)


def check_outside(albums: Path, out: Path) -> None:
    """Raise InputError when `out` lies inside `albums`, whose next build would read it."""
    if out.resolve().is_relative_to(albums.resolve()):
        raise InputError(f"{out} lies inside {albums}: its images would be taken for albums")


def find_albums(root: Path) -> tuple[list[Album], list[Rejected]]:
    """Return the albums under `root`, nested or not, by name, and what no one reads, with reasons.

    An album is a folder with at least one photo directly in it: a file of a photo's suffix, or one
    without suffix that is one by its first bytes. `root` itself can be an album. Links are followed
    (`folders.walk`). Hidden files are passed over; hidden folders, those of the system, folders
    that cannot be read, and files that are none are told. Raises InputError when there is no album.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    albums, rejected = [], []
    try:
        folders = sorted(walk(root), key=lambda folder: folder.parts)
    except OSError as error:
        raise InputError(f"{root}: cannot be read ({error.strerror})") from None
    for folder in folders:
        own = root.resolve().name
        name = "/".join(folder.parts) or (own if not (root / own).is_dir() else ".")
        photos, unread = _sorted_out(folder)
        unread |= folder.problems
        if _printable(name) != name:
            unread |= dict.fromkeys(photos, _NOT_UTF8)
            photos = []
        rejected += [
            Rejected(_printable(name), _printable(file), _printable(reason))
            for file, reason in unread.items()
        ]
        if photos:
            albums.append(Album(name, folder.path, tuple(photos)))
    if not albums:
        told = [f"{row.album}/{row.photo}: {row.reason}" for row in sorted(rejected)]
        more = f"; {len(told)} cannot be used, such as {told[0]}" if told else ""
        raise InputError(
            f"{root}: no albums found; put each album's photos in a folder of its own there "
            f"({', '.join(sorted(SUFFIXES))}){more}"
        )
    return albums, rejected


def _sorted_out(folder: Folder) -> tuple[list[str], dict[str, str]]:
    """Return the photos of a folder, and why its other files are not read.

    Where there is no photo, nor a file that would be one, nothing is told of the others.
    """
    photos, unread, seem = [], {}, False
    for name in folder.files:
        suffix = suffix_of(name)
        kind = None if suffix in PHOTO_SUFFIXES else kind_of_file(folder.path / name)
        if suffix not in SUFFIXES and (suffix or not is_read(kind)):
            unread[name] = why_not_read(name, kind)
        elif name != _printable(name):
            unread[name] = _NOT_UTF8
        else:
            photos.append(name)
        seem = seem or suffix in PHOTO_SUFFIXES or is_picture(kind)
    return photos, unread if seem else {}


_NOT_UTF8 = "the name is not valid UTF-8; rename it"


def album_folder(root: Path, album: str) -> Path:
    """Return where the photos of an album lie that `find_albums` named; it may be `root` itself."""
    folder = root / album
    return root if album == root.resolve().name and not folder.is_dir() else folder


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@dataclass(frozen=True)
class Photo:
    """A photo at its working size, `pixels` uint8 [H, W, 3], and the SHA-256 of its file.

    `profile` names the colour profile it was converted from; empty: it was sRGB, or had none.
    """

    pixels: RGB
    sha256: str
    profile: str


def read_photo(path: Path, checks: PhotoChecks) -> tuple[RGB, str]:
    """Return pixels and hash of `take_photo`; raise UnusableImage with the reason to list."""
    photo = take_photo(path, checks)
    return photo.pixels, photo.sha256


def take_photo(path: Path, checks: PhotoChecks) -> Photo:
    """Return the photo in sRGB at its working size.

    Raises UnusableImage with the reason to list. A broken profile is passed over, as viewers do.
    """
    content = read_bytes(path)
    decoded = decode_whole(
        content, path, min_side=checks.min_side_px, max_megapixels=checks.max_megapixels
    )
    pixels, profile = decoded.pixels, ""
    if checks.to_srgb:
        try:
            if source := told_from_srgb(decoded.profile):
                pixels, profile = convert(pixels, source, None), profile_name(source)
        except BrokenProfile:
            profile = BROKEN
    pixels = limit_long_side(pixels, checks.long_side_px)
    # A panorama can be large enough as a file and too narrow once its long side is shrunk.
    if min(pixels.shape[:2]) < checks.min_side_px:
        height, width = pixels.shape[:2]
        raise UnusableImage(
            str(path),
            f"too narrow: {width}×{height} px once its long side is {checks.long_side_px} px, "
            f"{checks.min_side_px} px needed on the short side",
        )
    return Photo(pixels, sha256(content), profile)
