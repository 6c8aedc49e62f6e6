"""What a phase minimises: each loss by its name, and their weighted sum (paper section 3.3).

A recipe names losses (`recipes.recipe.Loss`); the functions behind the names are here. A new loss
is one function under `@loss(NAME)`.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from lightning_fabric import Fabric
from torch import Tensor

from srntt_pipeline.errors import InputError
from srntt_pipeline.models.content import bicubic
from srntt_pipeline.models.luma import luma
from srntt_pipeline.recipes import CriticPlan, Loss, Objective, share_column
from srntt_pipeline.training.features import LossFeatures
from srntt_pipeline.training.losses import (
    adversarial_loss,
    charbonnier_loss,
    normalised_perceptual_loss,
    patch_texture_loss,
    perceptual_loss,
    reconstruction_loss,
    recursive_loss,
    squared_perceptual_loss,
    squared_texture_loss,
    standard_adversarial_loss,
    texture_loss,
    transferal_loss,
)

Judge = Callable[[Tensor], Tensor]
OwnMaps = Callable[[Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Context:
    """What a loss may look at.

    `sr`, `hr`: images [N, 3, H, W] in [-1, 1], the range of the paper's tanh, float32; `batch`:
    all that the batch holds, as `data.Patches` describes; `judge`: the critic's verdict on images,
    with a gradient to these alone, and `critic`: of which kind it is. `others`: what the network
    made beside SR, by name, in [-1, 1], float32: smaller images, earlier ones, or luma alone;
    `step`: how many steps of the phase are made before this one. `own_maps`: the network's own
    maps, by layer, of images [N, 3, H, W] in [0, 1], with a gradient to these alone.
    """

    sr: Tensor
    hr: Tensor
    batch: Mapping[str, Tensor]
    features: LossFeatures | None = None
    judge: Judge | None = None
    critic: CriticPlan | None = None
    others: Mapping[str, Tensor] = field(default_factory=dict)
    step: int = 0
    own_maps: OwnMaps | None = None

    def compared(self, told: Loss) -> tuple[Tensor, Tensor]:
        """Return SR and HR as a loss compares them by its options `channel` and `border`."""
        sr, hr = self.sr, self.hr
        if told.options.get("channel", "rgb") == "luma":
            sr, hr = self.sr_luma, self.hr_luma
        border = told.options.get("border", 0)
        inner = slice(border, -border or None)
        return sr[..., inner, inner], hr[..., inner, inner]

    @functools.cached_property
    def sr_luma(self) -> Tensor:
        """Luma of SR, [N, 1, H, W], between [-1, 1]'s black and white."""
        return signed(luma(unsigned(self.sr)))

    @functools.cached_property
    def hr_luma(self) -> Tensor:
        """The same of HR."""
        return signed(luma(unsigned(self.hr)))

    @property
    def caffe_scale(self) -> float:
        """How many times as large as `sr_maps` those of Caffe's VGG19 are."""
        assert self.features is not None
        return self.features.caffe_scale

    @functools.cached_property
    def sr_maps(self) -> dict[str, Tensor]:
        """VGG19's maps of SR by layer, on all layers that losses of the run name."""
        assert self.features is not None
        maps: dict[str, Tensor] = self.features(self.sr)
        return maps

    @functools.cached_property
    def hr_maps(self) -> dict[str, Tensor]:
        """The same of HR, without a gradient."""
        assert self.features is not None
        with torch.no_grad():
            maps: dict[str, Tensor] = self.features(self.hr)
        return maps


ADVERSARIAL = "adversarial"


def signed(image: Tensor) -> Tensor:
    """Return an image in [0, 1] in [-1, 1]."""
    return 2 * image - 1


def unsigned(image: Tensor) -> Tensor:
    """Return an image in [-1, 1] in [0, 1]."""
    return (image + 1) / 2


LossFunction = Callable[[Context, Loss], Tensor]
LOSSES: dict[str, LossFunction] = {}


def loss(name: str) -> Callable[[LossFunction], LossFunction]:
    """Register a loss under `name`: a scalar, unweighted, of a context and what the recipe says."""

    def add(function: LossFunction) -> LossFunction:
        LOSSES[name] = function
        return function

    return add


@loss("reconstruction")
def _reconstruction(context: Context, told: Loss) -> Tensor:
    return reconstruction_loss(*context.compared(told), told.options["kind"])


@loss("charbonnier")
def _charbonnier(context: Context, told: Loss) -> Tensor:
    # Its ε is of images in [0, 1]. `levels`: of images beside SR, their weight by name; HR is made
    # as small as each of them.
    sr, hr = map(unsigned, context.compared(told))
    epsilon = told.options["epsilon"]
    total = charbonnier_loss(sr, hr, epsilon)
    for name, weight in told.options["levels"].items():
        level = unsigned(context.others[name])
        reduced = bicubic(hr, level.shape[-1] / hr.shape[-1])
        total = total + weight * charbonnier_loss(level, reduced, epsilon)
    return total


@loss("recursive")
def _recursive(context: Context, told: Loss) -> Tensor:
    # Luma of images in [0, 1].
    hr = unsigned(context.hr_luma)
    depths = [unsigned(image) for image in context.others.values()]
    fading = told.options["fading_steps"]
    alpha = max(0.0, 1 - context.step / fading) if fading else 0.0
    return recursive_loss(unsigned(context.sr_luma), depths, hr, alpha)


@loss("perceptual")
def _perceptual(context: Context, told: Loss) -> Tensor:
    weights = told.options.get("layer_weights", (1.0,) * len(told.layers))
    terms = []
    for layer, weight in zip(told.layers, weights, strict=True):
        of_sr, of_hr = context.sr_maps[layer], context.hr_maps[layer]
        if told.options["form"] == "paper":
            found = perceptual_loss(of_sr, of_hr)
        elif told.options["form"] == "enet":
            found = normalised_perceptual_loss(of_sr, of_hr)
        elif told.options["form"] == "mse":
            found = squared_perceptual_loss(of_sr, of_hr, 1.0)
        else:
            found = squared_perceptual_loss(of_sr, of_hr, context.caffe_scale)
        terms.append(weight * found)
    return torch.stack(terms).sum()


@loss("transferal")
def _transferal(context: Context, told: Loss) -> Tensor:
    # What the network made beside SR is the texture that it transferred, by layer.
    assert context.own_maps is not None
    found = context.own_maps(unsigned(context.sr))
    transferred = {layer: unsigned(texture) for layer, texture in context.others.items()}
    return transferal_loss({layer: found[layer] for layer in transferred}, transferred)


@loss("texture")
def _texture(context: Context, told: Loss) -> Tensor:
    if told.options["form"] == "enet":
        weights = dict(zip(told.layers, told.options["layer_weights"], strict=True))
        return patch_texture_loss(context.sr_maps, context.hr_maps, weights, told.options["patch"])
    swapped = {layer: context.batch[layer] for layer in told.layers}
    weight = context.batch["weight"]
    if told.options["form"] == "paper":
        return texture_loss(context.sr_maps, swapped, weight)
    return squared_texture_loss(context.sr_maps, swapped, weight, context.caffe_scale)


@loss(ADVERSARIAL)
def _adversarial(context: Context, told: Loss) -> Tensor:
    assert context.judge is not None
    if context.critic and context.critic.kind == "standard":
        return standard_adversarial_loss(context.judge, context.sr)
    return adversarial_loss(context.judge, context.sr)


def loss_names() -> list[str]:
    """Return the names of all losses, their shares and a critic's, as loss.csv calls them."""
    return [*LOSSES, *map(share_column, LOSSES), "critic", "gradient_penalty"]


def losses(
    objective: Objective,
    sr: Tensor,
    batch: Mapping[str, Tensor],
    features: LossFeatures | None,
    judge: Judge | None,
    others: Mapping[str, Tensor] | None = None,
    step: int = 0,
    own_maps: OwnMaps | None = None,
) -> dict[str, Tensor]:
    """Return the losses of SR by name, unweighted, and as `loss` their weighted sum.

    `sr`: [N, 3, H, W], about [0, 1]; `batch`: `hr`, and for the texture loss maps and `weight`;
    `others`: what the network made beside SR, about [0, 1]; `step`, `own_maps`: as `Context` has
    them.
    """
    beside = {name: signed(image.float()) for name, image in (others or {}).items()}
    context = Context(
        signed(sr.float()), signed(batch["hr"]), batch, features, judge, objective.critic,
        beside, step, own_maps,
    )  # fmt: skip
    found = {told.name: LOSSES[told.name](context, told) for told in objective.losses}
    weighted = [told.weight * found[told.name] for told in objective.losses]
    return {**found, "loss": torch.stack(weighted).sum()}


def gradient_shares(
    objective: Objective,
    found: Mapping[str, Tensor],
    images: Sequence[Tensor],
    fabric: Fabric | None = None,
) -> dict[str, Tensor]:
    """Return which share each loss has in the gradient that SR gets, by its column in loss.csv.

    The share of a loss is ‖λ ∂L/∂SR‖₂ over the sum of these norms of all losses, λ being its
    weight. `found`: as `losses` returns them; `images`: what they were computed of, SR and what
    the network made beside it; the gradient is then that of all together. `fabric`: of the
    processes that share the batch, whose gradients are taken together.
    """
    squares = torch.stack(
        [_slope(told.weight * found[told.name], images).square() for told in objective.losses]
    )
    if fabric and fabric.world_size > 1:
        squares = fabric.all_reduce(squares, reduce_op="mean")  # type: ignore[assignment]
    norms = squares.sqrt()
    shares = norms / norms.sum().clamp_min(torch.finfo(norms.dtype).tiny)
    return {
        share_column(told.name): share for told, share in zip(objective.losses, shares, strict=True)
    }


def _slope(loss: Tensor, images: Sequence[Tensor]) -> Tensor:
    """Return the norm of a loss's gradient by images, of which it need not look at all."""
    slopes = torch.autograd.grad(loss, images, retain_graph=True, allow_unused=True)
    seen = [slope.detach().float().flatten() for slope in slopes if slope is not None]
    return torch.linalg.vector_norm(torch.cat(seen))


def mean_values(fabric: Fabric, losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the losses as numbers, the mean over all processes."""
    values = torch.stack([value.detach().float() for value in losses.values()])
    if fabric.world_size > 1:
        values = fabric.all_reduce(values, reduce_op="mean")  # type: ignore[assignment]
    return dict(zip(losses, values.tolist(), strict=True))


def assert_finite(values: Mapping[str, float]) -> None:
    """Raise Diverged for a loss that is no number."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise Diverged(f"the {'sum of losses' if name == 'loss' else name} is {value}")


class Diverged(InputError):  # noqa: N818 - it reads as what happened: training has diverged
    """Training cannot go on: a loss is NaN or infinite, or the critic has run away."""
