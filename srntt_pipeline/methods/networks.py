"""Networks that are fed with images: with LR alone, or with LR and raw references."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from srntt_pipeline import memory
from srntt_pipeline.checkpoints import Checkpoint, CheckpointInfo, load_checkpoint, weights_file
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import one_line
from srntt_pipeline.images import RGB, SCALE
from srntt_pipeline.maps import to_tensor
from srntt_pipeline.memory import Size
from srntt_pipeline.methods.method import ALL, BEST, NONE, PAPER_ALL, CannotRun, Method
from srntt_pipeline.methods.restorer import SR_MEMORY
from srntt_pipeline.methods.scene import Scene
from srntt_pipeline.models.registry import Inputs, entry
from srntt_pipeline.models.tiling import (
    WHOLE,
    Run,
    Sight,
    bytes_beside,
    bytes_per_pixel,
    in_tiles,
    least_bytes,
    like_weights,
    sight,
    tile_side,
)
from srntt_pipeline.text import valid

References = Literal["one", "many"]

_WORTH = 0.75  # of an image's memory: tiles that take more and fit no better are not worth it
_SMALL_PX = 64  # side of references beside which the memory of LR is counted


class OfNetwork(Method):
    """A network that is fed with images: with LR alone, or with LR and raw references.

    `chooses`: whether it says how ill a reference fits LR, by a method `misfit(lr, refs)`; so it
    knows which is `best`.
    """

    inputs: Inputs
    references: References
    chooses: bool

    def takes(self, reference: str) -> bool:
        """Tell whether it takes the reference: none; or one at a time; or all together too."""
        if self.inputs == "lr":
            return reference == NONE
        if reference == BEST:
            return self.chooses
        several = reference in (ALL, PAPER_ALL)
        return reference != NONE and (self.references == "many" or not several)

    def super_resolve(self, scene: Scene, reference: str) -> RGB:
        """Return SR, in tiles where the image at once would take too much memory."""
        loaded = self._loaded(scene.device)
        used = self._best(scene, loaded) if reference == BEST else reference
        images = scene.images(used)
        size = height, width = scene.lr.shape[:2]
        plan = loaded.plan(size, images, scene.max_memory or SR_MEMORY)
        what = f"LR of {width}×{height} px"
        if scene.max_memory is not None:
            memory.check(scene.max_memory, plan.least, what)
        try:
            return in_tiles(loaded.model, plan.run, scene.lr, plan.sees, plan.side)
        except ArithmeticError:
            raise CannotRun(f"{self.name} gives values that are no numbers") from None
        except RuntimeError as error:  # such as one that wants larger images
            raise CannotRun(f"{what}: {one_line(str(error))}") from None

    def prepare(self, scene: Scene, reference: str) -> None:
        """Find out what the network takes, and how far it sees where it does not fit."""
        used = next(iter(scene.references)) if reference == BEST else reference
        loaded, images = self._loaded(scene.device), scene.images(used)
        loaded.plan(scene.lr.shape[:2], images, scene.max_memory or SR_MEMORY)

    def parameters(self) -> int:
        """Return how many weights the network has."""
        return sum(weight.numel() for weight in self._loaded("cpu").model.parameters())

    def least_memory(self, lr: Size, refs: Sequence[Size], device: str) -> int:
        """Return the bytes below which a process cannot super-resolve images of these sizes.

        Of a network with references it is told when they are there.
        """
        if refs:
            return super().least_memory(lr, refs, device)
        return self._loaded(device).plan(lr, [], 0).least

    @torch.inference_mode()
    def _best(self, scene: Scene, loaded: "Loaded") -> str:
        """Return the level of the least misfit; of equal ones the first."""
        like = like_weights(loaded.model)
        lr = to_tensor(scene.lr)[None].to(like)
        found: dict[str, float] = {}
        for level, image in scene.references.items():
            ref = to_tensor(image)[None].to(like)
            found[level] = float(loaded.model.misfit(lr, [ref]))  # type: ignore[operator]
        return min(found, key=lambda level: found[level])

    def _loaded(self, device: str) -> "Loaded":
        raise NotImplementedError


class TrainedNetwork(OfNetwork):
    """A checkpoint of such a network: `model`, its name in the registry, says how it is fed."""

    def __init__(self, name: str, checkpoint: Path, info: CheckpointInfo) -> None:
        fed = entry(info.model)
        self.name, self.checkpoint = name, checkpoint
        self.inputs, self.references = fed.inputs, fed.references
        self.chooses = hasattr(fed.build, "misfit")
        self.trained_on = info.trained_on
        self._weights_sha256 = info.weights_sha256

    def identity(self, scene: Scene, reference: str) -> str:
        """Return the hash of the weights."""
        return self._weights_sha256

    def notes(self, device: str) -> list[str]:
        """Return which checkpoint made its numbers."""
        self._loaded(device)
        info = self._checkpoint().info
        return [
            f"{self.name}: {info.origin}, checkpoint {valid(self._path.name)} (sha256 "
            f"{info.weights_sha256[:12]})."
        ]

    def facts(self) -> Mapping[str, Any]:
        """Return what the checkpoint's JSON says."""
        return self._checkpoint().info.model_dump(mode="json")

    @property
    def _path(self) -> Path:
        assert self.checkpoint is not None
        return self.checkpoint

    def _checkpoint(self) -> Checkpoint:
        return _load(self._path, "cpu")[0]

    def _loaded(self, device: str) -> "Loaded":
        return _load(self._path, device)[1]


@dataclass(frozen=True)
class _Plan:
    """How an image is run: in tiles of `side` LR pixels; `least`: bytes of the process it takes."""

    run: Run
    sees: Sight
    side: int
    least: int


class Loaded:
    """A network on its device, and what was found out about it."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        # By the sizes of the references, and of these made small.
        self._bytes: dict[tuple[Size, ...], tuple[int, int]] = {}
        self._sees: dict[tuple[Size, ...], Sight] = {}

    def plan(self, size: Size, images: Sequence[RGB], max_memory: int) -> _Plan:
        """Return how LR of that size is run with these references in so many bytes."""
        height, width = size
        run, model = _run(images), self.model
        sizes = tuple(image.shape[:2] for image in images)
        small_images = [image[:_SMALL_PX, :_SMALL_PX] for image in images]
        small = _run(small_images)
        if sizes not in self._bytes:
            # Of LR beside small references, and of these alone: together no less than both take.
            beside_lr = bytes_beside(model, run) if images else 0
            self._bytes[sizes] = beside_lr, bytes_per_pixel(model, small)
        fixed, taken = self._bytes[sizes]
        sr = SCALE * height, SCALE * width
        held = memory.image_bytes([size, *sizes]) + memory.written_bytes(sr)
        beside = memory.START_MEMORY + held
        # The rest is for the holes that the allocator leaves between buffers of many sizes.
        room = (max_memory - beside) * 2 // 3 - fixed
        sees = WHOLE
        if taken * height * width > room:
            # How far it sees in LR does not hang on how large references are; small ones take less
            # time.
            small_sizes = tuple(image.shape[:2] for image in small_images)
            if small_sizes not in self._sees:
                self._sees[small_sizes] = sight(model, small)
            sees = self._sees[small_sizes]
            whole = fixed + taken * height * width
            tiles = least_bytes(height, width, taken, sees)
            if tiles > room and fixed + tiles > _WORTH * whole:
                sees = WHOLE  # each tile would run the references again, and save next to nothing
        side = tile_side(height, width, taken, sees, room)
        least = beside + (fixed + least_bytes(height, width, taken, sees)) * 3 // 2
        return _Plan(run, sees, side, least)


def _run(images: Sequence[RGB]) -> Run:
    """Return how a network is run: on LR, with the references whole if there are any."""
    if not images:
        return lambda network, lr: network(lr)
    refs = [to_tensor(image)[None] for image in images]

    def run(network: nn.Module, lr: Tensor) -> Tensor:
        sr: Tensor = network(lr, [ref.to(lr) for ref in refs])
        return sr

    return run


def _load(path: Path, device: str) -> tuple[Checkpoint, Loaded]:
    """Return a checkpoint with its network, the last ones again while their files are unchanged."""
    path = weights_file(path)
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _load_once(path, changed, device)


@functools.lru_cache(maxsize=16)
def _load_once(path: Path, changed: int, device: str) -> tuple[Checkpoint, Loaded]:
    checkpoint = load_checkpoint(path)
    return checkpoint, Loaded(checkpoint.model.to(choose_device(device)))
