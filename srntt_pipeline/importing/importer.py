"""What an importer is: files of one method in, the recipe of its network and its weights out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from srntt_pipeline.errors import InputError
from srntt_pipeline.recipes import Recipe

R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Weights:
    """A network as it was read: `arrays` are its parameters by their names in our network.

    `recipe`: one that makes this network; its `network()` tells name and sizes. Each array has the
    shape that the network wants, and is float32 and finite. `trained_on`: the kernel that made the
    LR that its authors trained it on, as in `degradation.KERNELS`.
    """

    recipe: Recipe
    arrays: Mapping[str, np.ndarray]
    trained_on: str = "pillow"


Read = Callable[..., Weights]


@dataclass(frozen=True)
class Importer:
    """How the published weights of a method are read.

    `files`: what they are called on the command line, in the order that `read` takes their paths;
    it raises InputError that names the file. `swaps`: for a network on swapped maps, the parameters
    by which its own code swaps; None for others.
    """

    name: str
    files: tuple[str, ...]
    read: Read
    swaps: Mapping[str, Any] | None = None

    @property
    def help(self) -> str:
        """What it reads, as its function says."""
        return (self.read.__doc__ or "").strip()


IMPORTERS: dict[str, Importer] = {}


def importer(
    name: str, files: tuple[str, ...], *, swaps: Mapping[str, Any] | None = None
) -> Callable[[Read], Read]:
    """Register a function under `name`; the rest is described at `Importer`."""

    def add(read: Read) -> Read:
        IMPORTERS[name] = Importer(name, files, read, swaps)
        return read

    return add


def recipe_of(path: Path, kind: type[R], **sizes: object) -> R:
    """Return the recipe of a network of these sizes; raise InputError for sizes that it refuses."""
    try:
        return kind.model_validate(sizes)
    except ValidationError:
        raise InputError(f"{path}: a network of sizes that {kind.recipe} cannot have") from None
