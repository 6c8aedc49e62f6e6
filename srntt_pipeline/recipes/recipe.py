"""What a recipe is: parameters that say which network is trained, in which phases, on what losses.

All of it is data, made without PyTorch. `training.job` makes the run from it, `training.objective`
the losses; neither knows a recipe by name.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from srntt_pipeline.errors import InputError
from srntt_pipeline.sections import MOST_COUNT, Headings, Section, Seed, Steps

Inputs = Literal["lr", "maps", "images"]
Share = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]  # of a loss
RateSchedule = Literal["constant", "cosine", "drops"]

# Headings of help.
LOSSES, REFERENCES, STEPS = "Losses", "References", "Steps and batches"
OPTIMISER = "Optimiser"

RECONSTRUCTION = "reconstruction"  # a loss, and the phase that is on it alone

_MOST_WEIGHTS = 2**28  # of a network: 4 GiB with gradients and what Adam keeps of them
_MOST_BATCH_BYTES = 4 * 2**30  # one feature map of a batch, of which a network keeps dozens


@dataclass(frozen=True)
class Loss:
    """One loss of an objective, by its name in `training.objective`.

    `layers`: of VGG19, whose maps of SR it compares; `options`: what else it is told, as JSON.
    """

    name: str
    weight: float = 1.0
    layers: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def reconstruction(
    kind: str, weight: float = 1.0, *, channel: str = "rgb", border: int = 0
) -> Loss:
    """Return the reconstruction loss of that kind: `l1` or `mse`.

    `channel`: `rgb` or `luma`; `border`: px of SR that are left out on each side.
    """
    options: dict[str, Any] = {"kind": kind}
    if (channel, border) != ("rgb", 0):
        options |= {"channel": channel, "border": border}
    return Loss(RECONSTRUCTION, weight, options=options)


def share_column(loss: str) -> str:
    """Return the column of a loss's share of the gradient in loss.csv."""
    return f"{loss}_share"


@dataclass(frozen=True)
class CriticPlan:
    """A critic that is trained beside the network: its sizes, and how.

    `kind`: `wasserstein`, with a gradient penalty of that weight (WGAN-GP), or `standard`, which
    tells the log-odds of HR against SR (Goodfellow et al., NIPS 2014). `stages`: how often it
    halves the image; `batch_norm`: after each convolution but the first, which a gradient penalty
    does not allow.
    """

    channels: int
    steps: int
    gradient_penalty: float = 0
    kind: Literal["wasserstein", "standard"] = "wasserstein"
    stages: int = 5
    batch_norm: bool = False

    def __post_init__(self) -> None:
        if self.kind == "wasserstein" and self.batch_norm:
            raise ValueError("a gradient penalty is one sample's: no batch norm in such a critic")

    @property
    def mixes(self) -> int:
        """How many points between HR and SR a batch needs for its gradient penalties."""
        return self.steps if self.kind == "wasserstein" else 0

    @property
    def columns(self) -> list[str]:
        """Its columns in loss.csv."""
        return ["critic", *(["gradient_penalty"] if self.kind == "wasserstein" else [])]


@dataclass(frozen=True)
class OptimiserPlan:
    """How weights are moved: by `adam`, or by `sgd` with `momentum`.

    `weight_decay`: of the squared norm of the weights, whose half is minimised too. `rates`: by
    which factor the learning rate of a parameter is multiplied, for each end of its name, such as
    `bias`; all that fit.
    """

    kind: Literal["adam", "sgd"] = "adam"
    momentum: float = 0.0
    weight_decay: float = 0.0
    rates: Mapping[str, float] = field(default_factory=dict)

    def rate_of(self, name: str) -> float:
        """Return the factor of the parameter of that name."""
        return math.prod(rate for end, rate in self.rates.items() if name.endswith(end))


@dataclass(frozen=True)
class Objective:
    """What a phase minimises: the sum of its losses by their weights, each loss once.

    `critic`: makes `critic.steps` steps on each batch before the network's.
    """

    losses: tuple[Loss, ...]
    critic: CriticPlan | None = None

    def __post_init__(self) -> None:
        names = [loss.name for loss in self.losses]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"an objective has one loss or more, each once; got {names}")

    @property
    def layers(self) -> tuple[str, ...]:
        """VGG19 layers that SR is encoded to."""
        return tuple(dict.fromkeys(layer for loss in self.losses for layer in loss.layers))

    @property
    def columns(self) -> list[str]:
        """Its columns in loss.csv beside `loss`; none where that is its only loss."""
        names = [loss.name for loss in self.losses] if len(self.losses) > 1 else []
        shares = [share_column(name) for name in names]
        return [*names, *shares, *(self.critic.columns if self.critic else [])]


@dataclass(frozen=True)
class Phase:
    """Steps of a run up to `stop`, on one objective.

    `inputs`: what the network is fed with: `lr`; `maps`, with LR, swapped maps and their weight;
    `images`, with LR and the references as they are. `forward`: its method that is called; one
    that returns several images by name, SR as `sr`, gives the others to losses.
    `frozen`: its parts that learn nothing in this phase. `truth_share`: on which share of the
    steps the maps are those of HR itself, and the weight is 1. `scales`: one of these is drawn for
    each step, by which LR is smaller than HR, and `forward` takes it after LR; then LR's patch is
    of one size, not HR's. None: always 4.
    """

    name: str
    stop: int
    inputs: Inputs
    objective: Objective
    forward: str = "forward"
    frozen: tuple[str, ...] = ()
    truth_share: float = 0
    scales: tuple[int, ...] = ()

    def is_on_truth(self, step: int) -> bool:
        """Tell whether step number `step`, from 1 on, is made on the maps of HR itself."""
        return math.floor(step * self.truth_share) > math.floor((step - 1) * self.truth_share)


def phase_at(phases: Sequence[Phase], step: int) -> Phase:
    """Return the phase that step number `step` of a run, from 1 on, is made in."""
    return next(phase for phase in phases if step <= phase.stop)


@dataclass(frozen=True)
class WantedSwaps:
    """Which swaps a network learns from: `matching` and `references` of their parameters.

    `by`: which network wants them, in words.
    """

    matching: Literal["patches", "flow"]
    references: Literal["ref", "lr"]
    by: str


@dataclass(frozen=True)
class Start:
    """Which checkpoint a network may start from: one of `model`, whose `part` it takes.

    `sizes`: those of that checkpoint that must be these; one that it does not name is the
    network's default. `model` empty: any network on LR alone, which as a whole becomes the part;
    the network has a size of the part's name, and is told there which one it is.
    """

    model: str
    part: str
    sizes: Mapping[str, Any]


class Recipe(Section):
    """How a network is trained: what is common to all recipes, and what each must answer."""

    recipe: ClassVar[str]  # its name, which `@recipe` sets
    before: ClassVar[Mapping[str, Any]] = {}  # what files without these parameters mean by that
    heading: ClassVar[str] = "Network"
    headings: ClassVar[Headings] = {
        REFERENCES: (),
        LOSSES: (),
        STEPS: ("count_in", "steps", "batch_size", "patch_px", "augment", "colour"),
        OPTIMISER: (
            "learning_rate",
            "rate_schedule",
            "rate_drops",
            "rate_drop",
            "rate_warmup_steps",
            "beta1",
            "gradient_clip",
            "ema_decay",
        ),
        "Validation and states": ("validation_pairs", "validate_every", "checkpoint_every"),
        "Arithmetic and seed": ("precision", "seed"),
    }
    counted: ClassVar[tuple[str, ...]] = (
        "steps",
        "rate_warmup_steps",
        "validate_every",
        "checkpoint_every",
    )  # what `count_in` is the unit of

    count_in: Literal["steps", "epochs"] = Field(
        "steps",
        description="Count phases, warm-ups, validations and checkpoints in steps, or in epochs. "
        "An epoch goes once through all training pairs.",
    )
    steps: Steps = Field(
        30580, description="Train for so many steps (30580: 20 epochs of 13,761 pairs by 9)."
    )
    batch_size: int = Field(
        9, ge=1, le=4096, description="Take so many pairs in a batch, over all devices."
    )
    patch_px: int = Field(
        160, ge=16, le=4096, multiple_of=4, description="Cut HR patches of this side, px."
    )
    augment: bool = Field(
        False,
        description="Flip pairs and turn them by multiples of 90° at random: HR and references. "
        "LR and maps are then made of these.",
    )
    colour: float = Field(
        0,
        ge=0,
        le=0.5,
        description="Recolour pairs at random, HR and references alike: draw factors of "
        "brightness and saturation and the exponent γ from 1 ± this; 0: off.",
    )
    learning_rate: float = Field(
        1e-4,
        gt=0,
        le=1,
        description="Set Adam's learning rate: about how far a weight moves in a step.",
    )
    rate_schedule: RateSchedule = Field(
        "constant",
        description="Choose how the learning rate changes: `constant`, down to 0 along half a "
        "`cosine`, or `drops` at each of `rate_drops`.",
    )
    rate_drops: tuple[Share, ...] = Field(
        (0.5,),
        description="With `drops`: set after which shares of all steps the rate drops (0.5: "
        "halfway).",
    )
    rate_drop: float = Field(
        0.1, gt=0, lt=1, description="With `drops`: multiply the rate by this at each drop."
    )
    rate_warmup_steps: Steps = Field(
        0, description="Raise the rate evenly from nearly 0 in the first so many steps; 0: off."
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="Set Adam's β1.")
    gradient_clip: float = Field(
        0, ge=0, le=1e6, description="Scale gradients of a larger norm down to this norm; 0: off."
    )
    ema_decay: float = Field(
        0,
        ge=0,
        lt=1,
        description="Validate and keep a moving average of the weights, which decays by this in "
        "each step, such as 0.999; 0: off.",
    )
    precision: Literal["32-true", "bf16-mixed"] = Field(
        "32-true",
        description="Compute the network in this arithmetic; losses are always in float32.",
    )
    validation_pairs: int = Field(
        32,
        ge=1,
        le=MOST_COUNT,
        description="Keep about so many pairs from training to validate on: whole albums, or "
        "pairs of photos that are not trained on.",
    )
    validate_every: int = Field(
        1000, ge=1, le=MOST_COUNT, description="Validate every so many steps."
    )
    checkpoint_every: int = Field(
        500, ge=1, le=MOST_COUNT, description="Save a state to resume from every so many steps."
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _counts(self) -> "Recipe":
        defaults = sorted(set(self.counted) - self.model_fields_set - {"rate_warmup_steps"})
        if self.count_in == "epochs" and defaults:
            raise ValueError(f"count_in epochs: say these in epochs too: {', '.join(defaults)}")
        return self

    def in_steps(self, pairs: int) -> "Recipe":
        """Return this with all that is counted in epochs of so many pairs counted in steps."""
        if self.count_in == "steps":
            return self
        epoch = math.ceil(pairs / self.batch_size)
        counts = {name: epoch * getattr(self, name) for name in self.counted}
        return self.model_validate({**self.model_dump(), **counts, "count_in": "steps"})

    def rate_factor(self, step: int, total: int) -> float:
        """Return what the learning rate is multiplied by in step `step` of `total`, from 1 on."""
        done = (step - 1) / total
        factor = min(1.0, step / self.rate_warmup_steps) if self.rate_warmup_steps else 1.0
        if self.rate_schedule == "cosine":
            return factor * (1 + math.cos(math.pi * done)) / 2
        if self.rate_schedule == "drops":
            return factor * self.rate_drop ** sum(done >= drop for drop in self.rate_drops)
        return factor

    def network(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the network in `models`, and its sizes as its keyword arguments."""
        raise NotImplementedError

    def phases(self, *, started: bool = False) -> tuple[Phase, ...]:
        """Return the phases in order; `started`: from a checkpoint, as `start` allows."""
        raise NotImplementedError

    def least_scale(self) -> float:
        """Return by how much HR is made smaller at most before patches are cut; 1: not at all."""
        return 1.0

    def loss_encoder(self) -> str | None:
        """Return which VGG19 losses compare maps of; None: that of the swaps."""
        return None

    def optimiser_plan(self) -> OptimiserPlan:
        """Return how weights are moved: by Adam, if a recipe says nothing else."""
        return OptimiserPlan()

    def resolved(self) -> "Recipe":
        """Return this with a value for all that is left to a default of another place."""
        return self

    def swaps(self) -> WantedSwaps | None:
        """Return which swaps phases with maps learn from; None for any."""
        return None

    def vgg19_part(self) -> str | None:
        """Return the part of the network that begins as VGG19 up to relu3_1, if one does.

        It is laid out as torchvision's; `loss_encoder` says which VGG19.
        """
        return None

    def start(self) -> Start | None:
        """Return what the network may start from, if anything."""
        return None

    @classmethod
    def summary(cls) -> str:
        """Return what it trains, in a line: its docstring's first, after the section's name."""
        return (cls.__doc__ or "").partition("\n")[0].partition(": ")[2]

    @classmethod
    def shown_fields(cls) -> dict[str, FieldInfo]:
        """Return the fields, what is the recipe's own before what all have."""
        own = {name: f for name, f in cls.model_fields.items() if name not in Recipe.model_fields}
        return {**own, **cls.model_fields}

    @classmethod
    def takes(cls, inputs: Inputs) -> bool:
        """Tell whether some phase is fed with such inputs."""
        return any(phase.inputs == inputs for phase in cls().phases())


class RawReferences(Recipe):
    """A recipe whose network is fed with references as they are (`inputs` of `images`)."""

    headings: ClassVar[Headings] = {REFERENCES: ("references", "reference_px")}

    references: Literal["whole", "cut", "pad"] = Field(
        "cut",
        description="Choose what a batch holds of each reference: the `whole` image (all "
        "references are then of one size); the box of HR's patch (`cut`); or a square of "
        "`reference_px`, cut or padded with zeros (`pad`).",
    )
    reference_px: int = Field(
        160, ge=4, le=4096, description="With `pad`: set the side of that square, px."
    )


class WithMomentum(Recipe):
    """A recipe whose paper moves weights by stochastic gradient descent with momentum."""

    headings: ClassVar[Headings] = {OPTIMISER: ("optimiser", "momentum", "weight_decay")}
    slower: ClassVar[Mapping[str, float]] = {}  # factors of rates with `sgd`, by ends of names

    optimiser: Literal["adam", "sgd"] = Field(
        "sgd", description="Choose the optimiser: `sgd` with momentum, as the paper, or `adam`."
    )
    momentum: float = Field(0.9, gt=0, lt=1, description="Set the momentum of `sgd`.")
    weight_decay: float = Field(
        0,
        ge=0,
        le=1,
        description="Add this times half the squared norm of the weights to the loss (weight "
        "decay); 0: off.",
    )
    learning_rate: float = Field(
        1e-4,
        gt=0,
        le=1,
        description="Set the learning rate; with `sgd` it multiplies the gradient.",
    )

    def optimiser_plan(self) -> OptimiserPlan:
        """Return the optimiser chosen; rates that differ are of `sgd` alone."""
        if self.optimiser == "adam":
            return OptimiserPlan("adam", weight_decay=self.weight_decay)
        return OptimiserPlan("sgd", self.momentum, self.weight_decay, self.slower)


def check_memory(params: Recipe, channels: int, blocks: int) -> None:
    """Raise ValueError for sizes that make a network, or a batch, too large for any device."""
    weights = 2 * 9 * channels**2 * blocks  # a block is two convolutions, 3×3
    if weights > _MOST_WEIGHTS:
        raise ValueError(
            f"channels {channels} and {blocks} blocks make {weights / 1e6:.0f} million weights; "
            f"the most is {_MOST_WEIGHTS / 1e6:.0f} million"
        )
    size = params.batch_size * params.patch_px**2 * channels * 4
    if size > _MOST_BATCH_BYTES:
        raise ValueError(
            f"batch_size {params.batch_size}, patch_px {params.patch_px} and channels {channels} "
            f"make feature maps of {size / 2**30:.0f} GiB each; the most is "
            f"{_MOST_BATCH_BYTES // 2**30} GiB"
        )


RECIPES: dict[str, type[Recipe]] = {}
RecipeType = TypeVar("RecipeType", bound=type[Recipe])


def recipe(name: str) -> Callable[[RecipeType], RecipeType]:
    """Register a recipe under `name`."""

    def add(section: RecipeType) -> RecipeType:
        section.recipe = name
        RECIPES[name] = section
        return section

    return add


def get_recipe(name: str) -> type[Recipe]:
    """Return the recipe of that name; raise InputError, with those known, where there is none."""
    if name not in RECIPES:
        raise InputError(f"{name}: no such recipe; known: {', '.join(RECIPES)}")
    return RECIPES[name]
