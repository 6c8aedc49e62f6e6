"""An encoder that remembers, for references that several pairs share."""

from collections import OrderedDict
from collections.abc import Sequence

from srntt_pipeline.files import sha256
from srntt_pipeline.images import RGB
from srntt_pipeline.swaps.encoder import Encoder, Maps


class CachedEncoder(Encoder):
    """`encoder`, keeping the maps of the images it saw last, up to `room` bytes.

    Images are told apart by their pixels, so versions of equal files are equal too. Only `layers`
    are kept and returned: matching needs relu3_1 alone, a seventh of all.
    """

    def __init__(self, encoder: Encoder, layers: Sequence[str], room: int) -> None:
        super().__init__(encoder.features, encoder.identity)
        self.to(encoder.mean.device)
        self._layers, self._room = tuple(layers), room
        self._kept: OrderedDict[tuple[str, tuple[int, ...]], Maps] = OrderedDict()

    def encode(self, image: RGB) -> Maps:
        """Return the maps [C, H, W] of one image, uint8 [H, W, 3], on the encoder's device."""
        key = sha256(image.tobytes()), image.shape
        if key not in self._kept:
            maps = super().encode(image)
            # A copy: what is kept must not hold on to the memory of the other layers.
            self._kept[key] = {layer: maps[layer].clone() for layer in self._layers}
            self._room -= _size(self._kept[key])
        self._kept.move_to_end(key)
        maps = self._kept[key]
        while self._room < 0:
            self._room += _size(self._kept.popitem(last=False)[1])
        return maps


def _size(maps: Maps) -> int:
    return sum(values.nbytes for values in maps.values())
