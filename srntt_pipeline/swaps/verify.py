"""Whether swap shards are whole, make sense, and are those of a data set."""

from collections.abc import Callable, Iterator
from pathlib import Path

from srntt_pipeline.config import SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import sha256
from srntt_pipeline.hdf5 import is_intact
from srntt_pipeline.images import read_bytes
from srntt_pipeline.layout import TrainPair, read_train_pairs
from srntt_pipeline.swaps.references import ref_file
from srntt_pipeline.swaps.shards import Shards, StoredSwap


def verify_shards(
    folder: Path, *, dataset: Path | None = None, say: Callable[[str], None] = print
) -> str:
    """Check seals, index, shapes and ranges of all swaps, with `dataset` its images' hashes.

    `say` is called with each finding. Returns a line that says all is well; raises InputError that
    counts the findings when there are some.
    """
    shards = Shards(folder)
    pairs = {pair.name: pair for pair in read_train_pairs(dataset)} if dataset else None
    count = 0
    for finding in _findings(shards, pairs):
        say(finding)
        count += 1
    if count:
        raise InputError(
            f"{folder}: {count} findings; run precompute-swaps again, it remakes what is wrong"
        )
    of = f", of the images in {dataset}" if dataset else ""
    return f"OK: {len(shards.names)} pairs in {len(shards.files)} shards{of}"


def _findings(shards: Shards, pairs: dict[str, TrainPair] | None) -> Iterator[str]:
    listed = dict.fromkeys(shards.files)
    for path in sorted(shards.folder.glob("shard-*.h5")):
        if path not in listed:
            yield f"{path}: not in the index"
    for path in listed:
        try:
            shards.check(path)
        except InputError as error:
            yield str(error)
            continue
        if not is_intact(path):
            yield f"{path}: its seal is broken"
            continue
        for name in shards.names_in(path):
            yield from _problems(shards, path, name, pairs)
    for name in pairs or ():
        if name not in shards:
            yield f"{shards.folder}: holds no swap of the pair {name}"


def _problems(
    shards: Shards, path: Path, name: str, pairs: dict[str, TrainPair] | None
) -> Iterator[str]:
    """Yield what is wrong with one pair; to read it is to check it."""
    try:
        swap = shards[name]
        if shards.has_maps:
            shards.maps(name)
    except InputError as error:
        yield str(error)
        return
    if pairs is not None:
        yield from (f"{path}, {name}: {line}" for line in _images(swap, pairs, shards.params))


def _images(swap: StoredSwap, pairs: dict[str, TrainPair], params: SwapParams) -> Iterator[str]:
    if swap.name not in pairs:
        yield "the data set has no such pair"
        return
    pair = pairs[swap.name]
    ref = ref_file(pair, params)
    for path, made_from in ((pair.hr, swap.hr_sha256), (ref, swap.ref_sha256[0])):
        try:
            if sha256(read_bytes(path)) != made_from:
                yield f"{path} is not the image that it was made from"
        except InputError as error:
            yield str(error)
