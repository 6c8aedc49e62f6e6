"""The job that a recipe makes of a data set: which network, on which pairs, in which phases."""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

import srntt_pipeline
from srntt_pipeline.checkpoints import Checkpoint
from srntt_pipeline.files import fingerprint
from srntt_pipeline.recipes import OptimiserPlan, Phase, Recipe, phase_at
from srntt_pipeline.swaps.dataset import encoder_of_maps
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.training.features import LossFeatures, load_features, load_vgg19, weights_sha256
from srntt_pipeline.training.sources import Sources, load_start, open_sources

# What `Job.made_from` calls them.
CODE, LOSS_NETWORK, NETWORK, PHASES = "code", "loss_network", "network", "phases"
ALL_STEPS, OPTIMISER, VGG19 = "all_steps", "optimiser", "vgg19"
# What may change between a run and its continuation without changing any step already made.
_SCHEDULE = {"steps", "validate_every", "checkpoint_every"}
_PLACES = {"encoder_weights"}  # where they lie; LOSS_NETWORK tells which they are


class Schedule(BaseModel):
    """When a run does what: the params that may change when it goes on, and `total` steps."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    steps: int = Field(ge=0)
    validate_every: int = Field(ge=1)
    checkpoint_every: int = Field(ge=1)
    total: int = Field(ge=0)

    def validates_at(self, step: int) -> bool:
        """Tell whether the run is validated after this step."""
        return step == self.total or step % self.validate_every == 0


@dataclass(frozen=True)
class Job:
    """All that a trainer needs; what the recipe does not use is None.

    `params`: with no value left open; `model`, `sizes`: the network's; `made_from`: all that
    decides each step, as JSON; `features`: VGG19 for losses that compare maps; `start`: the
    checkpoint that the network starts from, by `Recipe.start`; `encoder`: that of the swaps, for
    steps on the maps of HR itself; `vgg19`: what a part of the network begins as
    (`Recipe.vgg19_part`).
    """

    dataset: Path
    params: Recipe
    model: str
    sizes: dict[str, Any]
    phases: tuple[Phase, ...]
    sources: Sources
    made_from: dict[str, Any]
    features: LossFeatures | None = None
    start: Checkpoint | None = None
    encoder: Encoder | None = None
    vgg19: nn.Sequential | None = None

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.phases[-1].stop

    @property
    def schedule(self) -> Schedule:
        """When the run ends, validates and saves its states."""
        return Schedule(total=self.steps, **self.params.model_dump(include=_SCHEDULE))

    @functools.cached_property
    def made_from_sha256(self) -> str:
        """The hash of `made_from`."""
        return fingerprint(self.made_from)

    @property
    def reads(self) -> list[Path]:
        """Folders that are read beside the data set."""
        return [self.sources.shards.folder] if self.sources.shards else []

    @property
    def run(self) -> str:
        """The name of the folder of its states."""
        return self.made_from_sha256[:12]

    @property
    def columns(self) -> list[str]:
        """Columns of the loss curve: those of all phases, the last phase's first."""
        names = [name for phase in reversed(self.phases) for name in phase.objective.columns]
        return ["step", "phase", "loss", *dict.fromkeys(names)]

    def phase_of(self, step: int) -> Phase:
        """Return the phase that step number `step`, from 1 on, is made in."""
        return phase_at(self.phases, step)

    def step_in_phase(self, step: int) -> int:
        """Return which step of its phase step number `step` is, both from 1 on."""
        return step - max((phase.stop for phase in self.phases if phase.stop < step), default=0)

    def rate(self, step: int) -> float:
        """Return the learning rate of step number `step`, from 1 on."""
        return self.params.learning_rate * self.params.rate_factor(step, self.steps)


def make_job(
    params: Recipe,
    dataset: Path,
    swaps: Path | None,
    device: torch.device,
    *,
    encoder_weights: str | None = None,
    content: Path | None = None,
    cache_bytes: int = 0,
    on_cpu: bool = False,
    code: str | None = None,
) -> Job:
    """Return the job of training by `params` on the pairs of `dataset`.

    `swaps`: for phases with maps; `content`: a checkpoint to start from, where the recipe allows
    it; `on_cpu`: rebuild maps there, since loader workers do it; `code`: a hash of the code, where
    a run of other code is another run. Raises InputError for what does not fit together.
    """
    params = params.resolved()
    start = load_start(content, params) if content else None
    phases = params.phases(started=bool(start))
    sources = open_sources(
        params, dataset, swaps, {phase.inputs for phase in phases}, encoder_weights, cache_bytes,
        torch.device("cpu") if on_cpu else device,
    )  # fmt: skip
    params = params.in_steps(len(sources.training))
    phases = params.phases(started=bool(start))
    layers = _layers(phases)
    of_losses = encoder_weights or params.loss_encoder()
    features = load_features(sources.shards, of_losses, layers, device) if layers else None
    encoder = None
    if sources.shards and any(phase.truth_share for phase in phases):
        encoder = encoder_of_maps(sources.shards, device, encoder_weights)
    model, sizes = params.network()
    allowed = params.start()
    if start and allowed and not allowed.model:
        sizes[allowed.part] = {"model": start.info.model, "sizes": start.info.sizes}
    vgg19 = load_vgg19(of_losses) if params.vgg19_part() else None
    made_from = {
        "recipe": params.recipe,
        "params": params.model_dump(mode="json", exclude=_SCHEDULE | _PLACES),
        **sources.made_from,
        "start": start.info.weights_sha256 if start else None,
        LOSS_NETWORK: features.sha256 if features else None,
        CODE: code,
        # Without the build for a device: a run may go on on another.
        "versions": {
            "srntt_pipeline": srntt_pipeline.__version__,
            "torch": torch.__version__.partition("+")[0],
        },
        # What the code makes of the params: a default that changes there makes another run.
        NETWORK: _as_json({"model": model, **sizes}),
        PHASES: described(phases, stops=False),
    }
    if vgg19:
        made_from[VGG19] = weights_sha256(vgg19)
    if (plan := params.optimiser_plan()) != OptimiserPlan():
        made_from[OPTIMISER] = _as_json(asdict(plan))
    if params.rate_schedule != "constant":  # else a longer run makes the same steps first
        made_from[ALL_STEPS] = phases[-1].stop
    return Job(
        dataset, params, model, sizes, phases, sources, made_from, features, start, encoder, vgg19
    )


def described(phases: Sequence[Phase], *, stops: bool = True) -> dict[str, Any]:
    """Return the phases by name, as JSON; without `stops`, not where the last one ends."""
    told: dict[str, dict[str, Any]] = {}
    for phase in phases:
        objective = phase.objective
        told[phase.name] = {
            "inputs": phase.inputs,
            "forward": phase.forward,
            "losses": {
                loss.name: {"weight": loss.weight, "layers": loss.layers, **loss.options}
                for loss in objective.losses
            },
            "critic": asdict(objective.critic) if objective.critic else None,
            "frozen": phase.frozen,
            "truth_share": phase.truth_share,
            "scales": phase.scales,
        }
        if stops or phase is not phases[-1]:
            told[phase.name]["stop"] = phase.stop
    found: dict[str, Any] = _as_json(told)
    return found


def _as_json(value: object) -> Any:
    return json.loads(json.dumps(value))


def _layers(phases: Sequence[Phase]) -> list[str]:
    """Return the VGG19 layers that losses of steps compare SR on."""
    starts = [0, *(phase.stop for phase in phases)]
    made = [phase for phase, begin in zip(phases, starts, strict=False) if phase.stop > begin]
    return list(dict.fromkeys(layer for phase in made for layer in phase.objective.layers))
