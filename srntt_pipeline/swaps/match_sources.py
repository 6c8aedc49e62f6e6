"""Where the patches of a correspondence come from, in the references as they were given."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from srntt_pipeline.images import RGB
from srntt_pipeline.maps import CELLS, STRIDE, to_image, to_tensor
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.matching.patches import PATCH, PatchNumbers
from srntt_pipeline.swaps.dense import channels_last, gather_cells, shift_of
from srntt_pipeline.swaps.references import Augmentation, augment, every_version
from srntt_pipeline.swaps.swap import swap_layers

PATCH_PX = PATCH * STRIDE  # side of a patch in the image that its map is of


@dataclass(frozen=True)
class Match:
    """What is drawn: HR and LR↑, the references, and the correspondence of LR↑ with them.

    `tried`: the versions of each reference, in the order that the correspondence numbers them.
    """

    hr: RGB
    lr_up: RGB
    refs: Sequence[RGB]
    tried: Sequence[Augmentation]
    found: Correspondence


@dataclass(frozen=True)
class Sources:
    """Where each LR patch was found, arrays [h-2, w-2].

    `ref` and `version`: which reference, and which of its versions; `corners` float [h-2, w-2, 4,
    2]: x and y of the patch's corners in the reference as it was given, px.
    """

    ref: npt.NDArray[np.int64]
    version: npt.NDArray[np.int64]
    corners: npt.NDArray[np.float64]

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """x and y of the patches' centres, px, float [h-2, w-2, 2]."""
        return self.corners.mean(axis=2)


def sources(match: Match) -> Sources:
    """Return where each LR patch was found, in the coordinates of the references as given."""
    found = match.found
    places = PatchNumbers(found.shapes).places(found.index.cpu())
    maps, top, left = (each.numpy() for each in places)
    down, right = (each.numpy() for each in shift_of(found.phases.cpu().long()))
    tried = every_version(match.refs, match.tried)
    box = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * PATCH_PX
    corners = np.zeros((*maps.shape, 4, 2))
    for number in np.unique(maps):
        here = maps == number
        x, y = STRIDE * left[here] + right[here], STRIDE * top[here] + down[here]
        in_version = np.stack([x, y], 1)[:, None] + box
        ref, version = tried[number]
        corners[here] = _undo(in_version, version, ref)
    per_ref = len(match.tried)
    return Sources(maps // per_ref, maps % per_ref, corners)


def _undo(
    places: npt.NDArray[np.float64], version: Augmentation, ref: RGB
) -> npt.NDArray[np.float64]:
    """Return `places` (x, y; px) of a version in the reference that it was made of."""
    height, width = augment(ref, Augmentation(version.scale, 0)).shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), version.rotation_deg, 1.0)
    back = cv2.invertAffineTransform(turn)
    down, right = version.shift_px
    turned = (places + np.array([right, down])) @ back[:, :2].T + back[:, 2]
    if version.scale == 1:
        return np.asarray(turned)  # cut to whole cells, not resized
    return np.asarray(turned * np.array([ref.shape[1] / width, ref.shape[0] / height]))


def paste(match: Match) -> RGB:
    """Return the image rebuilt of the matched patches, uint8 [H, W, 3]: Eq. 3 on pixels.

    12×12 px of the version that was matched at the place of each LR patch; overlaps are averaged.
    """
    tried = every_version(match.refs, match.tried)
    found = match.found.cpu()
    # The layer whose maps have the size of the image.
    swapped = swap_layers({"relu1_1": found}, lambda number: _Pixels(augment(*tried[number])))
    return to_image(swapped["relu1_1"])


class _Pixels:
    """RawMaps that are the pixels of a version themselves, uint8 [H, W, 3]."""

    def __init__(self, image: RGB) -> None:
        self._pixels = channels_last(to_tensor(image)[None])

    def cells(self, layer: str, phase: int, row: Tensor, column: Tensor) -> Tensor:
        """Return cells as RawMaps does."""
        down, right = shift_of(phase)
        side = CELLS[layer]
        return gather_cells(self._pixels, side, side * row + down, side * column + right)
