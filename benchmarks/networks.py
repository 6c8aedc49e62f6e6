"""How fast networks without references are trained and make SR, beside a plain PyTorch loop.

Prints, for each recipe at the sizes of a params file: steps/s of the trainer, of a loop that makes
the same network's forward and backward pass and Adam's step on one batch that is there already,
and what share of the loop's rate the trainer reaches; the same for SR of one image; and FLOPs a
second (by PyTorch's counter) as a share of what one large float32 matrix product reaches on the
same device and threads. The loop has a mean squared error: of recipes with VGG19 or a critic the
trainer's steps are not told.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from loader import demo
from timing import processor, seconds
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from train import matmul_flops, measure

from srntt_pipeline.config import read_params
from srntt_pipeline.device import choose_device
from srntt_pipeline.maps import to_tensor
from srntt_pipeline.models import build_model
from srntt_pipeline.models.tiling import WHOLE, in_tiles
from srntt_pipeline.recipes import RECIPES, Recipe
from srntt_pipeline.training.job import make_job
from srntt_pipeline.training.launch import launch
from srntt_pipeline.training.trainer import Trainer


def main() -> None:
    """Measure one recipe after the other."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--params", default="params.yaml")
    parser.add_argument("--recipes", help="in place of all without references: a,b,c")
    parser.add_argument("--dataset", help="in place of crops of a demo album")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--skip", type=int, default=5, help="steps that do not count")
    parser.add_argument("--lr-px", type=int, default=96, help="side of the LR image of SR")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    sections = read_params(Path(options.params)).train
    names = options.recipes.split(",") if options.recipes else list(RECIPES)
    alone = [n for n in names if not RECIPES[n].takes("maps") and not RECIPES[n].takes("images")]
    rate = matmul_flops(device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    print(f"Networks as {options.params} has them, {where}, {torch.get_num_threads()} threads")
    print(f"  float32 matrix product: {rate / 1e9:.0f} GFLOP/s")
    print(f"  {'':<10}{'steps/s':>9}{'loop':>9}{'share':>7}{'used':>6}", end="")
    print(f"{'SR, ms':>10}{'loop':>9}{'share':>7}{'used':>6}")
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(options.dataset) if options.dataset else demo(Path(folder) / "dataset")
        for name in alone:
            params = getattr(sections, name)
            network = build_model(*params.network()).to(device)
            print(f"  {name:<10}", end="")
            print(training(params, network, dataset, Path(folder) / name, options, rate), end="")
            print(inference(network, options.lr_px, device, rate), flush=True)


def training(
    params: Recipe, network: nn.Module, dataset: Path, out: Path, options: Any, rate: float
) -> str:
    """Return steps/s of trainer and loop, the share, and the use of the machine, as text."""
    device = next(network.parameters()).device
    side = params.patch_px
    hr = torch.rand(params.batch_size, 3, side, side, device=device)
    lr = F.interpolate(hr, scale_factor=0.25, mode="area")
    adam = torch.optim.Adam(network.parameters(), 1e-6)

    def step() -> float:
        loss = F.mse_loss(network(lr), hr)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()

    for _ in range(options.skip):
        step()
    plain = options.steps / seconds(lambda: [step() for _ in range(options.steps)])
    phases = params.phases()
    if len(phases) > 1 or phases[0].objective.critic or phases[0].objective.layers:
        return f"{'–':>9}{plain:>9.1f}{'–':>7}{'–':>6}"
    changes = {"steps": options.skip + options.steps, "validation_pairs": 1, "count_in": "steps"}
    short = type(params).model_validate({**params.model_dump(), **changes})

    def run(fabric: Fabric) -> tuple[float, float, float]:
        trainer = Trainer(fabric, out, make_job(short, dataset, None, fabric.device))
        return measure(trainer, options.skip)

    taken, _, flops = launch(run, options.device, 1, params.precision)
    ours = options.steps / taken
    return f"{ours:>9.1f}{plain:>9.1f}{ours / plain:>7.0%}{flops * ours / rate:>6.0%}"


def inference(network: nn.Module, side: int, device: torch.device, rate: float) -> str:
    """Return the time of SR of one image, ours and plain, the share, and the use, as text."""
    network.eval()
    lr = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    given = to_tensor(lr)[None].to(device)

    def run(model: nn.Module, image: Tensor) -> Tensor:
        made: Tensor = model(image)
        return made

    @torch.inference_mode()
    def plain() -> Tensor:
        return run(network, given).cpu()

    with FlopCounterMode(display=False) as counter:
        plain()
    ours = median(lambda: in_tiles(network, run, lr, WHOLE, side))
    loop = median(plain)
    used = counter.get_total_flops() / ours / rate
    return f"{1000 * ours:>10.1f}{1000 * loop:>9.1f}{loop / ours:>7.0%}{used:>6.0%}"


def median(run: Callable[[], object], repeats: int = 5) -> float:
    """Return the median seconds of a run, after one that does not count."""
    run()
    return statistics.median(seconds(run) for _ in range(repeats))


if __name__ == "__main__":
    main()
