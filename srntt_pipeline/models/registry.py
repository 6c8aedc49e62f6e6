"""The models by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from torch import nn

Inputs = Literal["lr", "maps", "images"]


@dataclass(frozen=True)
class Entry:
    """A network as the registry knows it.

    `build`: its class; `inputs`: what it is fed with, LR alone (`lr`), LR and swapped maps
    (`maps`), or LR and raw references (`images`); `row`: its row in tables; `references`: whether
    a network fed with raw references takes `one` at a time, or `many`.
    """

    build: Callable[..., nn.Module]
    inputs: Inputs
    row: str
    references: Literal["one", "many"] = "many"


_MODELS: dict[str, Entry] = {}
_MOST = {"channels": 4096, "blocks": 256}  # far beyond what a machine could train
Model = TypeVar("Model", bound=Callable[..., nn.Module])


def register(
    name: str, *, inputs: Inputs, row: str, references: Literal["one", "many"] = "many"
) -> Callable[[Model], Model]:
    """Register a network's class under `name`; the rest as in `Entry`."""

    def add(model: Model) -> Model:
        _MODELS[name] = Entry(model, inputs, row, references)
        return model

    return add


def entry(name: str) -> Entry:
    """Return what is known of the model `name`; raise KeyError for a strange one."""
    return _MODELS[name]


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
    return _MODELS[name].build(**sizes)
