"""The training loop of SRNTT-ℓ2 (paper sections 3.3–3.4, 5): SISR warm-up, then ℓ2 on all."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from srntt_pipeline.checkpoints import (
    CheckpointInfo,
    load_tensors,
    save_checkpoint,
    save_tensors,
)
from srntt_pipeline.config import TrainParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import (
    csv_bytes,
    discard,
    fingerprint,
    output_folder,
    read_json,
    whole_file,
    write_bytes,
    write_json,
)
from srntt_pipeline.images import SCALE
from srntt_pipeline.layout import TrainPair, read_train_pairs
from srntt_pipeline.models import build_model, model_names
from srntt_pipeline.parallel import progress
from srntt_pipeline.seeds import generator
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import LAYERS, load_encoder
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.training import CACHE_GIB
from srntt_pipeline.training.data import Patches, StepSampler

log = logging.getLogger(__name__)

WARMUP, TRANSFER = "SISR warm-up", "texture transfer"
_SCALE_PAIRS = 16  # pairs over which the deviation of swapped maps is taken
# What may change between a run and its continuation without changing any step already made.
_SCHEDULE = {"steps", "validate_every", "checkpoint_every"}


@dataclass
class Progress:
    """How far a run has come: steps made, and the rows of its loss and validation curves."""

    step: int
    losses: list[dict[str, Any]]
    validations: list[dict[str, Any]]


class Trainer:
    """One training run: model, optimiser, data and where it writes."""

    def __init__(
        self,
        dataset: Path,
        swaps: Path,
        out: Path,
        params: TrainParams,
        *,
        model: str = "srntt-l2",
        device: str = "auto",
        encoder_weights: str | None = None,
        cache_bytes: int = int(CACHE_GIB * 2**30),
    ) -> None:
        if model not in model_names():
            raise InputError(f"--model {model}: unknown; known: {', '.join(model_names())}")
        self.out, self.params, self.model_name = out, params, model
        chosen = choose_device(device)
        shards = Shards(swaps)
        encoder = None
        if not shards.has_maps:
            encoder = load_encoder(
                encoder_weights or shards.params.encoder_weights, shards.params.encoder_seed, chosen
            )
        train, validation = split_validation(read_train_pairs(dataset), params)
        self.train_pairs = SwappedPairs(train, shards, encoder, cache_bytes * 3 // 4)
        self.validation_pairs = SwappedPairs(validation, shards, encoder, cache_bytes // 4)
        self.shards = shards

        torch.manual_seed(params.seed)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        self.sizes = params.model_dump(
            include={"channels", "blocks", "bicubic_skip", "weight_maps"}
        )
        network = build_model(model, self.sizes)
        optimiser = torch.optim.Adam(
            network.parameters(), params.learning_rate, betas=(params.beta1, 0.999)
        )
        accelerator = chosen.type
        devices = 1 if chosen.index is None else [chosen.index]
        # Within a SLURM job too: Fabric would take its tasks for other processes of this training.
        self.fabric = Fabric(
            accelerator=accelerator, devices=devices, plugins=[LightningEnvironment()]
        )
        self.network: nn.Module = network
        self.model, self.optimiser = self.fabric.setup(network, optimiser)
        self.model.mark_forward_method("sisr")
        self.made_from = fingerprint(
            {
                "swaps": shards.made_from,
                "model": model,
                "params": params.model_dump(mode="json", exclude=_SCHEDULE),
            }
        )

    def run(self) -> dict[str, float]:
        """Train to the last step and write the checkpoint; return its validation metrics."""
        params = self.params
        state = self._resume()
        stop = params.warmup_steps + params.steps
        if state.step == 0:
            self.network.set_map_scales(self._map_deviations())  # type: ignore[operator]
        with progress("Training", "steps", stop, initial=state.step) as bar:
            for phase, start, end in (
                (WARMUP, state.step, params.warmup_steps),
                (TRANSFER, max(state.step, params.warmup_steps), stop),
            ):
                for batch in self._batches(phase, start, end):
                    loss = self._step(phase, batch)
                    state.step += 1
                    state.losses.append({"step": state.step, "phase": phase, "loss": f"{loss:.6g}"})
                    last = state.step == stop
                    if last or state.step % params.validate_every == 0:
                        psnr = self.validate(phase)
                        row = {"step": state.step, "phase": phase, "psnr_db": f"{psnr:.4f}"}
                        state.validations.append(row)
                        bar.set_postfix_str(f"{phase}, validation {psnr:.2f} dB")
                    if last or state.step % params.checkpoint_every == 0:
                        self._save(state)
                    bar.update()
        return self._finish(state)

    def _batches(self, phase: str, start: int, end: int) -> Any:
        params = self.params
        patches = Patches(
            self.train_pairs, params.patch_px, params.seed, phase == TRANSFER, params.augment
        )
        sampler = StepSampler(len(patches), params.batch_size, start, max(start, end), params.seed)
        return self.fabric.setup_dataloaders(
            DataLoader(patches, batch_sampler=sampler), use_distributed_sampler=False
        )

    def _step(self, phase: str, batch: dict[str, Tensor]) -> float:
        """Make one step on the mean squared error (SRNTT-ℓ2); return the loss."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = F.mse_loss(self._restore(phase, batch), batch["hr"])
        self.fabric.backward(loss)
        self.optimiser.step()
        return float(loss.detach())

    def _restore(self, phase: str, batch: dict[str, Tensor]) -> Tensor:
        if phase == WARMUP:
            return self.model.sisr(batch["lr"])
        maps = {layer: batch[layer] for layer in LAYERS}
        return self.model(batch["lr"], maps, batch["weight"])

    @torch.no_grad()
    def validate(self, phase: str) -> float:
        """Return the mean PSNR over the validation pairs, dB: RGB, no border, values clipped."""
        self.model.eval()
        values = []
        for index in range(len(self.validation_pairs)):
            pair = self.validation_pairs[index]
            batch = {"lr": pair["lr"], "weight": pair["weight"], **pair["maps"]}
            batch = {name: self.fabric.to_device(t[None]) for name, t in batch.items()}
            sr = self._restore(phase, batch)[0].clamp(0, 1).cpu().numpy()
            values.append(peak_signal_noise_ratio(pair["hr"].numpy(), sr, data_range=1))
        self.model.train()
        return float(np.mean(values))

    def _map_deviations(self) -> dict[str, float]:
        """Return the standard deviation of each layer's swapped maps over some training pairs."""
        count = min(_SCALE_PAIRS, len(self.train_pairs))
        squares = dict.fromkeys(LAYERS, 0.0)
        for index in range(count):
            for layer, maps in self.train_pairs[index]["maps"].items():
                squares[layer] += float(maps.var(correction=0)) / count
        return {layer: square**0.5 for layer, square in squares.items()}

    # A run's state is a folder, renamed into place whole: model, optimiser, curves, step.

    def _save(self, state: Progress) -> None:
        folder = self.out / "resume" / f"step-{state.step:08d}"
        if not folder.exists():
            with whole_file(folder) as partial:
                save_tensors(partial / "model.safetensors", self.network.state_dict())
                save_tensors(partial / "optimiser.safetensors", _flatten(self.optimiser))
                write_json(partial / "state.json", {"made_from": self.made_from, **vars(state)})
        for other in folder.parent.glob("step-*"):
            if other != folder:
                discard(other)

    def _resume(self) -> Progress:
        """Load the last state of the same run, if there is one that this run has not passed."""
        for folder in sorted((self.out / "resume").glob("step-*"), reverse=True):
            content = read_json(folder / "state.json", f"delete {folder} to start afresh")
            stop = self.params.warmup_steps + self.params.steps
            if content.pop("made_from") == self.made_from and content["step"] <= stop:
                self.network.load_state_dict(load_tensors(folder / "model.safetensors"))
                _unflatten(self.optimiser, load_tensors(folder / "optimiser.safetensors"))
                log.info("Resuming at step %d", content["step"])
                return Progress(**content)
            log.warning("Training starts afresh: other parameters, other swaps, or fewer steps")
            discard(folder)
        return Progress(0, [], [])

    def _finish(self, state: Progress) -> dict[str, float]:
        """Write checkpoint, curves and metrics."""
        metrics = {
            "validation_psnr_db": round(self.validate(TRANSFER), 4),
            "validation_bicubic_psnr_db": round(bicubic_psnr(self.validation_pairs), 4),
        }
        path = self.out / f"{self.model_name}.safetensors"
        info = CheckpointInfo(
            model=self.model_name,
            sizes=self.sizes,
            step=state.step,
            encoder=self.shards.encoder,
            swaps=self.shards.params,
            networks=self.shards.networks,
            train=self.params,
            dataset=self.shards.made_from,
            metrics=metrics,
        )
        save_checkpoint(path, self.network, info)
        write_bytes(self.out / "loss.csv", csv_bytes(["step", "phase", "loss"], state.losses))
        columns = ["step", "phase", "psnr_db"]
        write_bytes(self.out / "validation.csv", csv_bytes(columns, state.validations))
        write_json(self.out / "metrics.json", metrics)
        log.info(
            "Wrote %s after %d steps: validation %.2f dB, bicubic %.2f dB",
            path, state.step, *metrics.values(),
        )  # fmt: skip
        return metrics


def train(
    dataset: Path, swaps: Path, out: Path, params: TrainParams, **options: Any
) -> dict[str, float]:
    """Train on the pairs of `dataset` with the swaps in `swaps`; return the validation metrics.

    Writes `out/MODEL.safetensors` and `.json`, `loss.csv`, `validation.csv`, `metrics.json`, and
    under `out/resume/` the state from which a killed run, or one with more steps, goes on.
    `options`: `model`, `device`, `encoder_weights`, `cache_bytes` of `Trainer`. Raises InputError.
    """
    output_folder(out)
    return Trainer(dataset, swaps, out, params, **options).run()


def split_validation(
    pairs: Sequence[TrainPair], params: TrainParams
) -> tuple[list[TrainPair], list[TrainPair]]:
    """Return pairs for training and, drawn by seed, for validation: at most a fifth of them."""
    if len(pairs) < 2:
        raise InputError("training needs at least two pairs: one to train on, one to validate on")
    count = max(1, min(params.validation_pairs, len(pairs) // 5))
    held = set(generator(params.seed, "validation").permutation(len(pairs))[:count].tolist())
    training = [pair for i, pair in enumerate(pairs) if i not in held]
    return training, [pair for i, pair in enumerate(pairs) if i in held]


def bicubic_psnr(pairs: SwappedPairs) -> float:
    """Return the mean PSNR of LR↑ over `pairs`, dB, measured as `Trainer.validate` does."""
    values = []
    for index in range(len(pairs)):
        lr, hr = pairs.lr_hr(index)
        up = F.interpolate(lr[None], scale_factor=SCALE, mode="bicubic", antialias=True)[0]
        values.append(peak_signal_noise_ratio(hr.numpy(), up.clamp(0, 1).numpy(), data_range=1))
    return float(np.mean(values))


def _flatten(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return Adam's state as named tensors."""
    state = optimiser.state_dict()["state"]
    return {f"{i}.{key}": value for i, values in state.items() for key, value in values.items()}


def _unflatten(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, key = name.split(".")
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
