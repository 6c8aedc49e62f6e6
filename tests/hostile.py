"""Files as a stranger would make them: their hashes and seals are right, what they hold is not.

`SHARDS`, `INDEXES`, `CHECKPOINTS` and `STATE_DICTS` name what is done to a good one. `payloads`
gives files that run code where they are unpickled.
"""

import builtins
import functools
import hashlib
import io
import json
import os
import pickle
import runpy
import subprocess
import tarfile
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from safetensors.torch import load_file, save_file

# --- Shards -----------------------------------------------------------------------------------


def seal(path: Path) -> None:
    """Write the hash of all that follows into the user block, as docs/formats.md has it."""
    content = path.read_bytes()[512:]
    text = f"srntt_pipeline\nsha256 {hashlib.sha256(content).hexdigest()}\n"
    path.write_bytes(text.encode().ljust(512, b"\0") + content)


def edit_index(folder: Path, change: Callable[[dict], object]) -> None:
    path = folder / "index.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def relist(folder: Path) -> None:
    """Set the hashes of the shards in the index to those that they have."""

    def change(index: dict) -> None:
        for shard in index["shards"]:
            content = (folder / shard["file"]).read_bytes()
            shard["sha256"] = hashlib.sha256(content).hexdigest()

    edit_index(folder, change)


def edit_shard(folder: Path, change: Callable[[h5py.Group], object]) -> None:
    """Change the group of the first pair of the first shard; seal and list the shard."""
    shard = json.loads((folder / "index.json").read_text())["shards"][0]
    path = folder / shard["file"]
    with h5py.File(path, "r+") as file:
        change(file["pairs"][shard["pairs"][0]])
    seal(path)
    relist(folder)


Edit = Callable[[h5py.Group], object]


def put(name: str, values: Any, **options: Any) -> Edit:
    def change(pair: h5py.Group) -> None:
        made = values(pair[name][()]) if callable(values) else values
        del pair[name]
        pair.create_dataset(name, data=made, **options)

    return change


def link(name: str, target: Any) -> Edit:
    def change(pair: h5py.Group) -> None:
        del pair[name]
        pair[name] = target

    return change


def declare(name: str, shape: tuple[int, ...], **options: Any) -> Edit:
    def change(pair: h5py.Group) -> None:
        kind = pair[name].dtype
        del pair[name]
        pair.create_dataset(name, shape, kind, **options)

    return change


def first(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values.flat[0] = value
        return values

    return change


def inflating(pair: h5py.Group) -> None:
    """A chunk of 1 MiB that inflates to 64."""
    del pair["index"]
    dataset = pair.create_dataset("index", (512, 512), np.uint32, chunks=(512, 512), compression=1)
    dataset.id.write_direct_chunk((0, 0), zlib.compress(bytes(64 << 20), 1))


def virtual(pair: h5py.Group) -> None:
    layout = h5py.VirtualLayout(pair["index"].shape, np.uint32)
    layout[:] = h5py.VirtualSource("other.h5", "index", pair["index"].shape)
    del pair["index"]
    pair.create_virtual_dataset("index", layout)


def away(pair: h5py.Group) -> None:
    """The group itself is a link into another file."""
    parent, name = pair.parent, pair.name.rsplit("/", 1)[-1]
    del parent[name]
    parent[name] = h5py.ExternalLink("other.h5", "/pairs/a")


def attribute(name: str, value: Any) -> Edit:
    def change(pair: h5py.Group) -> None:
        del pair.attrs[name]
        if value is not None:
            pair.attrs[name] = value

    return change


HUGE = (200_000, 200_000)  # 149 GiB
SHARDS: dict[str, Edit] = {
    "index -5": put("index", lambda values: first(-5)(values.astype(np.int32))),
    "index of floats": put("index", lambda values: values.astype(np.float32)),
    "index of 64 bits": put("index", lambda values: values.astype(np.int64)),
    "index of text": put("index", "text"),
    "index beyond the patches": put("index", first(2**31)),
    "index of three dimensions": put("index", lambda values: values[None]),
    "index of another size": put("index", lambda values: values[:-1]),
    "index of nothing": put("index", lambda values: values[:0]),
    "cosine of nothing": put("cosine", h5py.Empty(np.float32)),
    "cosine of 64 bits": put("cosine", lambda values: values.astype(np.float64)),
    "cosine of big-endian floats": put("cosine", lambda values: values.astype(">f4")),
    "cosine NaN": put("cosine", first(np.nan)),
    "cosine infinite": put("cosine", first(np.inf)),
    "cosine 1.5": put("cosine", first(1.5)),
    "cosine -0.1": put("cosine", first(-0.1)),
    "shapes of floats": put("shapes", lambda values: values.astype(np.float32)),
    "shapes of one dimension": put("shapes", lambda values: values[:, 0]),
    "shapes of three columns": put("shapes", lambda values: np.c_[values, values[:, :1]]),
    "shapes of nothing": put("shapes", lambda values: values[:0]),
    "shapes below a patch": put("shapes", first(2)),
    "index a soft link": link("index", h5py.SoftLink("cosine")),
    "index a loop of soft links": link("index", h5py.SoftLink("index")),
    "index an external link": link("index", h5py.ExternalLink("other.h5", "/pairs/a/index")),
    "index a virtual data set": virtual,
    "index in an external file": declare("index", (8, 8), external="other.raw"),
    "index a group": lambda pair: (pair.pop("index"), pair.create_group("index")),
    "index a type": link("index", np.dtype(np.uint32)),
    "pair an external link": away,
    "149 GiB in chunks": declare("index", HUGE, chunks=(1000, 1000), compression=1),
    "149 GiB in a row": declare("cosine", HUGE),
    "512 MiB in chunks": declare("index", (16_384, 8192), chunks=(1024, 1024), compression=1),
    "chunks beyond the data": declare("index", (8, 8), chunks=(8, 8), maxshape=(None, None)),
    "a chunk that inflates": inflating,
    "a filter of others": put("index", lambda values: values, chunks=True, scaleoffset=0),
    "hash of HR missing": attribute("hr_sha256", None),
    "hash of HR a number": attribute("hr_sha256", 7),
    "hash of HR an array": attribute("hr_sha256", ["a" * 64] * 2),
    "hash of HR no hash": attribute("hr_sha256", "a" * 63),
    "hashes of references no JSON": attribute("ref_sha256", "[" * 100_000),
    "hashes of references a number": attribute("ref_sha256", "7"),
    "hashes of references numbers": attribute("ref_sha256", "[7]"),
    "hashes of references none": attribute("ref_sha256", "[]"),
}


def beyond(down: int, right: int) -> Edit:
    """The last patch of a version, some pixels down and right: it leads out of the version."""

    def change(pair: h5py.Group) -> None:
        height, width = (int(side) - 2 for side in pair["shapes"][0])
        put("index", first(height * width - 1))(pair)
        put("phase", first(4 * down + right))(pair)

    return change


# Of matches to the pixel alone.
PHASES: dict[str, Edit] = {
    "phase missing": lambda pair: pair.pop("phase"),
    "phase 16": put("phase", first(16)),
    "phase 255": put("phase", first(255)),
    "phase down beyond the last patch": beyond(1, 0),
    "phase right beyond the last patch": beyond(0, 3),
    "phase of 16 bits": put("phase", lambda values: values.astype(np.uint16)),
    "phase of signed numbers": put("phase", lambda values: values.astype(np.int8)),
    "phase of floats": put("phase", lambda values: values.astype(np.float32)),
    "phase of text": put("phase", "text"),
    "phase of another size": put("phase", lambda values: values[:, 1:]),
    "phase of more rows": put("phase", lambda values: np.r_[values, values]),
    "phase of three dimensions": put("phase", lambda values: values[None]),
    "phase of nothing": put("phase", lambda values: values[:0]),
    "phase empty": put("phase", h5py.Empty(np.uint8)),
    "phase a soft link": link("phase", h5py.SoftLink("index")),
    "phase an external link": link("phase", h5py.ExternalLink("other.h5", "/pairs/a/phase")),
    "phase a group": lambda pair: (pair.pop("phase"), pair.create_group("phase")),
    "phases of 37 GiB": declare("phase", HUGE, chunks=(1000, 1000), compression=1),
    "phases of 256 MiB": declare("phase", (16_384, 16_384), chunks=(1024, 1024), compression=1),
}
MAPS: dict[str, Edit] = {
    "maps NaN": put("maps/relu1_1", first(np.nan)),
    "maps infinite": put("maps/relu3_1", first(np.inf)),
    "maps of 64 bits": put("maps/relu2_1", lambda values: values.astype(np.float64)),
    "maps too small": put("maps/relu2_1", lambda values: values[:, 1:]),
    "maps too large": put("maps/relu2_1", lambda values: np.pad(values, 1)),
    "maps missing": lambda pair: pair.pop("maps"),
    "maps an external link": link("maps", h5py.ExternalLink("other.h5", "/pairs/a/maps")),
}


def listed(name: str, value: Any) -> Callable[[dict], object]:
    return lambda index: index["shards"][0].update({name: value})


INDEXES: dict[str, Callable[[dict], object]] = {
    "file above": listed("file", "../shard-00000.h5"),
    "file absolute": listed("file", "/shard-00000.h5"),
    "file of another name": listed("file", "other.h5"),
    "file with a line end": listed("file", "shard-00000.h5\n"),
    "file with NUL": listed("file", "shard-00000.h5\0"),
    "file a number": listed("file", 7),
    "hash no hash": listed("sha256", "g" * 64),
    "hash a list": listed("sha256", ["a"]),
    "pairs text": listed("pairs", "a"),
    "pairs an object": listed("pairs", {"a": 1}),
    "pair a number": listed("pairs", [7]),
    "pair empty": listed("pairs", [""]),
    "pair a path": listed("pairs", ["../a"]),
    "pair with NUL": listed("pairs", ["a\0"]),
    "pair half a character": listed("pairs", ["\ud800"]),
    "pair twice": listed("pairs", ["a", "a"]),
    "pairs miscounted": lambda index: index.update(pairs=7),
    "shard twice": lambda index: index["shards"].append({**index["shards"][0], "pairs": []}),
    "shards an object": lambda index: index.update(shards={"a": 1}),
    "shards of numbers": lambda index: index.update(shards=[7]),
    "encoder a list": lambda index: index.update(encoder=[7]),
    "encoder of numbers": lambda index: index.update(encoder={"source": 7, "sha256": 7}),
    "networks a list": lambda index: index.update(networks=["upscaler"]),
    "networks of strangers": lambda index: index.update(networks={"\x1b[31m\n": "a" * 64}),
    "networks of numbers": lambda index: index.update(networks={"upscaler": 7}),
    "params null": lambda index: index.update(params=None),
    "params a list": lambda index: index.update(params=[]),
    "params of lists": lambda index: index["params"].update(scales={"a": [1]}),
    "agreement NaN": lambda index: index.update(float32_agreement=float("nan")),
    "agreement 2": lambda index: index.update(float32_agreement=2),
    "agreement text": lambda index: index.update(float32_agreement="1.0"),
    "software a list": lambda index: index.update(software=[]),
    "made from a number": lambda index: index.update(made_from=7),
    "version a list": lambda index: index.update(version=[2]),
}

# --- Checkpoints ------------------------------------------------------------------------------


def edit_json(path: Path, **changes: Any) -> None:
    """Change what lies beside the checkpoint `path`; its hash is set right."""
    described = path.with_suffix(".json")
    content = json.loads(described.read_text())
    content["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    described.write_text(json.dumps({**content, **changes}))


def describe(**changes: Any) -> Callable[[Path], None]:
    return lambda path: edit_json(path, **changes)


def sized(**changes: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        sizes = json.loads(path.with_suffix(".json").read_text())["sizes"]
        edit_json(path, sizes={**sizes, **changes})

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)
        edit_json(path)

    return rewrite


def spoilt(value: float) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: next(iter(tensors.values())).view(-1)[:1].fill_(value)


def typed(kind: torch.dtype) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: tensors.update({name: t.to(kind) for name, t in tensors.items()})


def raw(header: bytes, length: int | None = None, data: bytes = b"") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        size = len(header) if length is None else length
        path.write_bytes(size.to_bytes(8, "little") + header + data)
        edit_json(path)

    return write


def described(**tensors: Any) -> bytes:
    return json.dumps(
        {
            name: {"dtype": "F32", "shape": shape, "data_offsets": offsets}
            for name, (shape, offsets) in tensors.items()
        }
    ).encode()


CHECKPOINTS: dict[str, Callable[[Path], None]] = {
    "a million channels": sized(channels=1_000_000),
    "a billion channels": sized(channels=1_000_000_000),
    "a billion blocks": sized(blocks=[1_000_000_000, 1, 1, 1]),
    "256 blocks four times": sized(blocks=[256] * 4),
    "many numbers of blocks": sized(blocks=[1] * 100_000),
    "channels below zero": sized(channels=-4),
    "channels of text": sized(channels="4"),
    "channels infinite": sized(channels=float("inf")),
    "blocks an object": sized(blocks={"a": 1}),
    "layers of strangers": sized(layers=[["relu3_1"]]),
    "step text": describe(step="16"),
    "step below zero": describe(step=-1),
    "metrics text": describe(metrics={"validation_psnr_db": "23.5"}),
    "model a list": describe(model=[]),
    "model unknown": describe(model="\x1b[31m\n"),
    "weights NaN": weights(spoilt(float("nan"))),
    "weights infinite": weights(spoilt(float("-inf"))),
    "weights float64": weights(typed(torch.float64)),
    "weights float16": weights(typed(torch.float16)),
    "weights bfloat16": weights(typed(torch.bfloat16)),
    "weights int32": weights(typed(torch.int32)),
    "header of 2^62 bytes": raw(b"{}", 2**62),
    "header of 64 MiB": raw(b"{" + b" " * (64 << 20) + b"}"),
    "header deep": raw(b'{"a":' * 1000 + b"1" + b"}" * 1000),
    "header no JSON": raw(b"\xff" * 64),
    "tensors over each other": raw(described(a=([4], [0, 16]), b=([4], [0, 16])), None, bytes(16)),
    "tensors beyond the file": raw(described(a=([400], [0, 1600])), None, bytes(16)),
    "a tensor of 2^60 values": raw(described(a=([2**30, 2**30], [0, 16])), None, bytes(16)),
    "a tensor of 2^128 values": raw(described(a=([2**63] * 2, [0, 16])), None, bytes(16)),
}

# --- State dicts ------------------------------------------------------------------------------

State = dict[str, Any]


def one(change: Callable[[torch.Tensor], Any]) -> Callable[[State], None]:
    """Change the first tensor that has more than one value."""

    def rewrite(state: State) -> None:
        name = next(key for key, value in state.items() if value.numel() > 1)
        state[name] = change(state[name])

    return rewrite


def quantised(value: torch.Tensor) -> torch.Tensor:
    with warnings.catch_warnings(action="ignore"):  # PyTorch will drop these; files will not
        return torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)


STATE_DICTS: dict[str, Callable[[State], None]] = {
    "float64": one(torch.Tensor.double),
    "float16": one(torch.Tensor.half),
    "bfloat16": one(torch.Tensor.bfloat16),
    "int64": one(torch.Tensor.long),
    "bool": one(torch.Tensor.bool),
    "complex": one(lambda value: value.to(torch.complex64)),
    "NaN": one(lambda value: value.index_fill(0, torch.tensor([0]), float("nan"))),
    "infinite": one(lambda value: value.index_fill(0, torch.tensor([0]), float("inf"))),
    "sparse": one(torch.Tensor.to_sparse),
    "quantised": one(quantised),
    "without values": one(lambda value: torch.empty_like(value, device="meta")),
    "of 4 TB by stride 0": one(lambda _: torch.zeros(1).expand(10**6, 10**6)),
    "bytes": one(lambda value: bytearray(8)),
    "text": one(lambda value: "zeros"),
    "none": one(lambda value: None),
}


def deflated(source: Path, path: Path, zeros: int = 64 << 20) -> None:
    """Write the archive `source` again with storages of zeros, deflated: a bomb."""
    with (
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, True, 1) as new,
    ):
        for entry in old.infolist():
            is_storage = "/data/" in entry.filename
            new.writestr(entry.filename, bytes(zeros) if is_storage else old.read(entry))
            zeros = min(zeros, 1024)


# What each of these is reduced to makes the file `canary`.


class Evil:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class EvilDict(OrderedDict):
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        super().__init__()
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return OrderedDict, (), {"a": 1}, None, iter([("features.0.weight", Evil(*self.call))])


def payloads(folder: Path, canary: Path) -> dict[str, bytes]:
    """Return files by what they try; each makes `canary` where its pickle is run."""
    script = folder / "script.py"
    script.write_text(f"open({str(canary)!r}, 'w').close()")
    code = script.read_text()
    shell = f"touch {canary}"
    nested = folder / "nested.pth"
    torch.save({"a": Evil(os.system, shell)}, nested)
    evils = {
        "os.system": Evil(os.system, shell),
        "exec": Evil(builtins.exec, code),
        "eval": Evil(builtins.eval, code),
        "subprocess": Evil(subprocess.call, ["touch", str(canary)]),
        "partial": Evil(functools.partial(os.system, shell)),
        "runpy": Evil(runpy.run_path, str(script)),
        "torch.load": Evil(functools.partial(torch.load, nested, weights_only=False)),
        "pickle.loads": Evil(pickle.loads, pickle.dumps(Evil(os.system, shell))),
        "open": Evil(open, str(canary), "w"),
        "in an OrderedDict": EvilDict(os.system, shell),
    }
    files: dict[str, bytes] = {}
    for name, evil in evils.items():
        for new in (True, False):
            content = io.BytesIO()
            torch.save({"features.0.weight": evil}, content, _use_new_zipfile_serialization=new)
            files[f"{name}, {'archive' if new else 'old format'}"] = content.getvalue()
    system = evils["os.system"]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        files[f"pickle of protocol {protocol}"] = pickle.dumps(system, protocol)
    files["pickle by hand"] = f"cposix\nsystem\n(S'{shell}'\ntR.".encode()
    files["pickle with INST"] = f"(S'{shell}'\niposix\nsystem\n.".encode()
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    files["after the magic number"] = magic + pickle.dumps(system, 2) * 4
    files["tar"] = _tar(pickle.dumps(system, 2))
    files["TorchScript"] = _scripted(system)
    files["archive in an archive"] = _nested(system)
    files["bytearray of 2 GB"] = _archive(pickle.dumps({"a": Evil(bytearray, 2 << 30)}, 2))
    return files


def _tar(content: bytes) -> bytes:
    """What torch.save wrote before 2017."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _archive(content: bytes, **more: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", b"3\n")
        archive.writestr("archive/byteorder", b"little")
        for name, data in more.items():
            archive.writestr(f"archive/{name}", data)
    return file.getvalue()


def _scripted(evil: Evil) -> bytes:
    content = pickle.dumps(evil, 2)
    return _archive(content, **{"constants.pkl": content, "code/__torch__.py": b"import os\n"})


def _nested(evil: Evil) -> bytes:
    inner = _archive(pickle.dumps(evil, 2))
    return _archive(pickle.dumps(evil, 2), **{"data/0": inner, "inner/data.pkl": inner})
