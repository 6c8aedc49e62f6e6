"""Training pairs with their swapped maps, as a PyTorch data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB, crop_to_multiple, decode, downscale
from srntt_pipeline.layout import TrainPair, read_train_pairs
from srntt_pipeline.maps import Maps, to_tensor
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.references import ref_file, ref_image, versions
from srntt_pipeline.swaps.shards import Shards, StoredSwap
from srntt_pipeline.swaps.stored import check_lr, check_ref
from srntt_pipeline.swaps.swap import weight_map
from srntt_pipeline.swaps.turning import turned_correspondence
from srntt_pipeline.swaps.windowed import swap_features
from srntt_pipeline.views import AS_IT_IS, View, turned_size


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
    """The pairs of a data set with the swapped maps that their shards hold or tell.

    Stored maps are read. Others are rebuilt by encoding the reference versions in use, on the
    encoder's device, and gathering: `encoder` must be the one that made the shards; it may be None
    where maps are stored. Up to `cache_bytes` of pairs are kept in memory, shared evenly by the
    workers of a DataLoader, which may start them in any way; a pair turned is another pair there.
    Raises InputError when encoder or images are not those that the swaps were made with.
    """

    def __init__(
        self,
        pairs: Sequence[TrainPair],
        shards: Shards,
        encoder: Encoder | None,
        cache_bytes: int = 0,
    ) -> None:
        if encoder is None and not shards.has_maps:
            raise InputError(f"{shards.folder} holds no maps: {shards.encoder} must rebuild them")
        if encoder is not None and encoder.identity.sha256 != shards.encoder.sha256:
            raise InputError(
                f"{shards.folder} was made with {shards.encoder}, not with {encoder.identity}"
            )
        self.pairs = pairs
        self._shards, self._encoder = shards, encoder
        self._versions = versions(shards.params)
        self._cache: dict[tuple[int, int], SwappedPair] = {}  # by index and way
        self._cached_bytes, self._cache_bytes = 0, cache_bytes

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}, "_cached_bytes": 0}  # gigabytes stay where they are

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> SwappedPair:
        return self.seen(index, AS_IT_IS)

    def seen(self, index: int, view: View) -> SwappedPair:
        """Return a pair in a view: LR is made of the view of HR, maps of that of the reference.

        The correspondence is that of the pair as it is, turned. Pairs in other colours are not kept
        in memory: hardly any is asked for twice. Raises InputError for a view of stored maps.
        """
        key = index, view.way
        if view.colour is None and key in self._cache:
            return self._cache[key]
        pair = self.pairs[index]
        stored = self._shards[pair.name]
        lr, hr = self._lr_hr(pair, stored, view)
        check_lr(stored, self._shards.folder, turned_size(lr.shape[1], lr.shape[2], view.way))
        maps, weight = self._swapped(pair, stored, view)
        item = SwappedPair(name=pair.name, lr=lr, hr=hr, maps=maps, weight=weight)
        size = sum(tensor.nbytes for tensor in (lr, hr, weight, *maps.values()))
        # Pairs come in random order, so the first that fit are as good to keep as any.
        worker = get_worker_info()
        room = self._cache_bytes // (worker.num_workers if worker else 1)
        if view.colour is None and self._cached_bytes + size <= room:
            self._cached_bytes += size
            self._cache[key] = item
        return item

    def lr_hr(self, index: int, view: View = AS_IT_IS) -> tuple[Tensor, Tensor]:
        """Return LR and HR of a pair without its maps, which take far longer."""
        pair = self.pairs[index]
        return self._lr_hr(pair, self._shards[pair.name], view)

    def reference(self, index: int) -> RGB | None:
        """Return the reference of a pair; raise InputError if it has changed.

        Where maps are stored its file is not needed: None if it has changed or is not there.
        """
        pair, params = self.pairs[index], self._shards.params
        try:
            image = self._image(ref_file(pair, params), self._shards[pair.name].ref_sha256[0])
        except InputError:
            if self._shards.has_maps:
                return None
            raise
        return ref_image(image, params)

    def _swapped(self, pair: TrainPair, stored: StoredSwap, view: View) -> tuple[Maps, Tensor]:
        if self._shards.has_maps:
            if view != AS_IT_IS:
                raise no_views(self._shards)
            return self._shards.maps(pair.name), weight_map(stored.correspondence)
        assert self._encoder is not None  # as __init__ saw to
        params = self._shards.params
        image = self._image(ref_file(pair, params), stored.ref_sha256[0])
        ref = ref_image(view.recoloured(image), params)
        check_ref(stored, self._shards.folder, ref.shape[:2], self._versions)
        found = turned_correspondence(stored.correspondence, view.way)
        swapped = swap_features(found, [ref], self._versions, self._encoder, view.way)
        return {layer: maps.cpu() for layer, maps in swapped.maps.items()}, swapped.weight.cpu()

    def _lr_hr(self, pair: TrainPair, stored: StoredSwap, view: View) -> tuple[Tensor, Tensor]:
        hr = view.of(crop_to_multiple(self._image(pair.hr, stored.hr_sha256)))
        return to_tensor(downscale(hr)), to_tensor(hr)

    def _image(self, path: Path, made_from: str) -> RGB:
        return decode(self._shards.image_bytes(path, made_from), path, grey=True)


def open_swapped_pairs(
    dataset: Path,
    swaps: Path,
    *,
    device: str = "auto",
    encoder_weights: str | None = None,
    cache_bytes: int = 0,
) -> SwappedPairs:
    """Return all training pairs of `dataset` with the maps that `swaps` holds or tells.

    `swaps`: what `precompute_swaps` wrote. `device`: where maps are rebuilt, if they are not
    stored; `cpu` for a DataLoader with workers. `encoder_weights`: where the encoder's file lies
    now, if it has moved. Up to `cache_bytes` of pairs are kept in memory. Raises InputError.
    """
    shards, pairs = Shards(swaps), read_train_pairs(dataset)
    check_swapped(shards, dataset, pairs)
    encoder = encoder_of(shards, choose_device(device), encoder_weights)
    return SwappedPairs(pairs, shards, encoder, cache_bytes)


def encoder_of(
    shards: Shards, device: torch.device, encoder_weights: str | None = None
) -> Encoder | None:
    """Return the encoder that rebuilds the maps of `shards`; None where maps are stored."""
    return None if shards.has_maps else encoder_of_maps(shards, device, encoder_weights)


def encoder_of_maps(
    shards: Shards, device: torch.device, encoder_weights: str | None = None
) -> Encoder:
    """Return the encoder that made the maps of `shards`; raise InputError for another one."""
    weights = encoder_weights or shards.params.encoder_weights
    encoder = load_encoder(
        weights, shards.params.encoder_seed, device, shards.params.encoder_precision
    )
    if encoder.identity.sha256 != shards.encoder.sha256:
        raise InputError(f"{shards.folder} was made with {shards.encoder}, not {encoder.identity}")
    return encoder


def no_views(shards: Shards) -> InputError:
    """Return what is told of stored maps that are asked for turned or in other colours."""
    return InputError(
        f"{shards.folder} holds maps, and those of a turned or recoloured image are others: they "
        "must be made anew. Store correspondences (`shards convert … --store correspondence`), or "
        "train with augment: false and colour: 0"
    )


def check_swapped(shards: Shards, dataset: Path, pairs: Sequence[TrainPair]) -> None:
    """Raise InputError unless the swaps are those of the pairs, all of them and no others."""
    names, swapped = {pair.name for pair in pairs}, set(shards.names)
    if missing := sorted(names - swapped):
        raise InputError(
            f"{shards.folder} holds no swap of the pair {missing[0]} ({len(missing)} of "
            f"{len(names)} pairs of {dataset} have none); run precompute-swaps again"
        )
    if more := sorted(swapped - names):
        raise InputError(
            f"{shards.folder} holds swaps of pairs that {dataset} lacks ({len(more)} of "
            f"{len(swapped)}, {more[0]} the first); put these back, or run precompute-swaps again"
        )
