"""How LR is matched with its references, as the parameters say: one way for every caller."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from srntt_pipeline import memory
from srntt_pipeline.config import MatchParams, Refine
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB, SCALE
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.matching.torch_search import Precision
from srntt_pipeline.memory import Size
from srntt_pipeline.network_files import AS_NAMED, NetworkFiles
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.flow import Flow, load_flow
from srntt_pipeline.swaps.image_matching import match_images
from srntt_pipeline.swaps.learnt import KEY, load_learnt
from srntt_pipeline.swaps.references import Augmentation, versions
from srntt_pipeline.swaps.upscaler import Upscaler, load_upscaler


@dataclass(frozen=True)
class Matcher:
    """Matching by `encoder`, of LR↑ and Ref↓↑ by `upscaler`, with `versions` of each reference.

    `precision`: of the products, as `match_maps` takes it; `refine` and `refine_best` as
    `match_images` takes them. With `learnt`, patches of its maps are compared, and `encoder` is of
    what is swapped in alone. With `flow`, patches are not compared: it tells where they are.
    """

    encoder: Encoder
    upscaler: Upscaler
    versions: Sequence[Augmentation]
    precision: Precision = "float32"
    flow: Flow | None = None
    refine: Refine = "none"
    refine_best: int = 1
    learnt: Encoder | None = None

    @property
    def networks(self) -> dict[str, str]:
        """The SHA-256 of each network in use beside the encoder, by the parameter that names it."""
        return {
            **self.upscaler.networks,
            **({KEY: self.learnt.identity.sha256} if self.learnt else {}),
            **(self.flow.networks if self.flow else {}),
        }

    @property
    def compares(self) -> Encoder:
        """The encoder by whose maps patches are compared."""
        return self.encoder if self.learnt is None else self.learnt

    def with_encoders(self, change: Callable[[Encoder], Encoder]) -> "Matcher":
        """Return the same with each of its encoders changed."""
        learnt = None if self.learnt is None else change(self.learnt)
        return replace(self, encoder=change(self.encoder), learnt=learnt)

    def taken(self, lr: Size, refs: Sequence[Size]) -> int:
        """Return the bytes that matching images of these sizes takes because of their sizes."""
        lr_up = SCALE * lr[0], SCALE * lr[1]
        return (
            memory.image_bytes([lr, *refs])
            + memory.matching_bytes(lr_up)
            + memory.versions_bytes(refs, self.largest_scale)
            + (memory.flow_bytes(lr_up, refs) if self.flow else 0)
            + (memory.refined_bytes(refs, self.largest_scale) if self.refine != "none" else 0)
        )

    @property
    def largest_scale(self) -> float:
        """By how much versions are larger than their reference, at most."""
        return max(version.scale for version in self.versions)

    def least_memory(self, lr: Size, refs: Sequence[Size]) -> int:
        """Return the bytes below which a process can't match images of these sizes."""
        return memory.LEAST_TO_MATCH + self.taken(lr, refs)

    def match(
        self, lr: RGB, refs: Sequence[RGB], *, max_memory: int | None = None
    ) -> Correspondence:
        """Return the correspondence of LR↑ with all versions of `refs`, by reference first.

        `lr`: uint8 [h, w, 3], `refs`: uint8 [H, W, 3] each; `max_memory`: bytes of the process,
        None for MAX_MEMORY or what these images need. Raises InputError where it is too little.
        """
        size, sizes = lr.shape[:2], [ref.shape[:2] for ref in refs]
        least = self.least_memory(size, sizes)
        room = max(memory.MAX_MEMORY, least) if max_memory is None else max_memory
        memory.check(room, least, f"LR of {size[1]}×{size[0]} px")
        lr_up = self.upscaler(lr)
        if self.flow:
            to_pixel = self.refine != "none"
            return self.flow.follow(lr_up, refs, self.encoder, self.upscaler, to_pixel=to_pixel)
        return match_images(
            lr_up,
            refs,
            self.versions,
            self.compares,
            upscaler=self.upscaler,
            max_memory=room - self.taken(size, sizes),
            precision=self.precision,
            refine=self.refine,
            refine_best=self.refine_best,
        )


def load_matcher(
    params: MatchParams,
    encoder: Encoder,
    files: NetworkFiles = AS_NAMED,
) -> Matcher:
    """Return the Matcher that `params` ask for, on the encoder's device; raises InputError."""
    params, device = files.found(params), encoder.mean.device
    if params.precision == "tf32" and not params.by_flow and device.type != "cuda":
        raise InputError(
            f"swaps.precision: tf32 needs CUDA, the device is {device}; choose another one, or "
            "--device cuda"
        )
    upscaler = load_upscaler(params.upscaler, device)
    flow = load_flow(params, device)
    return Matcher(
        encoder,
        upscaler,
        versions(params),
        params.precision,
        flow,
        params.refine,
        params.refine_best,
        load_learnt(params, device),
    )


@functools.lru_cache(maxsize=2)
def matcher_for(params: MatchParams, device: str = "auto") -> Matcher:
    """Return the Matcher that `params` ask for, with its encoder; raises InputError.

    The last ones are kept: files of weights must not change while a process runs.
    """
    return load_matcher(params, encoder_for(params, choose_device(device)))


def encoder_for(params: MatchParams, device: torch.device) -> Encoder:
    """Return the encoder that `params` ask for; raises InputError."""
    return load_encoder(
        params.encoder_weights, params.encoder_seed, device, params.encoder_precision
    )


def check_networks(source: object, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise InputError unless a matcher's networks are those that `source` was made with."""
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            key = name.replace("_", "-")
            raise InputError(
                f"{source} was made with {key} {_shown(expected, name)}, not with "
                f"{_shown(found, name)}; name that file with --{key}"
            )


def _shown(networks: Mapping[str, str], name: str) -> str:
    default = MatchParams.model_fields[name].default or "none"
    return f"sha256 {networks[name][:12]}" if name in networks else default
