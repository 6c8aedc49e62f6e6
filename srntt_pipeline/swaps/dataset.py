"""Training pairs with their swapped maps, as a PyTorch data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from torch import Tensor
from torch.utils.data import Dataset

from srntt_pipeline.errors import InputError
from srntt_pipeline.files import sha256
from srntt_pipeline.images import RGB, crop_to_multiple, decode, downscale, read_bytes
from srntt_pipeline.layout import TrainPair
from srntt_pipeline.swaps.encoder import Encoder, Maps, to_tensor
from srntt_pipeline.swaps.references import augmentations
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.swap import swap_features


class SwappedPair(TypedDict):
    """A training pair as tensors on the CPU, float32.

    `lr` [3, h, w] and `hr` [3, 4h, 4w] in [0, 1]; `maps` M_l by layer: relu3_1 [256, h, w], relu2_1
    [128, 2h, 2w], relu1_1 [64, 4h, 4w]; `weight` S* [1, h, w] in [0, 1].
    """

    name: str
    lr: Tensor
    hr: Tensor
    maps: Maps
    weight: Tensor


class SwappedPairs(Dataset[SwappedPair]):
    """The pairs of a data set with the swapped maps that their shards tell.

    Maps are rebuilt by encoding the reference versions in use and gathering; up to `cache_bytes`
    of pairs are kept in memory. `encoder` must be the one that made the shards. Raises InputError
    when it is not, and when an image is not the one a swap was made from.
    """

    def __init__(
        self, pairs: Sequence[TrainPair], shards: Shards, encoder: Encoder, cache_bytes: int = 0
    ) -> None:
        if encoder.identity.sha256 != shards.encoder.sha256:
            raise InputError(
                f"{shards.folder} was made with {shards.encoder}, not with {encoder.identity}"
            )
        self.pairs = pairs
        self._shards, self._encoder = shards, encoder
        self._versions = augmentations(shards.params.scales, shards.params.rotations_deg)
        self._cache: dict[int, SwappedPair] = {}
        self._room = cache_bytes

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> SwappedPair:
        if index in self._cache:
            return self._cache[index]
        pair = self.pairs[index]
        stored = self._shards[pair.name]
        ref = self._image(pair.ref, stored.ref_sha256[0])
        swapped = swap_features(stored.correspondence, [ref], self._versions, self._encoder)
        maps = {layer: maps.cpu() for layer, maps in swapped.maps.items()}
        lr, hr = self.lr_hr(index)
        item = SwappedPair(name=pair.name, lr=lr, hr=hr, maps=maps, weight=swapped.weight.cpu())
        size = sum(tensor.nbytes for tensor in (lr, hr, item["weight"], *maps.values()))
        # Pairs come in random order, so the first that fit are as good to keep as any.
        if size <= self._room:
            self._room -= size
            self._cache[index] = item
        return item

    def lr_hr(self, index: int) -> tuple[Tensor, Tensor]:
        """Return LR and HR of a pair without its maps, which take far longer."""
        pair = self.pairs[index]
        hr = crop_to_multiple(self._image(pair.hr, self._shards[pair.name].hr_sha256))
        return to_tensor(downscale(hr)), to_tensor(hr)

    def _image(self, path: Path, made_from: str) -> RGB:
        content = read_bytes(path)
        if sha256(content) != made_from:
            raise InputError(
                f"{path} is not the image that {self._shards.folder} was made from; run "
                "precompute-swaps again"
            )
        return decode(content, path)
