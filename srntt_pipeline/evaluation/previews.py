"""What the page shows before full pictures are asked for: small copies, and details as they are.

A preview is the whole picture, small, as lossy WebP. A detail is a part of it at full size as
lossless WebP: the same pixels, the same part of every picture of an image. References, which no
number is measured on, are kept as lossy WebP of limited size. Each file says what it was made from.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from srntt_pipeline.degradation import Making, make_hr
from srntt_pipeline.evaluation.detail import Detail, choose_detail
from srntt_pipeline.evaluation.paths import IMAGES, PAGE, slug
from srntt_pipeline.files import file_sha256, fingerprint, open_regular, write_bytes
from srntt_pipeline.images import (
    RGB,
    limit_long_side,
    pixels_sha256,
    read_made_from,
    read_rgb,
    write_png,
)
from srntt_pipeline.layout import Group

PREVIEW_PX, PREVIEW_QUALITY = 160, 80  # long side; WebP's quality
REFERENCE_PX, REFERENCE_QUALITY = 640, 90
_DESCRIPTION = 0x010E  # Exif's ImageDescription


@dataclass(frozen=True)
class PreviewJob:
    """A test group whose small copies are to be made below `out`.

    `pictures`: its SR images and references that `evaluate` made, as paths below `out`.
    """

    out: Path
    group: Group
    making: Making
    pictures: tuple[Path, ...]


@dataclass(frozen=True)
class Sizes:
    """Of a group: HR's height and width; the detail; the heights and widths of the references as
    they are kept, by name.
    """

    hr: tuple[int, int]
    detail: Detail
    references: Mapping[str, tuple[int, int]]


def hr_path(name: str) -> Path:
    """Return where the page has HR of an image, as it was measured against: PNG."""
    return PAGE / "hr" / f"{name}.png"


def reference_path(reference: str, name: str) -> Path:
    """Return where the page has a reference of an image."""
    return PAGE / "references" / slug(reference) / f"{name}.webp"


def preview_path(picture: Path) -> Path:
    """Return where the small copy of a picture lies, all relative to the evaluation's folder."""
    return _beside("previews", picture)


def detail_path(picture: Path) -> Path:
    """Return where the detail of a picture lies."""
    return _beside("details", picture)


def _beside(folder: str, picture: Path) -> Path:
    own = picture.relative_to(PAGE if picture.is_relative_to(PAGE) else IMAGES)
    return PAGE / folder / own.with_name(f"{own.name.removesuffix(own.suffix)}.webp")


def make_previews(job: PreviewJob) -> Sizes:
    """Write HR, references, previews and details of one group; what is there is not made again.

    Raises InputError.
    """
    hr = make_hr(read_rgb(job.group.hr, grey=True), job.making)
    detail = choose_detail(hr, ())  # by HR alone: outputs come later, and their files stay
    full, made_from = hr_path(job.group.name), pixels_sha256(hr)
    if read_made_from(job.out / full) != made_from:
        write_png(job.out / full, hr, made_from)
    for picture in (full, *job.pictures):
        _shrink(job.out, picture, detail)
    kept = {}
    for name, path in job.group.refs.items():
        own = reference_path(name, job.group.name)
        kept[name] = _keep_reference(path, job.out, own)
    height, width, _ = hr.shape
    return Sizes((height, width), detail, kept)


def _shrink(out: Path, picture: Path, detail: Detail) -> None:
    """Write preview and detail of a picture in `out`, unless they are there."""
    source = read_made_from(out / picture) or file_sha256(out / picture)
    copies = {
        preview_path(picture): fingerprint([source, PREVIEW_PX, PREVIEW_QUALITY]),
        detail_path(picture): fingerprint([source, str(detail)]),
    }
    if all(webp_made_from(out / path) == made_from for path, made_from in copies.items()):
        return
    image = read_rgb(out / picture)
    small = limit_long_side(image, PREVIEW_PX)
    kinds = ((small, PREVIEW_QUALITY), (detail.of(image), None))
    for (path, made_from), (pixels, quality) in zip(copies.items(), kinds, strict=True):
        write_webp(out / path, pixels, made_from, quality)


def _keep_reference(source: Path, out: Path, kept: Path) -> tuple[int, int]:
    """Write a reference and its preview, unless they are there; return its height and width."""
    sha256 = file_sha256(source)
    copies = {
        kept: (REFERENCE_PX, REFERENCE_QUALITY),
        preview_path(kept): (PREVIEW_PX, PREVIEW_QUALITY),
    }
    image = limit_long_side(read_rgb(source, grey=True), REFERENCE_PX)
    for path, (side, quality) in copies.items():
        made_from = fingerprint([sha256, side, quality])
        if webp_made_from(out / path) != made_from:
            write_webp(out / path, limit_long_side(image, side), made_from, quality)
    height, width, _ = image.shape
    return height, width


def group_files(group: Group, pictures: Sequence[Path]) -> list[Path]:
    """Return all that `make_previews` writes of a group."""
    measured = [hr_path(group.name), *pictures]
    references = [reference_path(name, group.name) for name in group.refs]
    return [
        measured[0],
        *references,
        *map(preview_path, [*measured, *references]),
        *map(detail_path, measured),
    ]


def write_webp(path: Path, image: RGB, made_from: str, quality: int | None) -> None:
    """Write `image`, uint8 [H, W, 3], as WebP of that `quality`, 0 … 100, or lossless for None.

    `made_from`: a line of text to keep in the file (Exif's ImageDescription).
    """
    exif = Image.Exif()
    exif[_DESCRIPTION] = made_from
    content = io.BytesIO()
    how = {"lossless": True} if quality is None else {"quality": quality}
    Image.fromarray(image).save(content, "WEBP", exif=exif, **how)
    write_bytes(path, content.getvalue())


def webp_made_from(path: Path) -> str | None:
    """Return what `write_webp` was given as `made_from`; None for other files, or for none."""
    try:
        with open_regular(path) as file, Image.open(file, formats=["WEBP"]) as image:
            return image.getexif().get(_DESCRIPTION)
    except (OSError, SyntaxError):
        return None
