"""How fast the trainer is, what it waits for, and how much of the machine it uses.

Prints, for each number of loader workers: samples/s of training steps with swapped maps, the share
of time that steps wait for batches, FLOPs of a step (by PyTorch's counter: forward and backward of
network, critic and losses), and these per second as a share of what one large float32 matrix
product reaches on the same device and threads. The first steps, in which maps are rebuilt or
workers start, do not count.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from lightning_fabric import Fabric
from loader import demo
from timing import processor, seconds
from torch.utils.flop_counter import FlopCounterMode

from srntt_pipeline.config import SwapParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.training.job import make_job
from srntt_pipeline.training.launch import launch
from srntt_pipeline.training.recipes.srntt import SrnttRecipe
from srntt_pipeline.training.trainer import Trainer


def main() -> None:
    """Train some steps with each number of workers."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--variant", default="srntt-l2")
    parser.add_argument("--dataset", help="in place of crops of a demo album")
    parser.add_argument("--encoder-weights", default="random")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--blocks", default="4,4,2,1")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--patch-px", type=int, default=80)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--skip", type=int, default=5, help="steps that do not count")
    parser.add_argument("--loader-workers", default="0,1,2")
    parser.add_argument("--cache-gib", type=float, default=4.0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    params = SrnttRecipe(
        variant=options.variant,
        channels=options.channels,
        blocks=tuple(map(int, options.blocks.split(","))),
        batch_size=options.batch_size,
        patch_px=options.patch_px,
        precision=options.precision,
        warmup_steps=0,
        reconstruction_steps=0,
        steps=options.skip + options.steps,
        validation_pairs=1,
    )
    device = choose_device(options.device)
    rate = matmul_flops(device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    print(f"Training {options.variant}, {where}, {torch.get_num_threads()} threads")
    print(f"  float32 matrix product: {rate / 1e9:.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = Path(options.dataset) if options.dataset else demo(folder / "dataset")
        swaps = SwapParams(
            encoder_weights=options.encoder_weights, scales=(1.0,), rotations_deg=(0.0,)
        )
        precompute_swaps(dataset, folder / "swaps", swaps, workers=1, device=str(device))
        print(f"  {'workers':>8}{'samples/s':>11}{'waiting':>9}{'GFLOP/step':>12}{'used':>7}")
        for workers in map(int, options.loader_workers.split(",")):

            def run(fabric: Fabric, workers: int = workers) -> tuple[float, float, float]:
                job = make_job(
                    params,
                    dataset,
                    folder / "swaps",
                    fabric.device,
                    cache_bytes=int(options.cache_gib * 2**30),
                    on_cpu=workers > 0,
                )
                trainer = Trainer(fabric, folder / "out", job, workers)
                return measure(trainer, options.skip)

            taken, waited, flops = launch(run, options.device, 1, params.precision)
            steps, samples = options.steps, options.steps * params.batch_size
            used = flops * steps / taken / rate
            print(
                f"  {workers:>8}{samples / taken:>11.1f}{waited / taken:>9.1%}"
                f"{flops / 1e9:>12.1f}{used:>7.0%}",
                flush=True,
            )


def measure(trainer: Trainer, skip: int) -> tuple[float, float, float]:
    """Return seconds of the steps that count, what of that was waiting, and FLOPs of one step."""
    waited = start = flops = 0.0
    drawn = trainer.batches_from(0)
    for number, (phase, batch) in enumerate(drawn):
        if number == 0:
            with FlopCounterMode(display=False) as counter:
                trainer.step(phase, batch)
            flops = counter.get_total_flops()
            continue
        trainer.step(phase, batch)  # its losses are read, so the device is done
        if number == skip - 1:
            start, waited = time.perf_counter(), trainer.waited
    return time.perf_counter() - start, trainer.waited - waited, flops


def matmul_flops(device: torch.device, side: int = 2048) -> float:
    """Return FLOP/s of a float32 matrix product, the best of five."""
    a, b = (torch.rand(side, side, device=device) for _ in range(2))

    def product() -> None:
        (a @ b)[0, 0].item()

    product()
    return 2 * side**3 / min(seconds(product) for _ in range(5))


if __name__ == "__main__":
    main()
