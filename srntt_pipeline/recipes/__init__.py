"""Recipes of training by name, one file per family of networks; none imports PyTorch.

To add one, open `edsr.py`, an example, and docs/adding.md; `recipe.py` says what all have. The
network itself is a file in `srntt_pipeline/models`.

Every module here is imported, so a file with `@recipe(NAME)` is all that a new one takes: its
parameters are then a section of the params file and options of `srntt-pipeline train NAME`.
"""

import importlib
import pkgutil

from srntt_pipeline.recipes.recipe import (
    RECIPES,
    CriticPlan,
    Inputs,
    Loss,
    Objective,
    OptimiserPlan,
    Phase,
    RawReferences,
    Recipe,
    Start,
    WantedSwaps,
    WithMomentum,
    get_recipe,
    phase_at,
    recipe,
    reconstruction,
    share_column,
)

__all__ = [
    "RECIPES",
    "CriticPlan",
    "Inputs",
    "Loss",
    "Objective",
    "OptimiserPlan",
    "Phase",
    "RawReferences",
    "Recipe",
    "Start",
    "WantedSwaps",
    "WithMomentum",
    "get_recipe",
    "phase_at",
    "recipe",
    "reconstruction",
    "share_column",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
