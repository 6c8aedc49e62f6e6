"""Spoilt images, tables, labels and params, and what reads them."""

import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import yaml
from commands import Inputs
from hypothesis import strategies as st
from mutations import CANARY, odd_yaml, spoilt_bytes, spoilt_csv, spoilt_json, spoilt_yaml
from PIL import Image
from target import Target

from srntt_pipeline.albums.cufed import read_labels
from srntt_pipeline.albums.diff import diff_manifests
from srntt_pipeline.albums.manifest import read_manifests
from srntt_pipeline.albums.stats import manifest_stats
from srntt_pipeline.albums.verify import verify
from srntt_pipeline.cluster_config import ClusterConfig, read_cluster_config
from srntt_pipeline.config import Params, read_params
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.results import read_results
from srntt_pipeline.files import file_sha256, write_json
from srntt_pipeline.images import decode

# Images.


def _images() -> list[bytes]:
    picture = Image.fromarray(np.ascontiguousarray(skimage.data.astronaut()[100:140, 200:248]))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    kinds: list[dict[str, Any]] = [
        {"format": "JPEG", "exif": exif},
        {"format": "JPEG", "progressive": True},
        {"format": "JPEG", "restart_marker_blocks": 2, "subsampling": 0},
        {"format": "PNG"},
        {"format": "PNG", "icc_profile": bytes(3000), "exif": exif},
        {"format": "WEBP"},
        {"format": "WEBP", "lossless": True},
        {"format": "TIFF"},
        {"format": "TIFF", "compression": "jpeg"},
        {"format": "TIFF", "compression": "tiff_lzw"},
        {"format": "TIFF", "compression": "tiff_deflate"},
        {"format": "BMP"},
        {"format": "GIF"},
    ]
    files = []
    for options in kinds:
        file = io.BytesIO()
        picture.save(file, **options)
        files.append(file.getvalue())
    for mode in ("L", "P", "RGBA", "I;16"):
        file = io.BytesIO()
        image = picture.convert("L").convert("I;16") if mode == "I;16" else picture.convert(mode)
        image.save(file, format="PNG")
        files.append(file.getvalue())
    return files


def images(inputs: Inputs, scratch: Path) -> Target:
    """Image bytes of every format that is taken."""

    def read(content: bytes) -> None:
        found = decode(content, Path("album/photo.jpg"), grey=len(content) % 2 == 0)
        assert found.dtype == np.uint8
        assert found.ndim == 3

    return Target(spoilt_bytes(_images()), read)


# Manifests, labels, results.

_TABLES = ("train.csv", "test.csv", "rejected.csv")


def manifests(inputs: Inputs, scratch: Path) -> Target:
    """Manifests: a table whose hash the origin vouches for, or the origin itself."""
    source = inputs.built / "manifests"
    dataset = Path(shutil.copytree(inputs.built, scratch / "dataset"))
    folder = dataset / "manifests"
    valid = {name: (source / name).read_bytes() for name in (*_TABLES, "origin.json")}
    valid["rejected.csv"] += b"album,photo.jpg,empty file (0 bytes)\n"

    def read(file: tuple[str, bytes]) -> None:
        name, content = file
        for table, kept in valid.items():
            (folder / table).write_bytes(kept)
        (folder / name).write_bytes(content)
        if name != "origin.json":
            origin = json.loads(valid["origin.json"])
            origin["sha256"] = {table: file_sha256(folder / table) for table in _TABLES}
            write_json(folder / "origin.json", origin)
        read_manifests(folder)
        manifest_stats(folder, scratch / "stats.csv")
        diff_manifests(folder, source)
        with suppress(InputError):
            verify(dataset, albums=None, workers=1, say=lambda finding: None)

    tables = st.sampled_from(_TABLES).flatmap(
        lambda name: st.tuples(st.just(name), spoilt_csv(valid[name]))
    )
    origin = st.tuples(st.just("origin.json"), spoilt_json(valid["origin.json"]))
    return Target(tables | origin, read)


def labels(inputs: Inputs, scratch: Path) -> Target:
    """CUFED's JSON files of events and importance."""
    valid = {
        "event_type.json": b'{"0_a@N01": ["Wedding", "Birthday"], "1_b@N02": ["Zoo"]}',
        "image_importance.json": b'{"0_a@N01": [["x", "0_a@N01/1", 0.5], ["y", "0_a@N01/2", -1]]}',
    }

    def read(file: tuple[str, bytes]) -> None:
        for name in valid:
            (scratch / name).unlink(missing_ok=True)
        (scratch / file[0]).write_bytes(file[1])
        found = read_labels(scratch)
        found.event("0_a@N01")
        found.importance("0_a@N01", "1.jpg")

    return Target(
        st.sampled_from(sorted(valid)).flatmap(
            lambda name: st.tuples(st.just(name), spoilt_json(valid[name]))
        ),
        read,
    )


def results(inputs: Inputs, scratch: Path) -> Target:
    """What `tables` reads of evaluations."""
    folder = Path(shutil.copytree(inputs.results, scratch / "results"))
    valid = {name: (folder / name).read_bytes() for name in ("per_image.csv", "notes.json")}

    def read(file: tuple[str, bytes]) -> None:
        for name, content in valid.items():
            (folder / name).write_bytes(content)
        (folder / file[0]).write_bytes(file[1])
        read_results([folder])

    table = st.tuples(st.just("per_image.csv"), spoilt_csv(valid["per_image.csv"]))
    notes = st.tuples(st.just("notes.json"), spoilt_json(valid["notes.json"]))
    return Target(table | notes, read)


# Params.


def params(inputs: Inputs, scratch: Path) -> Target:
    """Params files."""
    return _yaml(Params().model_dump(mode="json"), read_params, scratch)


def cluster_config(inputs: Inputs, scratch: Path) -> Target:
    """Files of --cluster-config."""
    return _yaml(ClusterConfig().model_dump(mode="json"), read_cluster_config, scratch)


def _yaml(tree: Any, read_file: Callable[[Path], object], scratch: Path) -> Target:
    path = scratch / "params.yaml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        read_file(path)

    valid = yaml.safe_dump(tree).encode()
    canary = str(scratch / CANARY)
    files = spoilt_yaml(valid, tree, canary)
    return Target(files, read, always=odd_yaml(valid, canary))
