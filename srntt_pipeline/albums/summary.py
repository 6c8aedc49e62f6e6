"""The numbers that a person looks at after a build."""

from collections import Counter
from typing import Any

from srntt_pipeline.albums.levels import level_name
from srntt_pipeline.albums.manifest import Manifest


def summarise(manifest: Manifest) -> dict[str, Any]:
    """Return the content of `summary.json`: plain numbers, by level where that tells more."""
    origin = manifest.origin
    cropped = Counter(row.level for row in manifest.train)
    levels = map(level_name, range(1, origin.params.levels + 1))
    return {
        "name": origin.name,
        **origin.counts.model_dump(mode="json"),
        "rejected": len(manifest.rejected),
        "train_pairs": len(manifest.train),
        "train_pairs_per_level": {level: cropped[level] for level in levels},
        "test_albums": origin.test_albums,
        "test_groups": manifest.groups,
        "near_duplicates": origin.near_duplicates,
        "warnings": _warnings(manifest),
    }


def _warnings(manifest: Manifest) -> list[str]:
    part = manifest.origin.rebuilt_from
    if not part:
        return manifest.origin.warnings
    return [
        f"rebuilt without {part.missing_photos} photos that are missing or changed: "
        f"{len(manifest.train)} of {part.train_pairs} training pairs and {manifest.groups} of "
        f"{part.test_groups} test groups are here; photos and photo_pairs are the whole's"
    ]
