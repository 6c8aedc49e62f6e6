"""References as they are, for networks that are fed with images."""

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import default_collate

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import sha256
from srntt_pipeline.images import SCALE, decode, read_bytes, read_size
from srntt_pipeline.layout import TrainPair
from srntt_pipeline.maps import to_tensor
from srntt_pipeline.recipes import RawReferences
from srntt_pipeline.views import AS_IT_IS, View, turned

Box = tuple[int, int, int, int]  # top, left, height, width of an HR patch, px


class ReferenceImages:
    """The references of pairs, as a recipe wants them: whole, cut or padded.

    `hashes`: SHA-256 of each one's file, by the pair's name; one that has changed is refused.
    """

    def __init__(self, params: RawReferences, hashes: Mapping[str, str]) -> None:
        self._how, self._side, self._hashes = params.references, params.reference_px, hashes

    def beside(self, pair: TrainPair, box: Box, view: View = AS_IT_IS) -> Tensor:
        """Return the reference of a pair, [3, H, W] in [0, 1], for the patch of HR in `box`.

        `whole`: all of it; `cut`: what lies in the box; `pad`: what lies in a square from its
        upper left. Where the reference ends before, there are zeros. `box` is of the pair as it is;
        what is cut is turned as `view` has it.
        """
        content = read_bytes(pair.ref)
        if sha256(content) != self._hashes[pair.name]:
            raise InputError(f"{pair.ref} has changed since training started; start it again")
        reference = to_tensor(view.recoloured(decode(content, pair.ref, grey=True)))
        if self._how == "whole":
            return turned(reference, view.way)
        top, left, height, width = box if self._how == "cut" else (0, 0, self._side, self._side)
        seen = reference[:, top : top + height, left : left + width]
        seen = F.pad(seen, (0, width - seen.shape[2], 0, height - seen.shape[1]))
        return turned(seen, view.way)


def check_references(pairs: Sequence[TrainPair], params: RawReferences) -> None:
    """Raise InputError for references that cannot be cut as HR is, by the headers of the files."""
    if params.references != "cut":
        return
    for pair in pairs:
        # As stored: who decodes a file may turn it. Of one without a header, he says what is wrong.
        ref, hr = read_size(pair.ref), read_size(pair.hr)
        apart = max(abs(a - b) for a, b in zip(sorted(ref), sorted(hr), strict=True))
        if min(*ref, *hr) and apart >= SCALE:
            raise InputError(
                f"{pair.ref} is {ref[1]}×{ref[0]} px, its HR image {hr[1]}×{hr[0]}: to be cut in "
                "one box, both must be of one size; set references to pad or whole"
            )


def collate(items: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the batch of these; raise InputError for references of several sizes."""
    sizes = sorted({tuple(item["refs"].shape[1:]) for item in items if "refs" in item})
    if len(sizes) > 1:
        told = " and ".join(f"{width}×{height}" for height, width in sizes[:2])
        raise InputError(
            f"references of {told} px cannot be whole in one batch (augment turns those that are "
            "not square); set references to cut or pad, or batch_size to 1"
        )
    batch: dict[str, Tensor] = default_collate(list(items))
    return batch
