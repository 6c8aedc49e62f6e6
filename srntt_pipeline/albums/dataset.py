"""Writing a data set from its manifest, for a build or a rebuild: images, sheet, summary."""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from srntt_pipeline import layout
from srntt_pipeline.albums import contact_sheet, summary
from srntt_pipeline.albums.manifest import (
    CONTACT_SHEET,
    MANIFESTS,
    Manifest,
    write_manifests,
)
from srntt_pipeline.albums.photos import PhotoChecks
from srntt_pipeline.albums.pixels import cut_files, cut_jobs, cut_photo
from srntt_pipeline.files import write_bytes, write_json
from srntt_pipeline.outputs import Output
from srntt_pipeline.parallel import run_all
from srntt_pipeline.text import tally

log = logging.getLogger(__name__)

_IMAGES = (layout.TRAIN_INPUT, layout.TRAIN_REF, layout.TEST)


def write_dataset(
    output: Output,
    data: Manifest,
    folders: Mapping[str, Path],
    workers: int,
    elsewhere: Mapping[tuple[str, str, str], Path] = MappingProxyType({}),
) -> tuple[dict[str, Any], str]:
    """Write manifest, images, pairs, contact sheet and summary of a data set.

    Returns the summary, and in words how many images were made and how many reused.

    `folders` tells where the photos of each album lie; `elsewhere`, by album, name and hash, where
    photos lie that are not under their names. Images that are there, whole and cut as the
    manifest says, are kept. Raises InputError when a file of somebody else is in the way.
    """
    out = output.folder
    claim_dataset(output, data)
    write_manifests(output, data)
    _write_pairs(output, data)
    checks = PhotoChecks.of(data.origin.params, data.origin.profiles is not None)
    jobs = cut_jobs(out, data.train, data.test, dict(folders), checks, elsewhere)
    made = run_all(
        cut_photo,
        jobs,
        workers=workers,
        description="Cutting images",
        unit="images",
        size=lambda job: len(job.cuts),
    )
    report = summary.summarise(data)
    contact_sheet.draw(out / CONTACT_SHEET, out, data, jobs)
    write_json(out / layout.SUMMARY, report)
    for warning in report["warnings"]:
        log.warning("Warning: %s", warning)
    for place in _IMAGES:
        for path in output.foreign(place):
            log.warning("Warning: %s is not of this data set; move it out of there", path)
    return report, tally("images", sum(made), sum(len(job.cuts) for job in jobs))


def _write_pairs(output: Output, data: Manifest) -> None:
    """Write which reference C2-Matching's code takes for each test image; without any, no file."""
    if not data.test:
        output.remove([layout.PAIRS])
        return
    text = layout.pairs_text(sorted({row.group for row in data.test}))
    write_bytes(output.folder / layout.PAIRS, text.encode())


def claim_dataset(output: Output, data: Manifest) -> None:
    """Claim all files that a data set of this manifest has, before any of them is touched."""
    images = cut_files(data.train, data.test)
    tables = [MANIFESTS / name for name in data.files]
    pairs = [layout.PAIRS] if data.test else []
    output.claim([*images, *tables, *pairs, CONTACT_SHEET, layout.SUMMARY])
