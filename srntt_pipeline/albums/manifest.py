"""The folder `manifests/` of a data set, read and written as a whole.

It holds three tables, whose format `manifest_rows` knows, and `origin.json`, which vouches for them
by their hashes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from srntt_pipeline import layout
from srntt_pipeline.albums.manifest_rows import (
    MISSING,
    REJECTED,
    TEST,
    TRAIN,
    Rejected,
    TestRow,
    TrainRow,
    manifest_bytes,
    read_manifest,
)
from srntt_pipeline.albums.origin import ORIGIN, Origin, read_origin
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256, json_bytes, sha256, write_bytes
from srntt_pipeline.outputs import Output

MANIFESTS = Path("manifests")
MATCH_COUNTS, CONTACT_SHEET = Path("match_counts.png"), Path("contact_sheet.png")


@dataclass(frozen=True)
class Manifest:
    """A data set's tables, sorted, and their origin; `files` is what they are written as."""

    train: list[TrainRow]
    test: list[TestRow]
    rejected: list[Rejected]
    origin: Origin
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def groups(self) -> int:
        """The number of test groups."""
        return len({row.group for row in self.test})


def make_manifest(
    train: list[TrainRow], test: list[TestRow], rejected: list[Rejected], origin: Origin
) -> Manifest:
    """Return the manifest of these rows, whose hashes are put into `origin`."""
    tables = {
        TRAIN: manifest_bytes(TrainRow, train),
        TEST: manifest_bytes(TestRow, test),
        REJECTED: manifest_bytes(Rejected, rejected),
    }
    hashes = {name: sha256(content) for name, content in tables.items()}
    origin = origin.model_copy(update={"sha256": hashes})
    files = tables | {ORIGIN: json_bytes(origin.model_dump(mode="json"))}
    return Manifest(sorted(train), sorted(test), sorted(rejected), origin, files)


def is_of(out: Path, manifest: Manifest) -> bool:
    """Return whether the data set `out` was made, or begun, from `manifest`."""
    written = out / MANIFESTS / ORIGIN
    return written.is_file() and written.read_bytes() == manifest.files[ORIGIN]


def write_manifests(output: Output, manifest: Manifest) -> None:
    """Write the manifest of a data set; images of another one are removed first.

    Only images that the folder's inventory names: others are not ours.
    """
    out = output.folder
    if not is_of(out, manifest):
        images = (layout.TRAIN_INPUT, layout.TRAIN_REF, layout.TEST)
        output.remove_others([], [place.as_posix() for place in images])
    if manifest.origin.rebuilt_from is None:
        output.remove([MANIFESTS / MISSING])  # what an earlier rebuild lacked
    output.claim(MANIFESTS / name for name in manifest.files)
    for name, content in manifest.files.items():
        write_bytes(out / MANIFESTS / name, content)


def folder_of(path: Path) -> Path:
    """Return the folder of a manifest: `path` itself, or `manifests/` in the data set `path`."""
    return path / MANIFESTS if (path / MANIFESTS).is_dir() else path


def read_manifests(path: Path) -> Manifest:
    """Read the manifest in a folder, or that of a data set.

    Raises InputError that names the file when one is missing, is not what it should be, or is not
    the table that its origin vouches for.
    """
    folder = folder_of(path)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the manifests/ folder of a data set")
    origin = read_origin(folder)
    for name in (TRAIN, TEST, REJECTED):
        if problem := edited(folder, name, origin):
            raise InputError(problem)
    return Manifest(
        sorted(read_manifest(TrainRow, folder / TRAIN)),
        sorted(read_manifest(TestRow, folder / TEST)),
        sorted(read_manifest(Rejected, folder / REJECTED)),
        origin,
        {name: (folder / name).read_bytes() for name in (TRAIN, TEST, REJECTED, ORIGIN)},
    )


def edited(folder: Path, name: str, origin: Origin) -> str | None:
    """Return what to say when a table is not the one that `origin` vouches for, else None."""
    path = folder / name
    if not path.is_file():
        return f"{path} is missing; restore it"
    digest, recorded = file_sha256(path), origin.sha256.get(name)
    if digest == recorded:
        return None
    return (
        f"{path} is not the table that {ORIGIN} was written with: it was edited, or its line ends "
        f"were changed; restore it, or, if the edit is meant, set its hash in {ORIGIN} to {digest}"
    )
