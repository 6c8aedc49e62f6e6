"""Networks, one file each, behind one registry (SRNTT: paper section 3.2).

To add one, open `edsr.py`, an example, and docs/adding.md; how it is trained is a file in
`srntt_pipeline/recipes`.

A network is an `nn.Module` that returns SR from LR and from what else it is fed with; it knows
neither files nor stages. Every module here is imported, so a file with `@register(NAME, …)` is all
that a new one takes. `build_model(name, sizes)` makes the one of that name.
"""

import importlib
import pkgutil

from srntt_pipeline.models.content import SISR
from srntt_pipeline.models.registry import Entry, build_model, entry, model_names, register
from srntt_pipeline.models.srntt import SRNTT

__all__ = ["SISR", "SRNTT", "Entry", "build_model", "entry", "model_names", "register"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
