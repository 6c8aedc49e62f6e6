"""Shards as older versions of the format have them.

Version 3 knows no refined matches: its pairs have no `phase`, its index does not name `refine`. In
version 2 the cosines' data set is called `score`, too.
"""

import json
from pathlib import Path

import h5py

from srntt_pipeline.files import file_sha256, write_json
from srntt_pipeline.hdf5 import add_dataset, sealed_file

COSINE = {2: "score", 3: "cosine"}


def as_version(version: int, folder: Path) -> Path:
    """Rewrite the shards of `folder`, and its index where it has one, as that version.

    Their matches are on the grid.
    """
    for path in sorted(folder.glob("shard-*.h5")):
        shard_as_version(version, path)
    index = folder / "index.json"
    if index.exists():
        content = json.loads(index.read_text())
        for shard in content["shards"]:
            shard["sha256"] = file_sha256(folder / shard["file"])
        for name in ("refine", "refine_best", "encoder_precision"):
            del content["params"][name]
        write_json(index, {**content, "version": version})
    return folder


def shard_as_version(version: int, path: Path) -> None:
    """Rewrite a shard byte for byte as software of that time wrote it."""
    new = path.rename(path.with_suffix(".new"))
    with h5py.File(new) as today, sealed_file(path) as old:
        pairs = old.create_group("pairs")
        for name in today["pairs"]:
            pair, group = today["pairs"][name], pairs.create_group(name)
            assert "phase" not in pair
            for key, text in pair.attrs.items():
                group.attrs[key] = text
            add_dataset(group, "shapes", pair["shapes"][:])
            for key, was in (("index", "index"), ("cosine", COSINE[version])):
                options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
                add_dataset(group, was, pair[key][:], **options)
            for layer in ("relu3_1", "relu2_1", "relu1_1") if "maps" in pair else ():
                maps = pair["maps"][layer]
                options = {"chunks": maps.chunks, "fletcher32": True}
                if maps.compression:
                    options |= {"compression": maps.compression, "shuffle": True}
                    if maps.compression == "gzip":
                        options["compression_opts"] = maps.compression_opts
                add_dataset(group, f"maps/{layer}", maps[:], **options)
        for key in ("format", "version", "encoder", "augmentations", "networks", "store",
                    "software", "made_from"):  # fmt: skip
            old.attrs[key] = version if key == "version" else today.attrs[key]
    new.unlink()
