"""SRNTT as a method: a network that is fed with swapped maps, in all of the paper's variants."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srntt_pipeline.files import fingerprint
from srntt_pipeline.images import RGB
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.memory import Size
from srntt_pipeline.methods.method import ALL, BEST, LR, NONE, PAPER_ALL, RANDOM, Method
from srntt_pipeline.methods.restorer import Restorer, load_restorer
from srntt_pipeline.methods.scene import Scene
from srntt_pipeline.network_files import AS_NAMED, NetworkFiles
from srntt_pipeline.swaps.match_sources import Match
from srntt_pipeline.swaps.windowed import KeptMaps
from srntt_pipeline.text import valid
from srntt_pipeline.variants import VARIANTS, Variant

_RANDOM = (
    "SOME ENCODERS ARE A RANDOM VGG19, not ImageNet's (they are called random below): numbers of "
    "these methods show that the pipeline works, not how good the methods are."
)
_KEPT_BYTES = 512 << 20  # swapped maps of one megapixel of SR; larger images are swapped again


@dataclass(frozen=True)
class Srntt(Method):
    """A checkpoint of SRNTT under the name that tables call it by.

    `made_by`: a hash of the weights, of the encoder and of how references are swapped; `shares`:
    the same without the weights, alike for methods that share correspondences and swapped maps.
    `alone`: it takes no reference, and LR is its own (the paper's SISR).
    """

    name: str
    checkpoint: Path = field()
    made_by: str = field()
    shares: str = field()
    alone: bool = False
    files: NetworkFiles = AS_NAMED
    trained_on = "pillow"

    def __post_init__(self) -> None:
        object.__setattr__(self, "matches", not self.alone)

    def takes(self, reference: str) -> bool:
        """Tell whether it takes the reference: any, or none at all."""
        return self.alone == (reference == NONE)

    def identity(self, scene: Scene, reference: str) -> str:
        """Return the hash of weights, encoder and swaps."""
        return self.made_by

    def super_resolve(self, scene: Scene, reference: str) -> RGB:
        """Return SR; correspondences and swapped maps are shared through the scene."""
        restorer = self._restorer(scene.device)
        used = LR if reference == NONE else reference
        if scene.max_memory is not None:  # one image alone, within a bound: nothing to share
            return restorer.super_resolve(scene.lr, scene.images(used), max_memory=scene.max_memory)
        if used == BEST:
            used = self._best(scene, restorer)
        if used == RANDOM:
            used = scene.drawn
        if used == LR:  # what SISR makes with `none`, and this with `LR`, is one image
            return scene.share((self.made_by, LR), lambda: self._sr(scene, restorer, LR))
        return self._sr(scene, restorer, used)

    def _sr(self, scene: Scene, restorer: Restorer, reference: str) -> RGB:
        found = self._correspondence(scene, restorer, reference)
        key = self.shares, reference
        kept = scene.share_last("swapped maps", key, lambda: KeptMaps(_KEPT_BYTES))
        return restorer.super_resolve(scene.lr, scene.images(reference), found, kept=kept)

    def _correspondence(self, scene: Scene, restorer: Restorer, reference: str) -> Correspondence:
        """Return the correspondence; methods of the same encoder and swaps share it."""

        def search() -> Correspondence:
            if reference not in (ALL, PAPER_ALL):
                return restorer.match(scene.lr, scene.images(reference))
            # The best match over all references is the best of each one's best.
            first, *others = [
                self._correspondence(scene, restorer, level) for level in scene.levels(reference)
            ]
            return sum(others, start=first)

        return scene.share((self.shares, reference), search)

    def _best(self, scene: Scene, restorer: Restorer) -> str:
        """Return the level of the highest mean S*; of equal ones the first."""
        means = {
            level: float(self._correspondence(scene, restorer, level).cosine.mean())
            for level in scene.references
        }
        return max(means, key=lambda level: means[level])

    def notes(self, device: str) -> list[str]:
        """Return which checkpoint, encoder and swaps made its numbers."""
        restorer = self._restorer(device)
        info = restorer.checkpoint.info
        swaps = ", ".join(f"{key} {value}" for key, value in restorer.swaps.matched_by.items())
        if learnt := restorer.matcher.learnt:
            swaps += f", by the maps of {learnt.identity}"
        own = " LR is its own reference." * self.alone
        if restorer.swaps != info.swaps:
            own += " It was trained with matches in tf32, which this device lacks."
        return [
            *([_RANDOM] if restorer.encoder.identity.is_random else []),
            f"{self.name}: {info.origin}, checkpoint {valid(restorer.checkpoint.path.name)} "
            f"(sha256 {info.weights_sha256[:12]}).{own} Encoder: {restorer.encoder.identity}. "
            f"Swaps: {swaps}; LR↑ and Ref↓↑ by {restorer.matcher.upscaler}.",
        ]

    def parameters(self) -> int:
        """Return the weights of the network, without those of the encoder."""
        model = self._restorer("cpu").checkpoint.model
        return sum(weight.numel() for weight in model.parameters())

    def facts(self) -> Mapping[str, Any]:
        """Return what the checkpoint's JSON says."""
        return self._restorer("cpu").checkpoint.info.model_dump(mode="json")

    def match(self, scene: Scene, hr: RGB) -> Match:
        """Return what the patches of LR were matched with in all references together."""
        restorer = self._restorer(scene.device)
        found = self._correspondence(scene, restorer, ALL)
        lr_up = restorer.matcher.upscaler(scene.lr)
        return Match(hr, lr_up, scene.images(ALL), restorer.versions, found)

    def least_memory(self, lr: Size, refs: Sequence[Size], device: str) -> int:
        """Return the bytes below which a process cannot super-resolve images of these sizes."""
        return self._restorer(device).least_memory(lr, refs or [lr])

    def _restorer(self, device: str) -> Restorer:
        return load_restorer(self.checkpoint, device, self.files)


def srntt(name: str, path: Path, info: Any, files: NetworkFiles) -> Srntt:
    """Return the method of a checkpoint of SRNTT that `info` describes."""
    content = info.model_dump(mode="json")
    made_by = {key: content[key] for key in ("weights_sha256", "encoder", "swaps", "networks")}
    shares = [
        info.encoder and info.encoder.sha256,
        info.swaps and info.swaps.matched_by,
        info.networks,
    ]
    variant = VARIANTS.get(info.model)
    alone = variant is not None and variant.references == "lr"
    return Srntt(name, path, fingerprint(made_by), fingerprint(shares), alone, files)


def sisr_of(variant: Variant) -> Variant | None:
    """Return the variant of which a row is filled by this one's network too: with LR as reference.

    The paper's row SRNTT-ℓ2 (SISR) equals Table 2's SRNTT-ℓ2 at LR: it is one network.
    """
    for other in VARIANTS.values():
        # Steps on the maps of HR are of training: trained with LR as reference there are none.
        same = dataclasses.replace(
            variant, name=other.name, method=other.method, references="lr",
            truth_share=other.truth_share,
        )  # fmt: skip
        if variant.references != "lr" and same == other:
            return other
    return None
