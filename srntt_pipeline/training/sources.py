"""What a job trains on, opened and checked: pairs, swaps, references, what it starts from."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from srntt_pipeline.checkpoints import Checkpoint, load_checkpoint
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256, fingerprint
from srntt_pipeline.layout import TrainPair, read_train_pairs
from srntt_pipeline.models import entry
from srntt_pipeline.recipes import Inputs, RawReferences, Recipe, Start, WantedSwaps
from srntt_pipeline.swaps.dataset import SwappedPairs, check_swapped, encoder_of, no_views
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.training.data import HrImages, Source, check_sizes
from srntt_pipeline.training.raw_references import ReferenceImages, check_references
from srntt_pipeline.training.split import Split, split_validation


@dataclass(frozen=True)
class Sources:
    """The pairs of a job, and where their maps and references come from, or None.

    `made_from`: hashes of all that is read of them, and how they are split; `data_hash`: one of the
    pairs in use.
    """

    training: Source
    validation: Source
    split: Split
    made_from: dict[str, Any]
    data_hash: str
    shards: Shards | None = None
    references: ReferenceImages | None = None


def open_sources(
    params: Recipe,
    dataset: Path,
    swaps: Path | None,
    inputs: Collection[Inputs],
    encoder_weights: str | None,
    cache_bytes: int,
    encoder_device: torch.device,
) -> Sources:
    """Return what phases with these `inputs` read of `dataset` and `swaps`.

    Raises InputError for what is missing or does not fit together.
    """
    shards = _open_swaps(params, swaps, "maps" in inputs)
    pairs = read_train_pairs(dataset)
    if shards:
        check_swapped(shards, dataset, pairs)
        if shards.has_maps and (params.augment or params.colour):
            raise no_views(shards)
    split = split_validation(dataset, pairs, params)
    train, kept = split.training, split.validation
    check_sizes(train, params.patch_px)
    references = None
    beside: dict[str, Any] = {**split.made_from}
    if "images" in inputs:
        references, beside["references"] = _references(params, pairs)
    if shards is None:
        hashes = {pair.name: file_sha256(pair.hr) for pair in pairs}
        images = HrImages(train, hashes), HrImages(kept, hashes)
        data_hash = fingerprint([*hashes.items(), *beside.get("references", {}).items()])
        return Sources(*images, split, {"pairs": hashes, **beside}, data_hash, None, references)
    encoder = encoder_of(shards, encoder_device, encoder_weights)
    return Sources(
        SwappedPairs(train, shards, encoder, cache_bytes * 3 // 4),
        SwappedPairs(kept, shards, encoder, cache_bytes // 4),
        split,
        {"pairs": [pair.name for pair in pairs], "swaps": shards.made_from, **beside},
        shards.made_from,
        shards,
        references,
    )


def _references(
    params: Recipe, pairs: Sequence[TrainPair]
) -> tuple[ReferenceImages, dict[str, str]]:
    if not isinstance(params, RawReferences):
        raise TypeError(f"recipe {params.recipe}: a phase on images needs a RawReferences")
    check_references(pairs, params)
    hashes = {pair.name: file_sha256(pair.ref) for pair in pairs}
    return ReferenceImages(params, hashes), hashes


def _open_swaps(params: Recipe, swaps: Path | None, wanted: bool) -> Shards | None:
    if not wanted:
        if swaps:
            raise InputError(f"{swaps}: {params.recipe} is trained without swaps; leave them out")
        return None
    if swaps is None:
        raise InputError(
            f"{params.recipe} is trained on swaps: name their folder, as precompute-swaps writes it"
        )
    shards = Shards(swaps)
    if need := params.swaps():
        check_swaps(shards, need)
    return shards


def check_swaps(shards: Shards, need: WantedSwaps) -> None:
    """Raise InputError when the swaps were not made as a network needs them."""
    made: Mapping[str, Any] = shards.params.model_dump()
    matching = str(made.get("matching", "patches"))
    references = str(made.get("references", "ref"))
    flow = need.matching == "flow"
    if matching.startswith("flow") != flow:
        wanted = "flow-dis (or flow-raft)" if flow else "patches"
        raise InputError(
            f"{shards.folder} holds swaps of swaps.matching: {matching}, but {need.by} needs "
            f"swaps of swaps.matching: {wanted}: run precompute-swaps with that"
        )
    if references != need.references:
        raise InputError(
            f"{shards.folder} holds swaps of swaps.references: {references}, but {need.by} "
            f"needs swaps of swaps.references: {need.references}: run precompute-swaps with that"
        )


def load_start(path: Path, params: Recipe) -> Checkpoint:
    """Return the checkpoint at `path`; raise InputError unless the recipe may start from it."""
    wanted = params.start()
    if wanted is None:
        raise InputError(f"--content {path}: {params.recipe} starts from no checkpoint")
    checkpoint = load_checkpoint(path)
    if not wanted.model:
        if entry(checkpoint.info.model).inputs != "lr":
            raise InputError(
                f"--content {checkpoint.path}: is {checkpoint.info.model}; expected a network that "
                "is fed with LR alone"
            )
        return checkpoint
    if checkpoint.info.model != wanted.model:
        raise InputError(
            f"--content {checkpoint.path}: is {checkpoint.info.model}; expected a {wanted.model} "
            f"checkpoint, as `train {wanted.model}` writes"
        )
    _check_start(checkpoint, wanted)
    return checkpoint


def _check_start(checkpoint: Checkpoint, wanted: Start) -> None:
    takes = inspect.signature(entry(wanted.model).build).parameters
    for key, value in wanted.sizes.items():
        has = checkpoint.info.sizes.get(key, takes[key].default)
        if has != value:
            raise InputError(
                f"--content {checkpoint.path}: its {key} is {has}, that of the network's part "
                f"`{wanted.part}` is {value}; train one of equal size"
            )
