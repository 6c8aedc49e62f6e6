"""The models by name."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

_MODELS: dict[str, Callable[..., nn.Module]] = {}
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
    """Return a new model; `sizes` are its keyword arguments. Raises KeyError for a strange name."""
    return _MODELS[name](**sizes)
