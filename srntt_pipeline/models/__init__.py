"""Networks: SRNTT (paper section 3.2), one file per method behind one registry.

A model is an `nn.Module` that takes an LR image, and swapped maps but for `sisr`, and returns SR;
it knows neither files nor stages. `build_model(name, sizes)` makes the one of that name.
"""

from srntt_pipeline.models.content import SISR
from srntt_pipeline.models.registry import build_model, model_names
from srntt_pipeline.models.srntt import SRNTT

__all__ = ["SISR", "SRNTT", "build_model", "model_names"]
