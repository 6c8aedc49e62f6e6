"""What a training pair takes of a worker's memory, by the headers of its files."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from srntt_pipeline import memory
from srntt_pipeline.config import SwapParams
from srntt_pipeline.images import SCALE, read_size
from srntt_pipeline.layout import TrainPair
from srntt_pipeline.maps import CHANNELS, FLOAT_BYTES, STRIDE, VALUES
from srntt_pipeline.swaps.matcher import Matcher
from srntt_pipeline.swaps.references import ref_file

# Bytes for each pixel: swapped maps; with their largest layer once more, as it is made, of HR and
# of the version in hand; without it, of the version before that.
_MAPS_BEFORE = VALUES // STRIDE**2 * FLOAT_BYTES
_MAPS = _MAPS_BEFORE + CHANNELS["relu1_1"] * FLOAT_BYTES
_STORED = 128 << 20  # a shard in the making, as HDF5 keeps it


@dataclass(frozen=True)
class PairMemory:
    """What a pair takes of a worker's memory, in bytes.

    `least`: what the worker must have in all; `taken`: the part of it that the sizes of the pair's
    images decide; `maps`: the part of that for swapped maps that are stored. `ahead`: what reading
    the pair takes while another is matched, beside all that.
    """

    least: int = 0
    taken: int = 0
    maps: int = 0
    ahead: int = 0


def pair_memory(pair: TrainPair, params: SwapParams, matcher: Matcher) -> PairMemory:
    """Return what a pair takes; a file without an image's header counts as none.

    The job that reads it says what is wrong with it.
    """
    files = pair.hr, ref_file(pair, params)
    stored = [read_size(file) for file in files]
    if not all(map(any, stored)):
        return PairMemory()
    hr, ref = stored
    lr = hr[0] // SCALE, hr[1] // SCALE
    if params.references == "lr":
        ref = lr
    images = memory.image_bytes([hr, ref])
    decoding = max(memory.decoding_bytes(*one) for one in zip(stored, files, strict=True))
    maps = _STORED + maps_bytes(hr, ref, matcher) if params.store == "maps" else 0
    taken = matcher.taken(lr, [ref]) + memory.image_bytes([hr]) + maps
    # The pair before it is let go of only afterwards.
    reading = memory.START_MEMORY + 2 * images + decoding
    return PairMemory(max(memory.LEAST_TO_MATCH + taken, reading), taken, maps, images + decoding)


def largest(needs: Iterable[PairMemory]) -> PairMemory:
    """Return the most of each that any of several pairs takes."""
    return PairMemory(*map(max, zip(*map(astuple, needs), strict=True)))


def maps_bytes(hr: memory.Size, ref: memory.Size, matcher: Matcher) -> int:
    """Return what swapped maps and those that they are made of take."""
    version = memory.pixels(ref) * max(1.0, matcher.largest_scale) ** 2
    each = _MAPS + (_MAPS_BEFORE if len(matcher.versions) > 1 else 0)
    return int(_MAPS * memory.pixels(hr) + each * version)


def check_pairs(
    pairs: Iterable[TrainPair], params: SwapParams, matcher: Matcher, max_memory: int
) -> None:
    """Raise InputError that names the pair that needs most, where `max_memory` is too little."""
    needs = {pair: pair_memory(pair, params, matcher).least for pair in pairs}
    if needs:
        most = max(needs, key=lambda pair: needs[pair])
        height, width = read_size(most.hr)
        name = f"the pair {most.name} ({most.hr}: {width}×{height} px)"
        memory.check(max_memory, needs[most], name)
