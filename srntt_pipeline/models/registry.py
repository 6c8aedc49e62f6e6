"""The models by name."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

_MODELS: dict[str, Callable[..., nn.Module]] = {}
_MOST = {"channels": 4096, "blocks": 256}  # far beyond what a machine could train
Model = TypeVar("Model", bound=Callable[..., nn.Module])


def register(*names: str) -> Callable[[Model], Model]:
    """Register a model class under `names`."""

    def add(model: Model) -> Model:
        _MODELS.update(dict.fromkeys(names, model))
        return model

    return add


def model_names() -> list[str]:
    """Return the names of all models."""
    return sorted(_MODELS)


def build_model(name: str, sizes: Mapping[str, Any]) -> nn.Module:
    """Return a new model; `sizes` are its keyword arguments.

    Raises KeyError for a strange name, ValueError for channels or blocks below 0 or above 4096 and
    256, and what the model raises for other sizes that make no sense.
    """
    for key, most in _MOST.items():
        value = sizes.get(key, 0)
        for size in value if isinstance(value, list | tuple) else [value]:
            if isinstance(size, int) and not 0 <= size <= most:
                raise ValueError(f"{key} is {size}, not between 0 and {most}")
    return _MODELS[name](**sizes)
