"""How LR is matched with its references, as the parameters say: one way for every caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srntt_pipeline.config import BICUBIC, MatchParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB
from srntt_pipeline.swaps.correspondence import MAX_MEMORY, Correspondence
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.references import Augmentation, versions
from srntt_pipeline.swaps.swap import correspond
from srntt_pipeline.swaps.upscaler import Upscaler, load_upscaler


@dataclass(frozen=True)
class Matcher:
    """Matching by `encoder`, of LR↑ and Ref↓↑ by `upscaler`, with `versions` of each reference."""

    encoder: Encoder
    upscaler: Upscaler
    versions: Sequence[Augmentation]

    @property
    def networks(self) -> dict[str, str]:
        """The SHA-256 of each network in use beside the encoder, by the parameter that names it."""
        return self.upscaler.networks

    def correspond(
        self, lr: RGB, refs: Sequence[RGB], *, max_memory: int = MAX_MEMORY
    ) -> Correspondence:
        """Return the correspondence of LR↑ with all versions of `refs`, by reference first.

        `lr`: uint8 [h, w, 3], `refs`: uint8 [H, W, 3] each; `max_memory`: as in `swap.correspond`.
        """
        return correspond(
            self.upscaler(lr),
            refs,
            self.versions,
            self.encoder,
            upscaler=self.upscaler,
            max_memory=max_memory,
        )


def load_matcher(params: MatchParams, encoder: Encoder) -> Matcher:
    """Return the Matcher that `params` ask for, on the encoder's device; raises InputError."""
    upscaler = load_upscaler(params.upscaler, encoder.mean.device)
    return Matcher(encoder, upscaler, versions(params))


def check_networks(source: object, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise InputError unless a matcher's networks are those that `source` was made with."""
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{source} was made with {name} {_shown(expected, name)}, not with "
                f"{_shown(found, name)}; name that file with --{name}"
            )


def _shown(networks: Mapping[str, str], name: str) -> str:
    return f"sha256 {networks[name][:12]}" if name in networks else BICUBIC
