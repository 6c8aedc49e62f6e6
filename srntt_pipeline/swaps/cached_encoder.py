"""An encoder that remembers, for references that several pairs share."""

from collections import OrderedDict
from collections.abc import Sequence

from srntt_pipeline.files import sha256
from srntt_pipeline.images import RGB
from srntt_pipeline.maps import Maps
from srntt_pipeline.swaps.encoder import Encoder

_Key = tuple[str, tuple[int, ...], tuple[str, ...]]


class CachedEncoder(Encoder):
    """`encoder`, keeping the maps that it made last, up to `room` bytes.

    Images are told apart by their pixels, so versions of equal files are equal too.
    """

    def __init__(self, encoder: Encoder, room: int) -> None:
        super().__init__(encoder.features, encoder.identity)
        self.to(encoder.mean.device)
        self._room = room
        self._kept: OrderedDict[_Key, Maps] = OrderedDict()

    def _encode_batch(self, images: Sequence[RGB], layers: Sequence[str]) -> list[Maps]:
        keys = [(sha256(image.tobytes()), image.shape, tuple(layers)) for image in images]
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in self._kept}
        made = dict(self._kept)
        if new:
            made |= zip(new, super()._encode_batch(list(new.values()), layers), strict=True)
        for key in keys:
            self._keep(key, made[key])
        return [made[key] for key in keys]

    def _keep(self, key: _Key, maps: Maps) -> None:
        if key not in self._kept:
            # A copy: what is kept must not hold on to the memory of a batch.
            self._kept[key] = {layer: values.clone() for layer, values in maps.items()}
            self._room -= maps_bytes(maps)
        self._kept.move_to_end(key)
        while self._room < 0:
            self._room += maps_bytes(self._kept.popitem(last=False)[1])


def maps_bytes(maps: Maps) -> int:
    """Return how many bytes the values of `maps` take."""
    return sum(values.nbytes for values in maps.values())
