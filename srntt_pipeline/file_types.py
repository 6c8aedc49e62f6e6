"""Which files are photos, by their names and by their first bytes.

What is read: JPEG, PNG, WebP, TIFF, BMP, AVIF where Pillow has it, HEIC with the extra `heif`.
"""

import importlib.util
from pathlib import Path, PurePath

from PIL import features

from srntt_pipeline.files import open_regular

HAS_AVIF = bool(features.check("avif"))
HAS_HEIF = importlib.util.find_spec("pillow_heif") is not None
INSTALL_HEIF = 'pip install "srntt-pipeline[heif]" reads it'

_HEIF = frozenset({".heic", ".heif", ".hif"})
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp"}
    | ({".avif"} if HAS_AVIF else set())
    | (_HEIF if HAS_HEIF else set())
)
_RAW = [
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq",
    ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2",
    ".rwl", ".sr2", ".srf", ".srw", ".x3f",
]  # fmt: skip
_NOT_READ = {
    **dict.fromkeys(_RAW, "a camera's raw file: export it as JPEG or PNG"),
    **dict.fromkeys(_HEIF, f"HEIC: {INSTALL_HEIF}"),
    ".avif": "AVIF: this Pillow does not read it; install a newer one",
    ".jxl": "JPEG XL: not read; convert it to PNG",
    **dict.fromkeys((".jp2", ".j2k", ".jpx"), "JPEG 2000: not read; convert it to PNG"),
    **dict.fromkeys((".gif", ".psd"), "not a photo's file type; export it as JPEG or PNG"),
}
# Every suffix a photo has, read or not: what is not named so is no photo until its bytes say so.
PHOTO_SUFFIXES = SUFFIXES | frozenset(_NOT_READ)

HEAD = 64  # bytes that tell a file's type
_READ = {"JPEG": True, "PNG": True, "WebP": True, "TIFF": True, "BMP": True, "AVIF": HAS_AVIF}
_READ["HEIC"] = HAS_HEIF
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    b"crx ": "a camera's raw file",
}  # fmt: skip
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0\x10\0\0\0CR", "a camera's raw file"),
    (b"IIRO", "a camera's raw file"),
    (b"IIU\0", "a camera's raw file"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF8", "GIF"),
    (b"8BPS", "a Photoshop file"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\0\x05\x16\x07", "a Mac's resource file"),
)


def kind_of(head: bytes) -> str | None:
    """Return what a file that begins with `head` (HEAD bytes or more) seems to be, or None."""
    if head[:4] == b"RIFF":
        return "WebP" if head[8:12] == b"WEBP" else "a sound or a film"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "a film")
    # Two letters begin many a text: a bitmap's reserved bytes are zeros.
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    found = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if found or not head:
        return found
    if not any(head):
        return "zeros"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page"
    printable = all(byte >= 32 or byte in b"\t\r\n" for byte in head)
    return "text" if printable else None


def is_read(kind: str | None) -> bool:
    """Tell whether files of this kind, as `kind_of` names it, are read."""
    return kind is not None and _READ.get(kind, False)


def is_picture(kind: str | None) -> bool:
    """Tell whether files of this kind hold a picture, read or not."""
    return kind in _READ or kind in ("GIF", "JPEG XL", "JPEG 2000", "a camera's raw file")


def suffix_of(name: str | PurePath) -> str:
    """Return the suffix of a file's name in lower case, with its dot; empty: none."""
    return Path(name).suffix.lower()


def kind_of_file(path: Path) -> str | None:
    """Return what a file seems to be (`kind_of`); None too where it can't be read."""
    try:
        with open_regular(path) as file:
            return kind_of(file.read(HEAD))
    except OSError:
        return None


def why_not_read(name: str | PurePath, kind: str | None = None) -> str:
    """Return why a file whose suffix is not one of SUFFIXES is not read; `kind`: of `kind_of`."""
    suffix = suffix_of(name)
    reason = _NOT_READ.get(suffix, "not a photo's file type")
    return f"{reason} ({suffix or 'no suffix'})" + (f": it seems to be {kind}" if kind else "")
