"""The critic that is trained beside a network: of WGAN-GP (paper Eq. 9–10), or a standard one."""

import functools
from collections.abc import Mapping

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from srntt_pipeline.models.critic import Critic
from srntt_pipeline.recipes import CriticPlan, Recipe
from srntt_pipeline.training.losses import critic_loss, standard_critic_loss
from srntt_pipeline.training.objective import Diverged, mean_values, signed

# A critic of WGAN-GP stays within some hundreds; beyond this it has run away.
_CRITIC_LIMIT = 1e6


class CriticTrainer:
    """The critic with its optimiser, in float32 whatever the network is in."""

    def __init__(self, fabric: Fabric, plan: CriticPlan, params: Recipe) -> None:
        critic: nn.Module = Critic(
            params.patch_px, plan.channels, plan.stages, plan.batch_norm, plan.kind == "standard"
        )
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            critic = nn.SyncBatchNorm.convert_sync_batchnorm(critic)
        self.critic = fabric.to_device(critic)
        self._fabric, self._plan = fabric, plan
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
        """Make the plan's steps on one batch; return the losses of the last.

        `sr`: about [0, 1]. Raises Diverged before a step that would spoil the critic.
        """
        sr, hr = signed(sr.detach().float()), signed(batch["hr"])
        values: dict[str, float] = {}
        for number in range(self._plan.steps):
            self.optimiser.zero_grad(set_to_none=True)
            found = self._losses(sr, hr, batch, number)
            values = mean_values(self._fabric, found)
            if not all(abs(value) < _CRITIC_LIMIT for value in values.values()):
                raise Diverged(f"the critic diverges (its loss is {values['critic']:.3g})")
            self._fabric.backward(found["critic"])
            self.optimiser.step()
        return values

    def _losses(
        self, sr: Tensor, hr: Tensor, batch: Mapping[str, Tensor], number: int
    ) -> dict[str, Tensor]:
        """Return what the critic minimises as `critic`, and beside it what loss.csv tells."""
        if self._plan.kind == "standard":
            judged = functools.partial(self._shared, parts=2)  # batch norm of HR and SR alone
            return {"critic": standard_critic_loss(judged, sr, hr)}
        distance, penalty = critic_loss(self._shared, sr, hr, batch["mix"][:, number])
        loss = distance + self._plan.gradient_penalty * penalty
        return {"critic": loss, "gradient_penalty": penalty}
