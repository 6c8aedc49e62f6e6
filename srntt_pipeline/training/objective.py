"""What a phase of training minimises, and the critic that some of it needs (paper section 3.3)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from srntt_pipeline.config import TrainParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.training.features import LossFeatures
from srntt_pipeline.training.losses import (
    adversarial_loss,
    critic_loss,
    perceptual_loss,
    reconstruction_loss,
    texture_loss,
)

# Losses of their own in loss.csv, in its order, whatever the objective.
NAMES = ("reconstruction", "perceptual", "texture", "adversarial", "critic", "gradient_penalty")

# A critic of WGAN-GP stays within some hundreds; beyond this it has run away.
_CRITIC_LIMIT = 1e6


@dataclass(frozen=True)
class Objective:
    """The weighted sum of losses that a phase minimises; a weight of 0 leaves a loss out."""

    kind: str
    reconstruction: float = 1.0
    perceptual: float = 0.0
    texture: float = 0.0
    adversarial: float = 0.0
    perceptual_layer: str = "relu5_1"
    texture_layers: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """VGG19 layers that SR is encoded to."""
        layers = self.texture_layers if self.texture else ()
        return (*layers, self.perceptual_layer) if self.perceptual else layers

    @property
    def alone(self) -> "Objective":
        """The reconstruction loss alone, at weight 1: no other needs weighing against it."""
        return Objective(self.kind)

    @property
    def columns(self) -> list[str]:
        """Names of its losses, as in loss.csv."""
        others = [name for name in ("perceptual", "texture", "adversarial") if getattr(self, name)]
        critic = ["critic", "gradient_penalty"] if self.adversarial else []
        return ["reconstruction", *others, *critic] if others else []


def objective_of(params: TrainParams) -> Objective:
    """Return the objective of the last phase."""
    variant = params.resolved
    return Objective(
        variant.reconstruction,
        params.reconstruction_weight,
        variant.perceptual_weight,
        variant.texture_weight,
        variant.adversarial_weight,
        params.perceptual_layer,
        variant.layers,
    )


def losses(
    objective: Objective,
    sr: Tensor,
    batch: Mapping[str, Tensor],
    features: LossFeatures | None,
    critic: Callable[[Tensor], Tensor] | None,
) -> dict[str, Tensor]:
    """Return the losses of SR by name, unweighted, and as `loss` their weighted sum.

    `sr`: [N, 3, H, W], about [0, 1]; `batch`: `hr`, and for the texture loss maps and `weight`.
    """
    sr, hr = 2 * sr.float() - 1, 2 * batch["hr"] - 1
    found = {"reconstruction": reconstruction_loss(sr, hr, objective.kind)}
    if objective.layers:
        assert features is not None
        maps = features(sr)
        if objective.perceptual:
            layer = objective.perceptual_layer
            with torch.no_grad():
                of_hr = features(hr)[layer]
            found["perceptual"] = perceptual_loss(maps[layer], of_hr)
        if objective.texture:
            swapped = {layer: batch[layer] for layer in objective.texture_layers}
            found["texture"] = texture_loss(maps, swapped, batch["weight"])
    if objective.adversarial:
        assert critic is not None
        found["adversarial"] = adversarial_loss(critic, sr)
    found["loss"] = torch.stack([getattr(objective, k) * v for k, v in found.items()]).sum()
    return found


class CriticTrainer:
    """The critic with its optimiser, in float32 whatever the network is in."""

    def __init__(self, fabric: Fabric, critic: nn.Module, params: TrainParams) -> None:
        self.critic = fabric.to_device(critic)
        self._fabric, self._params = fabric, params
        # Not fabric.setup: its wrapper, in mixed precision, forbids the penalty's inner gradient.
        self._shared = fabric.strategy.setup_module(critic)
        self.optimiser = torch.optim.Adam(
            critic.parameters(), params.learning_rate, betas=(params.beta1, 0.999)
        )

    def judge(self, sr: Tensor) -> Tensor:
        """Return D(SR) with a gradient to SR alone; images [N, 3, H, W] in [-1, 1] to [N]."""
        self.critic.requires_grad_(False)
        found: Tensor = self.critic(sr)
        self.critic.requires_grad_(True)
        return found

    def step(self, sr: Tensor, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Make `critic_steps` steps on one batch; return the losses of the last.

        `sr`: about [0, 1]. Raises Diverged before a step that would spoil the critic.
        """
        sr, hr = 2 * sr.detach().float() - 1, 2 * batch["hr"] - 1
        values: dict[str, float] = {}
        for number in range(self._params.critic_steps):
            self.optimiser.zero_grad(set_to_none=True)
            distance, penalty = critic_loss(self._shared, sr, hr, batch["mix"][:, number])
            loss = distance + self._params.gradient_penalty * penalty
            values = mean_values(self._fabric, {"critic": loss, "gradient_penalty": penalty})
            if not all(abs(value) < _CRITIC_LIMIT for value in values.values()):
                raise Diverged(f"the critic diverges (its loss is {values['critic']:.3g})")
            self._fabric.backward(loss)
            self.optimiser.step()
        return values


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
