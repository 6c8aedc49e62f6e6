"""What is trained, on what, and in which phases: SRNTT by its variant, or the upscaler alone."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

import srntt_pipeline
from srntt_pipeline.checkpoints import Checkpoint, load_checkpoint
from srntt_pipeline.config import LoopParams, TrainParams, UpscalerParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256, fingerprint
from srntt_pipeline.layout import TrainPair, read_train_pairs
from srntt_pipeline.swaps.dataset import SwappedPairs
from srntt_pipeline.swaps.encoder import load_encoder
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.training.data import HrImages, Source, check_sizes
from srntt_pipeline.training.features import LossFeatures, load_features
from srntt_pipeline.training.objective import Objective, objective_of
from srntt_pipeline.training.validation import split_validation
from srntt_pipeline.variants import Variant

WARMUP, RECONSTRUCTION, TRANSFER = "SISR warm-up", "reconstruction", "texture transfer"
SISR = "sisr"
LOSS_NETWORK = "loss_network"  # what `Job.made_from` calls it
# What may change between a run and its continuation without changing any step already made.
_SCHEDULE = {"steps", "validate_every", "checkpoint_every"}


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
class Phase:
    """Steps up to `stop` on one objective, with swapped maps or on LR alone."""

    name: str
    stop: int
    with_maps: bool
    objective: Objective


@dataclass(frozen=True)
class Job:
    """All that a trainer needs beside params; `shards`, `features`, `content`: None if not used.

    `made_from`: all that decides each step, as JSON; `data_hash`: of the pairs in use.
    """

    dataset: Path
    model: str
    sizes: dict[str, Any]
    phases: tuple[Phase, ...]
    training: Source
    validation: Source
    made_from: dict[str, Any]
    data_hash: str
    params: LoopParams
    shards: Shards | None = None
    features: LossFeatures | None = None
    content: Checkpoint | None = None

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
        return [self.shards.folder] if self.shards else []

    @property
    def run(self) -> str:
        """The name of the folder of its states."""
        return self.made_from_sha256[:12]

    @property
    def columns(self) -> list[str]:
        """Columns of the loss curve."""
        return ["step", "phase", "loss", *self.phases[-1].objective.columns]

    def phase_of(self, step: int) -> Phase:
        """Return the phase that step number `step`, from 1 on, is made in."""
        return next(phase for phase in self.phases if step <= phase.stop)


def srntt_job(
    dataset: Path,
    swaps: Path,
    params: TrainParams,
    device: torch.device,
    *,
    encoder_weights: str | None = None,
    content: Path | None = None,
    cache_bytes: int = 0,
    on_cpu: bool = False,
) -> Job:
    """Return the job of training the variant in `params`.

    `content`: a `sisr` checkpoint, in place of the warm-up; `on_cpu`: rebuild maps there, since
    loader workers do it. Raises InputError for what does not fit together.
    """
    shards = Shards(swaps)
    variant = params.resolved
    check_swaps(shards, variant)
    encoder = None
    if not shards.has_maps:
        encoder = load_encoder(
            encoder_weights or shards.params.encoder_weights,
            shards.params.encoder_seed,
            torch.device("cpu") if on_cpu else device,
        )
    pairs = read_train_pairs(dataset)
    check_pairs(shards, dataset, pairs)
    train, validation = split_validation(pairs, params)
    check_sizes(train, params.patch_px)
    training = SwappedPairs(train, shards, encoder, cache_bytes * 3 // 4)
    kept = SwappedPairs(validation, shards, encoder, cache_bytes // 4)
    start = load_content(content, params) if content else None
    objective = objective_of(params)
    features = None
    if objective.layers and params.steps:
        features = load_features(shards, encoder_weights, objective.layers, device)
    include = {"channels", "blocks", "bicubic_skip", "weight_maps", "batch_norm"}
    made_from = _made_from(
        params,
        [pair.name for pair in pairs],
        swaps=shards.made_from,
        content=start.info.weights_sha256 if start else None,
        **{LOSS_NETWORK: features.sha256 if features else None},
    )
    return Job(
        dataset,
        variant.name,
        {**params.model_dump(include=include), "layers": variant.layers},
        _phases(params, objective, bool(content)),
        training,
        kept,
        made_from,
        shards.made_from,
        params,
        shards,
        features,
        start,
    )


def upscaler_job(dataset: Path, params: UpscalerParams) -> Job:
    """Return the job of training `sisr` on the HR images of `dataset`. Raises InputError."""
    pairs = read_train_pairs(dataset)
    train, validation = split_validation(pairs, params)
    check_sizes(train, params.patch_px)
    hashes = {pair.name: file_sha256(pair.hr) for pair in pairs}
    sizes = params.model_dump(include={"channels", "blocks", "bicubic_skip", "batch_norm"})
    phase = Phase(WARMUP, params.steps, False, Objective(params.reconstruction))
    return Job(
        dataset,
        SISR,
        sizes,
        (phase,),
        HrImages(train, hashes),
        HrImages(validation, hashes),
        _made_from(params, hashes),
        fingerprint(list(hashes.items())),
        params,
    )


def _made_from(
    params: LoopParams, pairs: Sequence[str] | Mapping[str, str], **data: Any
) -> dict[str, Any]:
    """Return all that decides each step, with pairs by name, or by name and hash."""
    return {
        "params": params.model_dump(mode="json", exclude=_SCHEDULE),
        "pairs": pairs,
        **data,
        # Without the build for a device: a run may go on on another.
        "versions": {
            "srntt_pipeline": srntt_pipeline.__version__,
            "torch": torch.__version__.partition("+")[0],
        },
    }


def check_pairs(shards: Shards, dataset: Path, pairs: Sequence[TrainPair]) -> None:
    """Raise InputError unless the swaps are those of the pairs, all of them and no others."""
    names, swapped = {pair.name for pair in pairs}, set(shards.names)
    if missing := sorted(names - swapped):
        raise InputError(
            f"{shards.folder} holds no swap of the pair {missing[0]} ({len(missing)} of "
            f"{len(names)} pairs of {dataset} have none); run precompute-swaps again"
        )
    if more := sorted(swapped - names):
        raise InputError(
            f"{shards.folder} holds swaps of pairs that {dataset} lacks ({len(more)} of "
            f"{len(swapped)}, {more[0]} the first); put these back, or run precompute-swaps again"
        )


def check_swaps(shards: Shards, variant: Variant) -> None:
    """Raise InputError when the swaps were not made as the variant needs them."""
    made = shards.params.model_dump()
    matching = str(made.get("matching", "patches"))
    references = str(made.get("references", "ref"))
    if matching.startswith("flow") != variant.flow:
        wanted = "flow-dis (or flow-raft)" if variant.flow else "patches"
        raise InputError(
            f"{shards.folder} holds swaps of swaps.matching: {matching}, but {variant.name} needs "
            f"swaps of swaps.matching: {wanted}: run precompute-swaps with that"
        )
    if (references == "lr") != (variant.references == "lr"):
        raise InputError(
            f"{shards.folder} holds swaps of swaps.references: {references}, but {variant.name} "
            f"needs swaps of swaps.references: {variant.references}: run precompute-swaps with that"
        )


def load_content(path: Path, params: TrainParams) -> Checkpoint:
    """Return the `sisr` checkpoint at `path`; raise InputError unless it fits the network."""
    checkpoint = load_checkpoint(path)
    if checkpoint.info.model != SISR:
        raise InputError(
            f"--content {checkpoint.path}: is {checkpoint.info.model}; expected a sisr checkpoint, "
            "as train-upscaler writes"
        )
    wanted = {
        "channels": params.channels,
        "blocks": params.blocks[0],
        "batch_norm": params.batch_norm,
    }
    has = checkpoint.info.sizes
    differ = [key for key, value in wanted.items() if has.get(key, False) != value]
    if differ:
        raise InputError(
            f"--content {checkpoint.path}: its {differ[0]} is {has.get(differ[0], False)}, that of "
            f"the content extractor is {wanted[differ[0]]}; train one of equal size"
        )
    return checkpoint


def _phases(params: TrainParams, objective: Objective, pretrained: bool) -> tuple[Phase, ...]:
    warm = 0 if pretrained else params.warmup_steps
    before = params.reconstruction_steps
    return (
        Phase(WARMUP, warm, False, objective.alone),
        Phase(RECONSTRUCTION, warm + before, True, objective.alone),
        Phase(TRANSFER, warm + before + params.steps, True, objective),
    )
