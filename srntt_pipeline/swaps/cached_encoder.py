"""An encoder that remembers, for references that several pairs share."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from srntt_pipeline.files import sha256
from srntt_pipeline.images import RGB
from srntt_pipeline.maps import Maps
from srntt_pipeline.swaps.dense import DenseMaps
from srntt_pipeline.swaps.encoder import Encoder

_Key = tuple[str, tuple[int, ...], tuple[str, ...]]
_DENSE = {False: ("dense",), True: ("dense", "texture")}  # in place of layers, by `texture`


class CachedEncoder(Encoder):
    """`encoder`, keeping the maps that it made last, up to `room` bytes.

    Images are told apart by their pixels, so versions of equal files are equal too.
    """

    def __init__(self, encoder: Encoder, room: int) -> None:
        super().__init__(encoder.features, encoder.identity, encoder.precision)
        self.to(encoder.mean.device)
        self._room = room
        self._kept: OrderedDict[_Key, Maps | DenseMaps] = OrderedDict()

    def dense(self, image: RGB, *, texture: bool = False) -> DenseMaps:
        """Return the dense maps of an image, with what was made of them before."""
        key = _key(image, _DENSE[texture])
        found = self._kept.get(key)
        made = found if isinstance(found, DenseMaps) else super().dense(image, texture=texture)
        self._keep(key, made)
        return made

    def _encode_batch(self, images: Sequence[RGB], layers: Sequence[str]) -> list[Maps]:
        keys = [_key(image, layers) for image in images]
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in self._kept}
        made: dict[_Key, Any] = dict(self._kept)
        if new:
            made |= zip(new, super()._encode_batch(list(new.values()), layers), strict=True)
        for key in keys:
            self._keep(key, made[key])
        return [made[key] for key in keys]

    def _keep(self, key: _Key, made: Maps | DenseMaps) -> None:
        if key not in self._kept:
            if not isinstance(made, DenseMaps):
                # A copy: what is kept must not hold on to the memory of a batch.
                made = {layer: values.clone() for layer, values in made.items()}
            self._kept[key] = made
            self._room -= _bytes(made)
        self._kept.move_to_end(key)
        while self._room < 0:
            self._room += _bytes(self._kept.popitem(last=False)[1])


def _key(image: RGB, layers: Sequence[str]) -> _Key:
    return sha256(image.tobytes()), image.shape, tuple(layers)


def _bytes(made: Maps | DenseMaps) -> int:
    return made.nbytes if isinstance(made, DenseMaps) else maps_bytes(made)


def maps_bytes(maps: Maps) -> int:
    """Return how many bytes the values of `maps` take."""
    return sum(values.nbytes for values in maps.values())
