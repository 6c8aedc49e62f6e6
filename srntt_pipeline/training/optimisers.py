"""Optimisers as recipes plan them, and their learning rates."""

import itertools
from collections.abc import Iterable

import torch
from torch import nn

from srntt_pipeline.recipes import OptimiserPlan, Recipe

_FACTOR = "rate_factor"  # of a group of weights: what the run's learning rate is multiplied by


def make_optimiser(network: nn.Module, params: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser of a network's weights, in groups of one learning rate each."""
    plan = params.optimiser_plan()
    # Neighbours alone are grouped: states tell weights apart by their order.
    named = itertools.groupby(network.named_parameters(), lambda one: plan.rate_of(one[0]))
    groups = [
        {"params": [weight for _, weight in group], _FACTOR: factor} for factor, group in named
    ]
    return _optimiser(groups, plan, params)


def _optimiser(
    groups: list[dict[str, object]], plan: OptimiserPlan, params: Recipe
) -> torch.optim.Optimizer:
    rate, decay = params.learning_rate, plan.weight_decay
    if plan.kind == "sgd":
        return torch.optim.SGD(groups, rate, momentum=plan.momentum, weight_decay=decay)
    return torch.optim.Adam(groups, rate, betas=(params.beta1, 0.999), weight_decay=decay)


def set_rate(optimisers: Iterable[torch.optim.Optimizer], rate: float) -> None:
    """Set the learning rate of a step, for each group by its factor."""
    for group in (group for one in optimisers for group in one.param_groups):
        group["lr"] = rate * group.get(_FACTOR, 1.0)
