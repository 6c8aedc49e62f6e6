"""Rebuilding a data set from its manifest and the photos: nothing is chosen, images are cut.

No features, no matches: photos are decoded, shrunk and cropped as the manifest says, so the images
are the same to the byte as long as the photos and Pillow are.
"""

import logging
from pathlib import Path
from typing import Any

from srntt_pipeline.albums.dataset import write_dataset
from srntt_pipeline.albums.manifest import (
    CONTACT_SHEET,
    MANIFESTS,
    MATCH_COUNTS,
    Manifest,
    folder_of,
    is_of,
    make_manifest,
    read_manifests,
)
from srntt_pipeline.albums.manifest_rows import MISSING, Missing, manifest_bytes
from srntt_pipeline.albums.missing import count, find_photos, rows_without, told
from srntt_pipeline.albums.origin import RebuiltFrom, current_versions
from srntt_pipeline.albums.photos import album_folder, check_outside
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import sha256, write_bytes
from srntt_pipeline.outputs import Output, open_output

log = logging.getLogger(__name__)

_TOLD = 20  # missing photos named on the screen; the file has them all
_INCOMPLETE = " (incomplete)"


def rebuild_cufed5(
    source: Path, albums: Path, out: Path, *, allow_missing: bool, workers: int
) -> dict[str, Any]:
    """Rebuild the data set `out` from the manifest in the folder `source` and the photos `albums`.

    Images, manifests, `summary.json` and `contact_sheet.png` are those of the original, byte for
    byte. Photos that are missing or changed are listed in `manifests/missing.csv` with what they
    cost; with `allow_missing` the data set is built without what needs them, under the same file
    names, and its origin says what it is a part of. Returns the summary.

    Raises InputError when photos are missing, or a table is not what its origin vouches for.
    """
    if not albums.is_dir():
        raise InputError(f"{albums}: no such folder")
    check_outside(albums, out)
    data = whole = read_manifests(source)
    _warn_of_versions(source, whole)
    with open_output(out, "dataset", reads=[albums]) as output:
        found = find_photos(whole, albums, workers)
        missing = found.missing
        if missing:
            data = _part(whole, missing)
            _refuse_or_list(output, source, albums, whole, data, missing, allow_missing)
        else:
            output.remove([MANIFESTS / MISSING])
        if not is_of(out, data):
            output.remove([MATCH_COUNTS])  # another's; a manifest has no counts to plot
        names = {row.album for row in data.train} | {row.album for row in data.test}
        folders = {name: album_folder(albums, name) for name in names}
        report, images = write_dataset(output, data, folders, workers, found.elsewhere)
    log.info(
        "Rebuilt %d of %d training pairs and %d of %d test groups of %s in %s; %s; look at %s",
        len(data.train), len(whole.train), data.groups, whole.groups, source, out, images,
        out / CONTACT_SHEET,
    )  # fmt: skip
    return report


def _refuse_or_list(
    output: Output, source: Path, albums: Path, whole: Manifest, data: Manifest,
    missing: list[Missing], allow_missing: bool,
) -> None:  # fmt: skip
    """List missing photos in a file and on the screen; raise InputError unless that is allowed."""
    out = output.folder
    output.claim([MANIFESTS / MISSING])
    _list_missing(missing, out / MANIFESTS / MISSING)
    bill = (
        f"{count(len(missing), 'photo')} of {albums} missing or changed cost "
        f"{len(whole.train) - len(data.train)} of {len(whole.train)} training pairs and "
        f"{whole.groups - data.groups} of {whole.groups} test groups"
    )
    if not allow_missing:
        raise InputError(f"{bill}; put the photos back, or go on with --allow-missing")
    if (out / MANIFESTS).resolve() == folder_of(source).resolve():
        raise InputError(f"{bill}, and {source} would lose their rows; name another OUT")


def _warn_of_versions(source: Path, whole: Manifest) -> None:
    """Warn when pixels may differ: Pillow decodes and shrinks the photos."""
    now, then = current_versions()["pillow"], whole.origin.versions.get("pillow", "?")
    if now != then:
        log.warning(
            "Warning: %s was made with Pillow %s, this is %s: pixels may differ",
            source, then, now,
        )  # fmt: skip


def _part(whole: Manifest, missing: list[Missing]) -> Manifest:
    """Return the manifest of what can be built; its name tells tables that it is not the whole."""
    train, test = rows_without(whole, missing)
    made_from = RebuiltFrom(
        sha256={name: sha256(content) for name, content in whole.files.items()},
        missing_photos=len(missing),
        train_pairs=len(whole.train),
        test_groups=whole.groups,
        versions=current_versions(),
    )
    name = f"{whole.origin.name.removesuffix(_INCOMPLETE)}{_INCOMPLETE}"
    origin = whole.origin.model_copy(update={"name": name, "rebuilt_from": made_from})
    return make_manifest(train, test, whole.rejected, origin)


def _list_missing(missing: list[Missing], path: Path) -> None:
    write_bytes(path, manifest_bytes(Missing, missing))
    for row in missing[:_TOLD]:
        log.warning("%s", told(row))
    if len(missing) > _TOLD:
        log.warning("… and %d more; %s has all", len(missing) - _TOLD, path)
