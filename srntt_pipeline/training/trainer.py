"""One training run: phases, steps, validation, states (paper sections 3.3–3.4)."""

import copy
import functools
import itertools
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from srntt_pipeline.errors import InputError
from srntt_pipeline.maps import LAYERS
from srntt_pipeline.models import build_model
from srntt_pipeline.parallel import progress
from srntt_pipeline.recipes import Phase, share_column
from srntt_pipeline.training.critic_trainer import CriticTrainer
from srntt_pipeline.training.curves import LOSS_EVERY, Curves
from srntt_pipeline.training.data import drawn, map_deviations, step_batches
from srntt_pipeline.training.earlier import find_state, look, remove_checkpoints
from srntt_pipeline.training.job import Job
from srntt_pipeline.training.objective import (
    ADVERSARIAL,
    Diverged,
    OwnMaps,
    assert_finite,
    gradient_shares,
    losses,
    mean_values,
)
from srntt_pipeline.training.optimisers import make_optimiser, set_rate
from srntt_pipeline.training.products import write_results
from srntt_pipeline.training.state import Part, Progress, Row, load_state, save_state
from srntt_pipeline.training.validation import bicubic_psnr, mean_psnr

log = logging.getLogger(__name__)

_CRITIC_LEARNS = 50  # steps of a phase after which a critic has a slope to speak of
SR = "sr"  # what a network that makes several images calls that which is kept
_IDLE = 0.01  # of the gradient: a loss below this share changes next to nothing
_SCALE_PAIRS = 16  # pairs over which the deviation of swapped maps is taken


def check_shares(batch_size: int, devices: int) -> None:
    """Raise InputError for a batch that so many devices cannot share evenly."""
    if batch_size % devices:
        raise InputError(
            f"batch_size = {batch_size} is not shared evenly by {devices} devices; choose a "
            "multiple of that"
        )


def _warn_of_idle(phase: Phase, values: Mapping[str, float], *, judged: bool) -> None:
    """Warn of losses that have next to no share in the gradient, as `values` tell it.

    `judged`: of the critic's verdict, else of the others.
    """
    for loss in phase.objective.losses:
        share = values.get(share_column(loss.name), 1.0)
        if share < _IDLE and judged == (loss.name == ADVERSARIAL):
            log.warning(
                "%s: the %s loss, weight %g, has %.2g %% of the gradient of SR: it changes next to "
                "nothing (docs/training.md#losses)",
                phase.name, loss.name, loss.weight, 100 * share,
            )  # fmt: skip


class Trainer:
    """One training run: network, critic, optimisers, data and where it writes.

    `overwrite`: replace another run there, which stays until this one has saved a state of its own.
    `seconds` and `waited`: what the steps took, and what of that the wait for batches did.
    """

    def __init__(
        self,
        fabric: Fabric,
        out: Path,
        job: Job,
        loader_workers: int = 0,
        overwrite: bool = False,
    ) -> None:
        params = job.params
        check_shares(params.batch_size, fabric.world_size)
        self.fabric, self.out, self.params, self.job = fabric, out, params, job
        self.loader_workers, self.overwrite = loader_workers, overwrite
        self.seconds = self.waited = 0.0
        torch.manual_seed(params.seed)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        network = build_model(job.model, job.sizes)
        if job.start and (allowed := params.start()):
            given = job.start.model
            given = given.get_submodule(allowed.part) if allowed.model else given
            network.get_submodule(allowed.part).load_state_dict(given.state_dict())
        if job.vgg19 and (part := params.vgg19_part()):
            network.get_submodule(part).load_state_dict(job.vgg19.state_dict())
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network: nn.Module = network
        self.best = copy.deepcopy(network).requires_grad_(False)  # as it was best validated
        self.model, self.optimiser = fabric.setup(network, make_optimiser(network, params))
        for name in {phase.forward for phase in job.phases} - {"forward"}:
            self.model.mark_forward_method(name)
        self.parts: dict[str, Part] = {
            "model": network, "optimiser": self.optimiser.optimizer, "best": self.best,
        }  # fmt: skip
        self.critic: CriticTrainer | None = None
        if plans := [phase.objective.critic for phase in job.phases if phase.objective.critic]:
            self.critic = CriticTrainer(fabric, plans[-1], params)
            self.parts["critic"] = self.critic.critic
            self.parts["critic_optimiser"] = self.critic.optimiser
        self.average: AveragedModel | None = None
        if params.ema_decay:
            average = get_ema_multi_avg_fn(params.ema_decay)
            self.average = AveragedModel(network, multi_avg_fn=average, use_buffers=True)
            self.parts["average"] = self.average

    @property
    def kept(self) -> nn.Module:
        """The network that is validated and kept: with `ema_decay`, of averaged weights."""
        return self.average.module if self.average else self.network

    def run(self) -> dict[str, float]:
        """Train to the last step and write the checkpoint; return its validation metrics.

        Raises InputError when that cannot be done; the checkpoint is then of the last state kept,
        unless that of another run lies there.
        """
        state = self._begin()
        main = self.fabric.is_global_zero
        curves = Curves(self.out) if main else None
        bar = progress("Training", "steps", self.job.steps, initial=state.step) if main else None
        try:
            if curves and not self.earlier.has_other_results:
                curves.begin(state, self.earlier.schedules)
            self._steps(state, curves, bar)
        except Diverged as error:
            if not main:
                return {}  # all processes diverge at once; the first tells
            raise InputError(f"{error}; {self._last_good()}") from None
        finally:
            if bar is not None:
                bar.close()
            if curves:
                curves.close()
        return self._finish(state) if main else {}

    def _steps(self, state: Progress, curves: Curves | None, bar: Any) -> None:
        params = self.params
        for phase, batch in self.batches_from(state.step):
            started = time.perf_counter()
            number = state.step + 1
            self._set_rate(self.job.rate(number))
            of_phase = self.job.step_in_phase(number)
            asked = of_phase in (1, _CRITIC_LEARNS)
            try:
                shares = asked or number % LOSS_EVERY == 0
                values = self.step(phase, batch, shares=shares, before=of_phase - 1)
            except Diverged as error:
                raise Diverged(f"{phase.name}, step {number}: {error}") from None
            self.seconds += time.perf_counter() - started
            if asked and curves:
                _warn_of_idle(phase, values, judged=of_phase > 1)
            state.step = number
            shown = {name: float(f"{value:.6g}") for name, value in values.items()}
            row: Row = {"step": state.step, "phase": phase.name, **shown}
            state.losses.append({name: row.get(name) for name in self.job.columns})
            last = state.step == self.job.steps
            due = last or state.step % params.checkpoint_every == 0
            if due:
                self._assert_good(state)
            if curves is None:
                continue
            curves.loss(state.losses[-1])
            self._tell(bar, phase, values["loss"], state)
            if self.job.schedule.validates_at(state.step):
                self._add_validation(phase, state, curves)
            if due:
                curves.begin(state, self.earlier.schedules)
                save_state(self.out, self.job, state, self.parts)
            bar.update()

    def _add_validation(self, phase: Phase, state: Progress, curves: Curves) -> None:
        try:
            value = self.validate(phase, lambda image: curves.picture(state.step, image))
        except Diverged as error:
            raise Diverged(f"{phase.name}, step {state.step}: {error}") from None
        row: Row = {"step": state.step, "phase": phase.name, "psnr_db": round(value, 4)}
        state.validations.append(row)
        if state.best is row:
            self.best.load_state_dict(self.kept.state_dict())
        curves.validation(row)

    def _tell(self, bar: Any, phase: Phase, loss: float, state: Progress) -> None:
        """Show at the bar the phase, the loss and the last validation beside bicubic."""
        told = [phase.name, f"loss {loss:.3g}"]
        if state.validations:
            last = float(str(state.validations[-1]["psnr_db"]))
            told += [
                f"validation {last:.2f} dB",
                f"bicubic {self.bicubic_db:.2f} dB",
            ]
        bar.set_postfix_str(", ".join(told), refresh=False)

    @functools.cached_property
    def bicubic_db(self) -> float:
        """The PSNR of LR↑ over the validation pairs, dB."""
        return bicubic_psnr(self.job.sources.validation)

    def batches_from(self, start: int) -> Iterator[tuple[Phase, dict[str, Tensor]]]:
        """Yield the batches from step `start` on; one loader serves phases that read alike."""
        fabric, start_of_group = self.fabric, start
        for inputs, group in itertools.groupby(self.job.phases, lambda phase: phase.inputs):
            phases = list(group)
            stop = phases[-1].stop
            if start_of_group >= stop:
                continue
            critics = [phase.objective.critic for phase in phases if phase.objective.critic]
            made = step_batches(
                self.job.sources.training, self.params, range(start_of_group, stop), inputs,
                critics[-1].mixes if critics else 0, self.job.sources.references, self.job.phases,
                fabric.global_rank, fabric.world_size, self.loader_workers,
            )  # fmt: skip
            loader: Any = fabric.setup_dataloaders(made, use_distributed_sampler=False)
            waiting = time.perf_counter()
            for step, batch in enumerate(drawn(loader), start_of_group + 1):
                now = time.perf_counter()
                self.waited += now - waiting
                self.seconds += now - waiting
                yield self.job.phase_of(step), batch
                waiting = time.perf_counter()
            start_of_group = stop

    def step(
        self, phase: Phase, batch: dict[str, Tensor], *, shares: bool = False, before: int = 0
    ) -> dict[str, float]:
        """Make one step; return its losses, and with `shares` their shares of the gradient.

        `before`: how many steps of the phase are made. Raises Diverged before a step that would
        spoil weights.
        """
        if phase.inputs == "maps" and "weight" not in batch:
            batch = {**batch, **self._truth(batch["hr"])}
        for name in phase.frozen:
            self.network.get_submodule(name).eval()  # batch norm would go on learning
        made = self._restore(self.model, phase, batch)
        # Views: what Fabric returned itself asks for `fabric.backward`.
        others = {name: image.view_as(image) for name, image in made.items()}
        sr = others.pop(SR)
        values: dict[str, float] = {}
        judge = None
        if self.critic and phase.objective.critic:
            values = self.critic.step(sr, batch)
            judge = self.critic.judge
        found = losses(
            phase.objective, sr, batch, self.job.features, judge, others, before, self._own_maps
        )
        told = found
        if shares and len(phase.objective.losses) > 1:
            images = [sr, *others.values()]
            told = {**found, **gradient_shares(phase.objective, found, images, self.fabric)}
        values |= mean_values(self.fabric, told)
        assert_finite(values)
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(found["loss"])
        for name in phase.frozen:
            self.network.get_submodule(name).zero_grad(set_to_none=True)  # Adam passes these over
        if self.params.gradient_clip:
            self.fabric.clip_gradients(
                self.model,
                self.optimiser,
                max_norm=self.params.gradient_clip,
                error_if_nonfinite=False,
            )
        self.optimiser.step()
        if self.average:
            self.average.update_parameters(self.network)
        return values

    @property
    def _own_maps(self) -> OwnMaps | None:
        """The network's own maps of images, of a network that has this method."""
        return getattr(self.network, "own_maps", None)

    @torch.no_grad()
    def _truth(self, hr: Tensor) -> dict[str, Tensor]:
        """Return the maps of HR itself, [N, 3, H, W] in [0, 1], and a weight map of 1."""
        assert self.job.encoder is not None
        maps = self.job.encoder(hr)
        return {**maps, "weight": torch.ones_like(maps["relu3_1"][:, :1])}

    def _set_rate(self, rate: float) -> None:
        """Set the learning rate of the network's steps and the critic's."""
        optimisers = [self.optimiser, *([self.critic.optimiser] if self.critic else [])]
        set_rate(optimisers, rate)

    def _restore(self, model: Any, phase: Phase, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return SR of a batch, as the phase feeds the network, and what else that makes."""
        forward = model if phase.forward == "forward" else getattr(model, phase.forward)
        if phase.inputs == "maps":
            made = forward(batch["lr"], {k: batch[k] for k in LAYERS}, batch["weight"])
        elif phase.inputs == "images":
            made = forward(batch["lr"], [batch["refs"]])
        elif phase.scales and "hr" in batch:
            made = forward(batch["lr"], batch["hr"].shape[-1] // batch["lr"].shape[-1])
        else:
            made = forward(batch["lr"])
        return {SR: made} if isinstance(made, Tensor) else dict(made)

    def validate(self, phase: Phase, show: Any = None) -> float:
        """Return the mean PSNR over the validation pairs, dB: RGB, no border, values clipped.

        `show` is called with the picture of the first pair. Raises Diverged for what is no number.
        """
        model = self.kept.eval()
        value = mean_psnr(
            self.fabric,
            self.job.sources.validation,
            phase.inputs,
            self.job.sources.references,
            lambda batch: self._restore(model, phase, batch)[SR],
            show,
        )
        model.train()
        return value

    def _begin(self) -> Progress:
        """Load the last state if there is one of this run; look at what is there of others."""
        self.earlier = look(self.out, self.job, overwrite=self.overwrite)
        found = self.earlier.found
        # A network that wants to know how large maps are has this method.
        set_scales = getattr(self.network, "set_map_scales", None)
        if not found and self.job.sources.shards and set_scales:
            set_scales(map_deviations(self.job.sources.training, _SCALE_PAIRS))
            if self.average:
                self.average.module.load_state_dict(self.network.state_dict())
        state = load_state(found, self.parts, self.job.columns) if found else Progress(0, [], [])
        self.begun = state.step
        self.fabric.barrier()  # from here on, the first process changes what all have read
        if found and self.fabric.is_global_zero:
            log.info("Resuming at step %d", state.step)
        return state

    def _assert_good(self, state: Progress) -> None:
        """Raise Diverged for weights that must not replace the last good ones."""
        parts = [part for part in self.parts.values() if isinstance(part, nn.Module)]
        if not all(bool(t.isfinite().all()) for part in parts for t in part.parameters()):
            raise Diverged(f"step {state.step}: weights are no longer finite")

    def _last_good(self) -> str:
        """Write the checkpoint of the last state; return what is there and what to do."""
        fix = f"lower learning_rate ({self.params.learning_rate:g}) or set gradient_clip"
        if self.earlier.has_other_results:
            return f"{self.out} keeps the weights of the run before; {fix}"
        found = find_state(self.out, self.job, overwrite=True)
        if not found:
            return f"no checkpoint was due before; {fix}"
        state = load_state(found, self.parts, self.job.columns)
        try:
            self._finish(state)
        except Diverged as error:
            return f"nor is there a checkpoint of step {state.step}: {error}; {fix}"
        return f"{self.out} holds the checkpoint of step {state.step}; {fix}"

    def _finish(self, state: Progress) -> dict[str, float]:
        """Write checkpoint, card, curves and metrics; return the metrics."""
        job = self.job
        ended = state.step == job.steps
        phase = job.phases[-1] if ended else job.phase_of(state.step)
        metrics = {
            "validation_psnr_db": round(self.validate(phase), 4),
            "validation_bicubic_psnr_db": round(self.bicubic_db, 4),
        }
        write_results(
            self.out, job, self.kept, self.best, state, metrics, self.fabric.device, self.begun
        )
        remove_checkpoints(self.out, self.earlier.other_models)
        return metrics
