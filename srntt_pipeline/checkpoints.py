"""Checkpoints: weights as safetensors beside a small JSON of how they were made.

Training writes them, evaluation reads them, and nothing else passes between the two.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from safetensors.torch import save
from torch import Tensor, nn

import srntt_pipeline
from srntt_pipeline.config import SwapParams, as_stored
from srntt_pipeline.degradation import Kernel
from srntt_pipeline.errors import InputError, first_problem, one_line
from srntt_pipeline.files import (
    file_sha256,
    finite,
    folders_with,
    open_regular,
    read_json,
    write_bytes,
    write_json,
)
from srntt_pipeline.maps import EncoderIdentity
from srntt_pipeline.models import build_model, model_names
from srntt_pipeline.recipes import Recipe, get_recipe
from srntt_pipeline.tensors import load_tensors, tensor_shapes
from srntt_pipeline.text import valid

FORMAT = "srntt_pipeline checkpoint"

__all__ = [
    "Checkpoint",
    "CheckpointInfo",
    "checkpoints_in",
    "load_checkpoint",
    "load_tensors",
    "save_checkpoint",
    "save_tensors",
    "weights_file",
]


class CheckpointInfo(BaseModel):
    """How a checkpoint was made; the JSON beside its weights.

    `encoder`: identity of the VGG19 whose maps it was trained on, made with `swaps`; both None for
    a model that takes no maps; `networks`: the SHA-256 of other networks that these swaps were
    matched with (`Matcher.networks`); `train`: the parameters of `recipe`; `dataset`: fingerprint
    of the training pairs; `metrics`: of the last validation, None for an infinite PSNR. `imported`:
    name and SHA-256 of each file that the weights were imported from; then `train` is a recipe that
    makes such a network, and nothing was trained here. `trained_on`: the kernel that made the LR
    that it was trained on.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    format: str = FORMAT
    software: str = f"srntt_pipeline {srntt_pipeline.__version__}"
    model: str
    recipe: str = ""
    sizes: dict[str, Any]
    step: Annotated[int, Field(ge=0)]
    encoder: EncoderIdentity | None
    swaps: SwapParams | None
    networks: dict[str, str] = {}
    train: SerializeAsAny[Recipe]
    dataset: str
    metrics: dict[str, float | None]
    imported: tuple[tuple[str, str], ...] = ()
    trained_on: Kernel = "pillow"
    weights_sha256: str = ""

    @field_validator("train", mode="plain")
    @classmethod
    def _of_recipe(cls, value: Any, info: ValidationInfo) -> Recipe:
        """Return the parameters as the section of their recipe."""
        if isinstance(value, Recipe):
            return value
        # Files of before the recipes name none: each kind of model had but one.
        of_model = "sisr" if info.data.get("model") == "sisr" else "srntt"
        try:
            section = get_recipe(info.data.get("recipe") or of_model)
            if isinstance(value, dict):
                value = {**section.before, **value}
            return section.model_validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None
        except InputError as error:
            raise ValueError(one_line(str(error))) from None

    @model_validator(mode="after")
    def _named(self) -> "CheckpointInfo":
        if self.swaps and self.swaps.networks != set(self.networks):
            raise ValueError(f"networks {self.networks}, but swaps use {self.swaps.networks}")
        if self.recipe not in ("", self.train.recipe):
            raise ValueError(f"recipe {self.recipe}, but parameters of {self.train.recipe}")
        self.recipe = self.train.recipe
        return self

    @property
    def origin(self) -> str:
        """How the weights were made, in words."""
        if not self.imported:
            return f"{self.step} steps"
        return f"weights imported from {', '.join(valid(name) for name, _ in self.imported)}"


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, in evaluation mode on the CPU, and how it was made."""

    path: Path
    model: nn.Module
    info: CheckpointInfo


def save_checkpoint(path: Path, model: nn.Module, info: CheckpointInfo) -> None:
    """Write weights to `path` (.safetensors) and `info` beside it (.json), each whole or not."""
    save_tensors(path, model.state_dict())
    described = info.model_copy(update={"weights_sha256": file_sha256(path)})
    write_json(path.with_suffix(".json"), finite(described.model_dump(mode="json")))


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    # Not save_file, which makes the file readable by its owner alone.
    write_bytes(path, save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Load a checkpoint: its .safetensors file, its .json, or the folder that train wrote.

    Sizes are compared before a weight is read or a byte of the network allocated. Raises InputError
    when weights or JSON are missing, damaged, of each other's sibling, or of another network, or
    when a weight is no finite number.
    """
    path = weights_file(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: not a checkpoint; expected a .safetensors file that train wrote")
    shapes, info = tensor_shapes(path), _read_info(path.with_suffix(".json"))
    model = _bare_model(path, info, shapes)
    if file_sha256(path) != info.weights_sha256:
        raise InputError(f"{path} is not the file that {path.stem}.json describes; copy both again")
    model.to_empty(device="cpu").load_state_dict(load_tensors(path))
    return Checkpoint(path, model.eval().requires_grad_(False), info)


def _read_info(path: Path) -> CheckpointInfo:
    fix = "it tells how the weights were made; copy it beside them"
    try:
        if path.exists():
            open_regular(path).close()
        content = read_json(path, fix)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{path}: not the JSON of a checkpoint")
        if "swaps" in content:
            content["swaps"] = as_stored(content["swaps"])
        # As JSON, whose lists are tuples even where types are strict.
        info = CheckpointInfo.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: not the JSON of a checkpoint ({first_problem(error)})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable ({one_line(str(error))}); {fix}") from None
    if info.model not in model_names():
        raise InputError(
            f"{path}: unknown model {one_line(info.model)}; known: {', '.join(model_names())}"
        )
    return info


def _bare_model(path: Path, info: CheckpointInfo, found: dict[str, Any]) -> nn.Module:
    """Return the model without memory for its weights, which are to be those `found` in `path`."""
    try:
        with torch.device("meta"):
            model = build_model(info.model, info.sizes)
    except (RuntimeError, TypeError, ValueError, LookupError):  # whatever strange sizes bring about
        model = nn.Module()
    wanted = {
        name: (str(value.dtype).removeprefix("torch."), tuple(value.shape))
        for name, value in model.state_dict().items()
    }
    if not wanted or wanted != found:
        sizes = one_line(str(info.sizes))
        raise InputError(f"{path}: its weights do not fit {info.model} {sizes}")
    return model


def weights_file(path: Path) -> Path:
    """Return the .safetensors file meant by `path`: itself, its .json, or the folder it is in.

    Raises InputError for a folder without a checkpoint, or with several.
    """
    if path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        if not found:
            raise InputError(f"{path}: no checkpoint in this folder; train writes one")
        # Weights without their JSON are no checkpoint, but what is wrong with the only one is told.
        found = [file for file in found if file.with_suffix(".json").exists()] or found
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise InputError(f"{path} holds several checkpoints; name one of {names}")
        return found[0]
    return path.with_suffix(".safetensors") if path.suffix == ".json" else path


def checkpoints_in(path: Path) -> list[Path]:
    """Return the checkpoint meant by `path`, or where it is a folder of checkpoints' folders, all.

    In the order of their names. What is no checkpoint is left to `load_checkpoint` to refuse.
    """
    return folders_with(path, "*.safetensors")
