"""Where a manifest comes from: `origin.json`, which lies beside its tables and vouches for them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import PIL
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import srntt_pipeline
from srntt_pipeline.albums.levels import level_name
from srntt_pipeline.config import BuildParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import read_json

ORIGIN = "origin.json"

_Count = Annotated[int, Field(ge=0)]
_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Versions = Annotated[
    dict[str, str],
    Field(description="Versions of the libraries whose code decides pixels or matches."),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Counts(_Part):
    """What the albums held from which the data set was chosen."""

    albums: _Count = Field(description="Albums that were found.")
    photos: _Count = Field(description="Usable photos.")
    photo_pairs: _Count = Field(description="Ordered pairs of usable photos of one album.")
    photo_pairs_per_level: dict[str, _Count] = Field(description="Of these, by level.")
    photo_pairs_without_level: _Count = Field(description="Of these, below every level.")


class RebuiltFrom(_Part):
    """The whole manifest of which this one is a part: some photos were missing."""

    sha256: dict[str, _Hash] = Field(description="Hashes of its tables and of its origin.json.")
    missing_photos: _Count = Field(description="Photos that were missing or changed.")
    train_pairs: _Count = Field(description="Training pairs of the whole.")
    test_groups: _Count = Field(description="Test groups of the whole.")
    versions: _Versions


class Origin(_Part):
    """The content of `origin.json`: parameters, thresholds, counts, versions, hashes."""

    name: str = Field(description="The data set's name in tables.")
    params: BuildParams = Field(description="Parameters of the build, with the seed.")
    level_bands: dict[str, _Count] | None = Field(
        description="Thresholds in effect: least matches of each level; null: quantiles of each "
        "album."
    )
    test_albums: list[str] = Field(description="Albums kept out of training.")
    counts: Counts
    near_duplicates: list[str] = Field(
        description="Photos of training albums that are near-duplicates of test photos."
    )
    profiles: dict[str, _Count] | None = Field(
        None,
        description="Usable photos that were converted to sRGB, by the name of their colour "
        "profile; null: of a version that left colours as they were.",
    )
    warnings: list[str] = Field(description="What the build warned of.")
    sha256: dict[str, _Hash] = Field(description="Hashes of the three tables, by file name.")
    versions: _Versions
    rebuilt_from: RebuiltFrom | None = Field(
        None, description="Only where photos were missing in a rebuild; else null."
    )


def origin_of(
    *,
    name: str,
    params: BuildParams,
    photos: Mapping[str, int],
    pairs_per_level: Sequence[int],
    test_albums: list[str],
    near_duplicates: list[str],
    profiles: Mapping[str, int],
    warnings: list[str],
) -> Origin:
    """Return the origin of a build.

    `photos` is the number of usable photos by album, `pairs_per_level` that of ordered photo pairs
    without level, of L1, L2, …, `profiles` that of converted photos by colour profile. The hashes
    follow when the tables are written.
    """
    without, *per_level = pairs_per_level
    bands = {level_name(k): least for k, least in enumerate(params.level_bands, start=1)}
    return Origin(
        name=name,
        params=params,
        level_bands=bands if params.levels_by == "bands" else None,
        test_albums=test_albums,
        counts=Counts(
            albums=len(photos),
            photos=sum(photos.values()),
            photo_pairs=sum(pairs_per_level),
            photo_pairs_per_level={level_name(k): n for k, n in enumerate(per_level, start=1)},
            photo_pairs_without_level=without,
        ),
        near_duplicates=near_duplicates,
        profiles=dict(profiles),
        warnings=warnings,
        sha256={},
        versions=current_versions(),
    )


def current_versions() -> dict[str, str]:
    """Return the versions that are at work now."""
    return {
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "srntt_pipeline": srntt_pipeline.__version__,
    }


def read_origin(folder: Path) -> Origin:
    """Read `folder`/origin.json; raise InputError that names it and what is wrong with it."""
    path = folder / ORIGIN
    fix = "name the manifests/ folder of a data set built by this version"
    content: Any = read_json(path, fix)
    try:
        return Origin.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "its content"
        raise InputError(
            f"{path}: not a manifest's origin ({place}: {problem['msg'].lower()}); {fix}"
        ) from None
