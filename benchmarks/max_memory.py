"""Peak memory of `super-resolve` and its bound, for images of several sizes.

Run `python benchmarks/max_memory.py --lr 0.1,0.4 --ref 1.5 --gib 1.5`: megapixels of LR and of the
reference, and bounds. Each run is a process of its own, with a small network and a random encoder;
only the first windows of LR are searched in earnest, for a search takes time and no more memory
from window to window. A run that its bound refuses is repeated with the bound that it asks for.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from resources import memory
from timing import processor

from srntt_pipeline.checkpoints import CheckpointInfo, save_checkpoint
from srntt_pipeline.config import SuperResolveParams, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.matching import correspondence
from srntt_pipeline.methods.super_resolve import super_resolve
from srntt_pipeline.models import build_model
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.swaps.encoder import load_encoder

EARNEST = 8  # searches of one window of LR in one of a reference
SIZES = {"channels": 4, "blocks": (1, 1, 1, 1), "bicubic_skip": True}


def inputs(folder: Path, lr: float, ref: float) -> None:
    """Write LR, a reference and a network to `folder`; sizes in megapixels."""
    rng = np.random.default_rng(0)
    for name, megapixels in (("lr.png", lr), ("ref.jpg", ref)):
        size = round((megapixels * 1.5e6) ** 0.5), round((megapixels * 1e6 / 1.5) ** 0.5)
        small = Image.fromarray(rng.integers(0, 256, (48, 72, 3), np.uint8))
        small.resize(size, Image.Resampling.BICUBIC).save(folder / name)
    encoder = load_encoder("random", 0, torch.device("cpu")).identity.as_dict()
    swaps = SwapParams(encoder_weights="random", scales=(1.0,), rotations_deg=(0.0,))
    info = CheckpointInfo(
        model="srntt-l2", sizes=SIZES, step=0, encoder=encoder, swaps=swaps, train=SrnttRecipe(),
        dataset="", metrics={},
    )  # fmt: skip
    save_checkpoint(folder / "model.safetensors", build_model("srntt-l2", SIZES), info)


def child(folder: Path, gib: float, threads: int) -> None:
    """Super-resolve, and print the peak, MiB, or why not."""
    torch.set_num_threads(threads)
    search, count = correspondence._best_in, itertools.count()

    def first(lr, ref, *others):  # type: ignore[no-untyped-def]
        if next(count) < EARNEST:
            return search(lr, ref, *others)
        shape = others[-1], lr.shape[1] - 2, lr.shape[2] - 2  # the first: how many matches of each
        last = (ref.shape[1] - 2) * (ref.shape[2] - 2) - 1
        places = torch.linspace(0, last, shape[0] * shape[1] * shape[2])
        return torch.ones(shape), places.long().view(shape)

    correspondence._best_in = first
    files = folder / "lr.png", [folder / "ref.jpg"], folder / "model.safetensors", folder / "sr.png"
    try:
        super_resolve(*files, SuperResolveParams(), device="cpu", max_memory=int(gib * 2**30))
    except InputError as error:
        print(error)
    else:
        print(f"peak {memory('VmHWM') / 2**20:.0f} MiB")


def run(folder: str, gib: str, threads: str, case: str) -> str:
    """Super-resolve in a process of its own; print and return what it says."""
    command = [sys.executable, __file__, "--child", folder, "--gib", gib, "--threads", threads]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    print(f"{case}, {float(gib) * 1024:.0f} MiB: {told}", flush=True)
    return told


def main() -> None:
    """Print a line for each pair of sizes and bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, given in (("lr", "0.1"), ("ref", "1.5"), ("gib", "1.5,2"), ("threads", "1,2")):
        parser.add_argument(f"--{name}", default=given)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, float(options.gib), int(options.threads))
        return
    print(processor())
    lists = [text.split(",") for text in (options.lr, options.ref, options.threads, options.gib)]
    for lr, ref, threads, gib in itertools.product(*lists):
        with tempfile.TemporaryDirectory() as folder:
            inputs(Path(folder), float(lr), float(ref))
            case = f"LR {lr}, reference {ref} megapixels, {threads} threads"
            told = run(folder, gib, threads, case)
            if told.endswith("GiB"):
                run(folder, told.split()[-2], threads, case)


if __name__ == "__main__":
    main()
