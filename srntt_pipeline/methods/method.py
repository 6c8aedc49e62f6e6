"""What methods and references are called in tables, as in the paper's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srntt_pipeline.checkpoints import CheckpointInfo, checkpoints_in, load_checkpoint
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import fingerprint
from srntt_pipeline.methods.warp import HR_WARP
from srntt_pipeline.variants import VARIANTS

BICUBIC, SISR = "Bicubic", " (SISR)"
# References beside L1, L2, …: the LR image as its own; all in one search; all in one image; the one
# that matches best; none, for methods that take none.
LR, ALL, STITCHED, BEST, NONE = "LR", "all", "stitched", "best", "none"

# The paper's names of what is trained here; other rows of its tables are other people's methods.
OURS = (
    BICUBIC,
    "SRNTT-l2 (SISR)",
    "SRNTT-l2",
    "SRNTT",
    "SRNTT-flow",
    "SRNTT [relu1]",
    "SRNTT [relu2]",
    "SRNTT [relu3]",
    "SRNTT [relu1/2]",
    "SRNTT [relu1/2/3]",
    "SRNTT without texture loss",
    "SRNTT with texture loss",
)


def takes_references(method: str) -> bool:
    """Whether the method of that name takes other references than LR itself."""
    return SISR not in method


def method_name(info: CheckpointInfo) -> str:
    """Return what tables call the method of a checkpoint: the paper's name, if it has one."""
    return VARIANTS[info.model].method if info.model in VARIANTS else info.model


@dataclass(frozen=True)
class Method:
    """A checkpoint under the name that tables call it by.

    `identity`: hash of the weights, of the encoder and of how references are swapped; `swapped_by`:
    the same without the weights, alike for methods that share correspondences and swapped maps.
    `sisr`: its SR with LR as its own reference is the paper's SISR too.
    """

    name: str
    checkpoint: Path
    identity: str
    swapped_by: str
    sisr: bool


def read_methods(checkpoints: Sequence[Path]) -> tuple[Method, ...]:
    """Return the methods of checkpoints, whose weights are checked; a folder can hold several.

    Several checkpoints of one method are told apart by their hash: `SRNTT-l2 #1a2b3c`. A method of
    which the paper has a SISR row stands for that too, unless a checkpoint was trained for it.
    Raises InputError.
    """
    loaded = [load_checkpoint(one) for path in checkpoints for one in checkpoints_in(path)]
    hashes = [one.info.weights_sha256 for one in loaded]
    if len(set(hashes)) < len(hashes):
        raise InputError(f"{checkpoints[-1]}: the same weights are given twice; name each once")
    names = Counter(method_name(one.info) for one in loaded)
    methods = []
    for one in loaded:
        info = one.info.model_dump(mode="json")
        name = method_name(one.info)
        if names[name] > 1:
            name = f"{name} #{one.info.weights_sha256[:6]}"
        made_by = {key: info[key] for key in ("weights_sha256", "encoder", "swaps", "networks")}
        swapped_by = [
            one.info.encoder and one.info.encoder.sha256,
            one.info.swaps and one.info.swaps.matched_by,
            one.info.networks,
        ]
        sisr = method_name(one.info) + SISR
        methods.append(
            Method(
                name,
                one.path,
                fingerprint(made_by),
                fingerprint(swapped_by),
                sisr in OURS and sisr not in names,
            )
        )
    return tuple(sorted(methods, key=_rank))


def _rank(method: Method) -> int:
    """Return the place of a method: as in the paper's tables, others behind in the order given."""
    name = method.name.split(" #")[0]
    return OURS.index(name) if name in OURS else len(OURS)


def reference_rank(reference: str) -> tuple[int, str]:
    """Return the place of a reference in Table 2: HR (warp), L1, L2, …, LR, then the others."""
    others = (NONE, HR_WARP, "L", LR, ALL, STITCHED, BEST)
    level = reference[:1] == "L" and reference[1:].isdigit()
    key = "L" if level else reference
    return (others.index(key) if key in others else len(others), reference)
