"""The correspondence of a pair that is turned and flipped, HR and reference alike.

Nothing is matched again: the matches of before, in their new places. A match begins at a pixel of a
version, so it does in the turned version, which is `references.augment`'s image turned: exactly,
since a version's sides are multiples of 4 px. Matches on the grid stay on the grid.
"""

import torch

from srntt_pipeline.maps import STRIDE
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.matching.patches import PATCH, PatchNumbers
from srntt_pipeline.swaps.dense import phase_of, shift_of
from srntt_pipeline.views import turned, turned_corner, turned_size


def turned_correspondence(found: Correspondence, way: int) -> Correspondence:
    """Return `found` for LR and versions that are turned and flipped, `way` as in `views`."""
    if way == 0:
        return found
    version, row, column = PatchNumbers(found.shapes).places(found.index)
    down, right = shift_of(found.phases.long())
    sizes = STRIDE * torch.tensor(found.shapes, device=found.index.device)[version]
    top, left = turned_corner(
        STRIDE * row + down, STRIDE * column + right, sizes[..., 0], sizes[..., 1],
        STRIDE * PATCH, way,
    )  # fmt: skip
    shapes = tuple(turned_size(height, width, way) for height, width in found.shapes)
    tensors = found.tensors()
    tensors["index"] = PatchNumbers(shapes).numbers(version, top // STRIDE, left // STRIDE)
    if "phase" in tensors:
        tensors["phase"] = phase_of(top % STRIDE, left % STRIDE).to(tensors["phase"].dtype)
    # The patches of LR, which begin at these places, are turned as a map of them.
    turned_tensors = {name: turned(values, way) for name, values in tensors.items()}
    return Correspondence(**turned_tensors, shapes=shapes)
