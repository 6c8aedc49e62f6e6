"""The pictures of an evaluation's page, and all of them as one short JSON for its script."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from srntt_pipeline.evaluation.detail import Detail
from srntt_pipeline.text import printable


@dataclass(frozen=True)
class Picture:
    """One picture of an image; paths are relative to the page.

    `kind`: `input`, `output`, `truth`, `reference` or `figure`; `value`: what stands below it, such
    as its PSNR; `size`: height and width in px, (0, 0) where they are not known; `reference`: by
    which an output was made, if by one; `preview`: a small copy; `detail`: a part at full size.
    """

    label: str
    path: Path
    kind: str
    value: str = ""
    size: tuple[int, int] = (0, 0)
    reference: str = ""
    preview: Path | None = None
    detail: Path | None = None

    @property
    def url(self) -> str:
        """The path as a relative URL."""
        return quote(self.path.as_posix())

    @property
    def small_url(self) -> str:
        """The path of the preview, or of the picture where there is none, as a relative URL."""
        return quote((self.preview or self.path).as_posix())

    @property
    def files(self) -> list[Path]:
        """The picture and its copies."""
        return [path for path in (self.path, self.preview, self.detail) if path]


@dataclass(frozen=True)
class Shown:
    """An image with its pictures; `figures` are wide ones below them: grid, matches.

    `detail`: the part of HR that details show; None: none.
    """

    name: str
    pictures: Sequence[Picture]
    figures: Sequence[Picture] = ()
    detail: Detail | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of HR, or of the largest picture where there is no HR."""
        truth = [picture.size for picture in self.pictures if picture.kind == "truth"]
        return max(truth or [picture.size for picture in self.pictures], default=(0, 0))


def page_data(shown: Sequence[Shown]) -> dict[str, Any]:
    """Return the pictures of all images as JSON-able content, in which little stands twice.

    `series`: label, kind and reference of pictures that images have in common. `patterns`: URLs
    with `*` for the name of an image. `images`: of each its name, the name in URLs, width and
    height, the detail, and its pictures and figures. A picture is [series, value, full, preview,
    detail], the last three places among the patterns, -1 for none; behind them stand width and
    height where they are not HR's.
    """
    series: dict[tuple[str, str, str], int] = {}
    patterns: dict[str, int] = {}

    def place(path: Path | None, name: str) -> int:
        return -1 if path is None else patterns.setdefault(_pattern(path, name), len(patterns))

    def row(picture: Picture, of: Shown) -> list[Any]:
        key = printable(picture.label), picture.kind, printable(picture.reference)
        places = [place(path, of.name) for path in (picture.path, picture.preview, picture.detail)]
        height, width = picture.size
        own = [] if picture.size == of.size else [width, height]
        return [series.setdefault(key, len(series)), printable(picture.value), *places, *own]

    def rows(pictures: Iterable[Picture], of: Shown) -> list[list[Any]]:
        return [row(picture, of) for picture in pictures]

    images = [
        {
            "name": printable(of.name),
            "file": quote(of.name),
            "size": of.size[::-1],
            "detail": list(astuple(of.detail or Detail(0, 0, 0, 0))),  # left, top, width, height
            "pictures": rows(of.pictures, of),
            "figures": rows(of.figures, of),
        }
        for of in shown
    ]
    keys = ("label", "kind", "reference")
    return {
        "series": [dict(zip(keys, one, strict=True)) for one in series],
        "patterns": list(patterns),
        "images": images,
    }


def _pattern(path: Path, name: str) -> str:
    """Return a path as a URL with `*` for the image's name; a real `*` is %2A there."""
    folder = quote(path.parent.as_posix())
    if path.name.startswith(name):
        return f"{folder}/*{quote(path.name.removeprefix(name))}"
    return quote(path.as_posix())
