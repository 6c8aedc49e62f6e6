"""Spoilt weights, checkpoints and training states, and what reads them."""

import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from commands import Inputs
from hypothesis import strategies as st
from mutations import CANARY, spoilt_bytes, spoilt_json
from safetensors.torch import save
from target import Target

from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.files import sha256
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.recipes.sisr import SisrRecipe


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
    return Target(spoilt_bytes(pickles), read, 0.2, pickles)


def training_states(inputs: Inputs, scratch: Path) -> Target:
    """States from which training goes on: state.json, or the tensors beside it."""
    options = SisrRecipe(
        channels=2, blocks=1, steps=2, batch_size=1, patch_px=16, checkpoint_every=1,
        validation_pairs=1,
    )  # fmt: skip
    done = scratch / "done"
    train(options, inputs.dataset, done, device="cpu")
    (state,) = (done / "resume").glob("*/*")
    valid = {path.name: path.read_bytes() for path in state.iterdir()}
    more = options.model_copy(update={"steps": 3})

    def read(file: tuple[str, bytes]) -> None:
        out = scratch / "out"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(done, out)
        (out / state.relative_to(done) / file[0]).write_bytes(file[1])
        train(more, inputs.dataset, out, device="cpu")

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
