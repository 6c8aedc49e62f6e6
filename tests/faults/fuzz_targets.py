"""What is fuzzed: each reader of files from elsewhere, on spoilt files. Runs in a child process.

`main` prints as JSON how many inputs were tried, how many of them refused, and what broke: any
exception but InputError, more than TIME_S seconds, or more than MEMORY bytes above the first read.
"""

import io
import json
import os
import pickle
import resource
import shutil
import signal
import sys
import traceback
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import skimage.data
import torch
import yaml
from commands import Inputs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mutations import HOSTILE, spoilt_bytes, spoilt_csv, spoilt_json, spoilt_yaml
from PIL import Image
from safetensors.torch import save

from srntt_pipeline.albums.cufed import read_labels
from srntt_pipeline.albums.diff import diff_manifests
from srntt_pipeline.albums.manifests import read_manifests
from srntt_pipeline.albums.stats import manifest_stats
from srntt_pipeline.albums.verify import verify
from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.config import (
    ClusterConfig,
    Params,
    UpscalerParams,
    read_cluster_config,
    read_params,
)
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.results import read_results
from srntt_pipeline.files import file_sha256, sha256, write_json
from srntt_pipeline.hdf5 import USER_BLOCK
from srntt_pipeline.images import decode
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.verify import verify_shards
from srntt_pipeline.training.loop import train_upscaler

TIME_S = 20
MEMORY = 1 << 30
CANARY = "canary"  # no code in any input may make a file of this name

Read = Callable[[Any], object]


@dataclass(frozen=True)
class Target:
    """Spoilt files, and what reads one; `share` of the asked inputs, where a read takes long."""

    files: st.SearchStrategy[Any]
    read: Read
    share: float = 1.0


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
    return Target(spoilt_yaml(valid, tree, str(scratch / CANARY)), read)


# Swaps.


def _read_swaps(folder: Path) -> None:
    """Read all that is in there; a shard that is refused must not keep others from being read."""
    shards = Shards(folder)
    refused: list[InputError] = []
    for name in shards.names:
        for read in (shards.__getitem__, *([shards.maps] if shards.has_maps else [])):
            try:
                read(name)
            except InputError as error:
                refused.append(error)
    try:
        verify_shards(folder, say=lambda finding: None)
    except InputError as error:
        refused.append(error)
    if refused:
        raise refused[0]


def swap_index(inputs: Inputs, scratch: Path) -> Target:
    """The index of swap shards."""
    folder = Path(shutil.copytree(inputs.swaps, scratch / "swaps"))
    path = folder / "index.json"
    valid = path.read_bytes()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        _read_swaps(folder)

    return Target(spoilt_json(valid), read)


_DTYPES = ("f2", "f4", "f8", "i1", "i8", "u1", "u4", "c8", "S4", "bool", "vlen")


@st.composite
def _h5_changes(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Draw changes of an HDF5 file: (what, which of the objects, more)."""
    kinds = st.sampled_from([
        "dtype", "shape", "huge", "value", "value", "delete", "soft loop", "external", "group",
        "attribute", "attribute", "lose attribute", "hard loop",
    ])  # fmt: skip
    return [
        (draw(kinds), draw(st.integers(0, 40)), draw(st.integers(0, 40)))
        for _ in range(draw(st.integers(1, 3)))
    ]


def _spoil_h5(path: Path, changes: list[tuple[Any, ...]]) -> None:
    with h5py.File(path, "r+") as file:
        for what, which, more in changes:
            names: list[str] = []
            file.visit(names.append)
            if not names:
                return
            name = names[which % len(names)]
            item = file[name]
            owner: Any = (file, *[file[n] for n in names])[which % (len(names) + 1)]
            values = item[()] if isinstance(item, h5py.Dataset) else np.zeros(3)
            if what == "attribute":
                keys = list(owner.attrs) or ["x"]
                value = HOSTILE[more % len(HOSTILE)]
                with suppress(TypeError, ValueError, UnicodeEncodeError, OSError, RuntimeError):
                    owner.attrs[keys[more % len(keys)]] = np.nan if value is None else value
                continue
            if what == "lose attribute":
                if keys := list(owner.attrs):
                    del owner.attrs[keys[more % len(keys)]]
                continue
            if what == "value" and isinstance(item, h5py.Dataset):
                if item.size and values.dtype.kind in "uif":
                    extreme = [0, -1, -5, 2**16, 2**32 - 1, np.nan, np.inf, -np.inf][more % 8]
                    with np.errstate(all="ignore"):
                        flat = values.astype(np.float64).ravel()
                        flat[more % flat.size] = extreme
                        spoilt = flat.reshape(values.shape)
                        item[...] = spoilt if values.dtype.kind == "f" else (
                            np.nan_to_num(spoilt).clip(-(2**62), 2**62).astype(np.int64)
                            .astype(values.dtype))  # fmt: skip
                continue
            del file[name]
            if what == "dtype":
                kind = _DTYPES[more % len(_DTYPES)]
                with np.errstate(all="ignore"):
                    if kind == "vlen":
                        file.create_dataset(name, data="text", dtype=h5py.string_dtype())
                    else:
                        file.create_dataset(name, data=np.nan_to_num(values).astype(kind))
            elif what == "shape":
                shapes = [(), (0,), (1,), (0, 2), (2, 2), (1, 1, 1), (3, 5, 2), values.shape[::-1]]
                file.create_dataset(name, shape=shapes[more % len(shapes)], dtype=values.dtype)
            elif what == "huge":
                shape = [(1 << 37,), (1 << 18, 1 << 18), (1, 1 << 36)][more % 3]
                file.create_dataset(name, shape=shape, dtype="f4", chunks=True)
            elif what == "soft loop":
                file[name] = h5py.SoftLink(f"/{name}")
            elif what == "external":
                place = ["/etc/passwd", "../other.h5", "/dev/zero", path.name][more % 4]
                file[name] = h5py.ExternalLink(place, f"/{name}")
            elif what == "hard loop":
                file[name] = file["/"]
            elif what == "group":
                file.create_group(name)


def _reseal(folder: Path, path: Path) -> None:
    """Put the seal and the index right, so that what is wrong is met by the parser."""
    content = path.read_bytes()
    seal = f"srntt_pipeline\nsha256 {sha256(content[USER_BLOCK:])}\n".encode()
    path.write_bytes(seal.ljust(USER_BLOCK, b"\0") + content[USER_BLOCK:])
    index = json.loads((folder / "index.json").read_bytes())
    for shard in index["shards"]:
        if shard["file"] == path.name:
            shard["sha256"] = file_sha256(path)
    write_json(folder / "index.json", index)


def shards(inputs: Inputs, scratch: Path) -> Target:
    """Shards with other types, shapes, sizes, values, links, attributes; the seal is put right."""
    folder = scratch / "swaps"

    def read(case: tuple[str, list[tuple[Any, ...]]]) -> None:
        source, changes = case
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(scratch / source, folder)
        path = folder / "shard-00000.h5"
        _spoil_h5(path, changes)
        _reseal(folder, path)
        _read_swaps(folder)

    shutil.copytree(inputs.swaps, scratch / "correspondence")
    shutil.copytree(inputs.maps, scratch / "maps")
    return Target(st.tuples(st.sampled_from(["correspondence", "maps"]), _h5_changes()), read, 0.5)


def shard_bytes(inputs: Inputs, scratch: Path) -> Target:
    """Shards with any bytes changed and the seal left as it was: none may reach the parser."""
    folder = Path(shutil.copytree(inputs.swaps, scratch / "swaps"))
    path = folder / "shard-00000.h5"
    valid = path.read_bytes()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        _read_swaps(folder)
        assert content == valid, "a changed shard was read"

    return Target(spoilt_bytes([valid]), read, 0.5)


# Networks.


def _pickles(canary: str) -> list[bytes]:
    """Return files as torch.load would take them, whose code would make the file `canary`."""

    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {canary}",)

    plain = pickle.dumps({"features.0.weight": Code()})
    packed = io.BytesIO()
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, packed)
    spoilt = io.BytesIO()
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(spoilt, "w") as new:
        for name in old.namelist():
            new.writestr(name, plain if name.endswith("data.pkl") else old.read(name))
    return [plain, packed.getvalue(), spoilt.getvalue(), pickle.dumps(Code(), protocol=0)]


def checkpoints(inputs: Inputs, scratch: Path) -> Target:
    """Checkpoints: the weights with their hash put right, or the JSON beside them."""
    (weights,) = inputs.model.glob("*.safetensors")
    path = scratch / weights.name
    valid, described = weights.read_bytes(), weights.with_suffix(".json").read_bytes()
    other = save({"x": torch.full((4,), torch.nan), "y": torch.zeros(1 << 10, dtype=torch.int8)})
    head = json.loads(valid[8 : 8 + int.from_bytes(valid[:8], "little")])

    def with_head(text: bytes) -> bytes:
        return len(text).to_bytes(8, "little") + text + valid[-1000:]

    heads = spoilt_json(json.dumps(head).encode()).map(with_head)
    files = spoilt_bytes([valid, other]) | heads | st.sampled_from(_pickles(str(scratch / CANARY)))

    def read(file: tuple[bytes, bytes]) -> None:
        content, beside = file
        path.write_bytes(content)
        if content != valid:
            info = json.loads(beside) | {"weights_sha256": sha256(content)}
            beside = json.dumps(info).encode()
        path.with_suffix(".json").write_bytes(beside)
        load_checkpoint(scratch)

    of_weights = st.tuples(files, st.just(described))
    return Target(of_weights | st.tuples(st.just(valid), spoilt_json(described)), read)


def encoder_weights(inputs: Inputs, scratch: Path) -> Target:
    """Files named with --encoder-weights: pickles, some with code in them."""
    path = scratch / "vgg19.pth"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        load_encoder(str(path), 0, torch.device("cpu"))

    pickles = _pickles(str(scratch / CANARY))
    return Target(st.sampled_from(pickles) | spoilt_bytes(pickles), read, 0.2)


def training_states(inputs: Inputs, scratch: Path) -> Target:
    """States from which training goes on: state.json, or the tensors beside it."""
    options = UpscalerParams(
        channels=2, blocks=1, steps=2, batch_size=1, patch_px=16, checkpoint_every=1,
        validation_pairs=1,
    )  # fmt: skip
    done = scratch / "done"
    train_upscaler(inputs.dataset, done, options, device="cpu")
    (state,) = (done / "resume").iterdir()
    valid = {path.name: path.read_bytes() for path in state.iterdir()}
    more = options.model_copy(update={"steps": 3})

    def read(file: tuple[str, bytes]) -> None:
        out = scratch / "out"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(done, out)
        (out / "resume" / state.name / file[0]).write_bytes(file[1])
        train_upscaler(inputs.dataset, out, more, device="cpu")

    names = st.sampled_from(sorted(valid))
    return Target(
        names.flatmap(
            lambda name: st.tuples(
                st.just(name),
                spoilt_json(valid[name]) if name.endswith(".json") else spoilt_bytes([valid[name]]),
            )
        ),
        read,
        0.2,
    )


TARGETS: dict[str, Callable[[Inputs, Path], Target]] = {
    make.__name__: make
    for make in (
        images, manifests, labels, results, params, cluster_config, swap_index, shards, shard_bytes,
        checkpoints, encoder_weights, training_states,
    )
}  # fmt: skip


class TooSlow(BaseException):
    """Raised out of a read that takes too long."""


def _too_slow(*_: object) -> None:
    raise TooSlow(f"more than {TIME_S} s")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Fuzz the target named first on as many inputs as named second; print what came of it."""
    _, _, name, count, root, scratch = sys.argv
    place = Path(scratch)
    os.chdir(place)
    target = TARGETS[name](Inputs(Path(root)), place)
    signal.signal(signal.SIGALRM, _too_slow)
    # What would take the whole machine fails instead, and is told as what broke.
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 4 * MEMORY, size + 4 * MEMORY))
    found: dict[str, Any] = {"tried": 0, "refused": 0, "broken": 0, "kinds": {}}
    peaks: list[int] = []

    @settings(
        max_examples=max(3, round(int(count) * target.share)),
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.files)
    def attempt(file: Any) -> None:
        found["tried"] += 1
        (place / "last input").write_text(repr(file)[:100_000])
        signal.alarm(TIME_S)
        try:
            target.read(file)
        except InputError:
            found["refused"] += 1
        except (Exception, TooSlow) as error:
            _note(found, _kind(error), file)
        finally:
            signal.alarm(0)
        peaks.append(_peak())
        if peaks[-1] - peaks[max(0, len(peaks) - 2)] > MEMORY:
            grown = (peaks[-1] - peaks[-2]) >> 20
            _note(found, f"took {grown} MiB more than all before", file)

    attempt()
    if any(place.rglob(CANARY)):
        _note(found, "code in an input was executed", "")
    found["mib"] = (max(peaks) - peaks[0]) >> 20
    sys.__stdout__.write(json.dumps(found))  # type: ignore[union-attr]


def _note(found: dict[str, Any], kind: str, file: Any) -> None:
    found["broken"] += 1
    times, example = found["kinds"].get(kind, (0, repr(file)[:300]))
    found["kinds"][kind] = times + 1, example


def _kind(error: BaseException) -> str:
    """Return what an error is and where in the package it came from."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "/srntt_pipeline/" in f.filename
    ]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} in {where}: {str(error)[:120]!r}"
