"""The networks by name: how each is built, what it is fed with, and its row in tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from torch import nn

Build = Callable[..., nn.Module]
Inputs = Literal["lr", "maps", "images"]
Model = TypeVar("Model", bound=Build)

_MOST = {"channels": 4096, "blocks": 256}  # far beyond what a machine could train


@dataclass(frozen=True)
class Entry:
    """A network of the registry.

    `inputs`: what `forward` takes: `lr`, LR [N, 3, h, w] in [0, 1] alone; `maps`, LR, swapped maps
    by layer and their weight, as SRNTT; `images`, LR and a list of references [N, 3, H, W] in
    [0, 1]. It returns SR [N, 3, 4h, 4w], about [0, 1]. `row`: what tables call it; `references`:
    how many a network on images can take at once.
    """

    build: Build
    inputs: Inputs
    row: str
    references: Literal["one", "many"] = "one"


_MODELS: dict[str, Entry] = {}


def register(
    name: str, *, inputs: Inputs, row: str, references: Literal["one", "many"] = "one"
) -> Callable[[Model], Model]:
    """Register a network under `name`; the rest is described at `Entry`."""

    def add(model: Model) -> Model:
        _MODELS[name] = Entry(model, inputs, row, references)
        return model

    return add


def entry(name: str) -> Entry:
    """Return what the registry holds of a network; raise KeyError for a strange name."""
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
