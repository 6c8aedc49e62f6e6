"""One shard of swaps: the job that matches its pairs and writes its file.

A job is small and pickled: it says which pairs, which parameters, and where to. Whoever does it, on
whatever machine, reads the images, loads the encoder and writes the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import srntt_pipeline
from srntt_pipeline.config import SwapParams
from srntt_pipeline.device import worker_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import fingerprint, sha256
from srntt_pipeline.images import RGB, crop_to_multiple, decode, downscale, read_bytes, read_size
from srntt_pipeline.layout import TrainPair
from srntt_pipeline.maps import STRIDE, VALUES, EncoderIdentity
from srntt_pipeline.memory import MAX_MEMORY, image_bytes, share
from srntt_pipeline.parallel import ahead
from srntt_pipeline.reports import report
from srntt_pipeline.swaps.cached_encoder import CachedEncoder
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.matcher import Matcher, check_networks, load_matcher
from srntt_pipeline.swaps.pair_memory import largest, pair_memory
from srntt_pipeline.swaps.references import MIN_SIDE_PX, ref_file, ref_image, versions
from srntt_pipeline.swaps.shards import ShardHeader, Shards, StoredSwap, keep_shard, write_shard
from srntt_pipeline.swaps.stored import check_ref
from srntt_pipeline.swaps.windowed import swap_features

MATCHING = 2  # what is matched with what; 2: never the corners that rotation leaves empty

# Of stored maps in one shard, before compression: a worker holds a shard twice to write it.
SHARD_BYTES = 64_000_000


@dataclass(frozen=True)
class ShardJob:
    """The swaps of `pairs`, to be written to `path`.

    `encoder`: the identity that its weights must have; `weights`: where they lie now, for
    `params.encoder_weights` may have moved. `networks`: the hashes of the matcher's others. With
    `source`, correspondences are taken from the shards there, not computed.
    """

    pairs: tuple[TrainPair, ...]
    path: Path
    params: SwapParams
    encoder: EncoderIdentity
    weights: str
    device: str
    max_memory: int = MAX_MEMORY
    source: Path | None = None
    networks: Mapping[str, str] = field(default_factory=dict)


def shard_jobs(
    pairs: Sequence[TrainPair],
    out: Path,
    params: SwapParams,
    encoder: EncoderIdentity,
    networks: Mapping[str, str],
    device: str,
    max_memory: int = MAX_MEMORY,
) -> list[ShardJob]:
    """Return a job per shard, which depend on pairs and parameters alone.

    A shard has at most `params.pairs_per_shard` pairs and SHARD_BYTES of maps, or one pair.
    """
    parts: list[list[TrainPair]] = []
    room = 0
    for pair in pairs:
        size = _maps_bytes(pair, params) if params.store == "maps" else 0
        if not parts or len(parts[-1]) == params.pairs_per_shard or size > room:
            parts.append([])
            room = SHARD_BYTES
        parts[-1].append(pair)
        room -= size
    weights = params.encoder_weights
    return [
        ShardJob(
            tuple(part),
            out / f"shard-{i:05d}.h5",
            params,
            encoder,
            weights,
            device,
            max_memory,
            networks=networks,
        )
        for i, part in enumerate(parts)
    ]


def _maps_bytes(pair: TrainPair, params: SwapParams) -> int:
    """Return the size of a pair's maps as stored, by the size in the header of HR's file."""
    height, width = read_size(pair.hr)
    return height * width // STRIDE**2 * VALUES * (2 if params.maps_dtype == "float16" else 4)


def is_made(job: ShardJob) -> tuple[str, bool]:
    """Return the fingerprint of what makes a shard, and whether it is there, whole.

    One in an older format is brought into today's.
    """
    header = _header(job)
    return header.made_from, _is_kept(job, header)


def _header(job: ShardJob) -> ShardHeader:
    return ShardHeader(job.encoder, job.params, _fingerprint(job), job.networks)


def _is_kept(job: ShardJob, header: ShardHeader) -> bool:
    return keep_shard(job.path, header, [pair.name for pair in job.pairs])


def swap_shard(job: ShardJob) -> tuple[str, bool]:
    """Write one shard unless it is there, whole.

    Returns the fingerprint of what made it, and whether it was there.
    """
    header = _header(job)
    kept = _is_kept(job, header)
    if not kept:
        write_shard(job.path, header, _swaps(job))
    return header.made_from, kept


def _fingerprint(job: ShardJob) -> str:
    """Return a hash of all that decides the shard's bytes."""
    return fingerprint(
        {
            "software": srntt_pipeline.__version__,
            "encoder": job.encoder.as_dict(),
            "matching": [MATCHING, job.params.matched_by],
            **job.networks,
            "storing": job.params.storing,
            "pairs": [
                [pair.name, _file_sha256(pair.hr), _file_sha256(ref_file(pair, job.params))]
                for pair in job.pairs
            ],
        }
    )


def _file_sha256(path: Path) -> str:
    return sha256(read_bytes(path))


def _swaps(job: ShardJob) -> Iterator[StoredSwap]:
    """Yield the swaps of a job's pairs; references that they share are encoded once."""
    source = Shards(job.source) if job.source else None
    if source and job.params.store == "correspondence":
        yield from (_copied(pair, source) for pair in job.pairs)
        return
    params = job.params
    encoder = load_encoder(
        job.weights, params.encoder_seed, worker_device(job.device), params.encoder_precision
    )
    if encoder.identity.sha256 != job.encoder.sha256:
        raise InputError(
            f"{job.source} was made with {job.encoder}, not with {encoder.identity}; name that "
            "file with --encoder-weights"
        )
    if source:
        encoder = CachedEncoder(encoder, share(job.max_memory))
        swaps = (_copied(pair, source) for pair in job.pairs)
    else:
        matcher = load_matcher(job.params, encoder)
        check_networks(f"the index of {job.path.parent}", job.networks, matcher.networks)
        needs = largest(pair_memory(pair, job.params, matcher) for pair in job.pairs)
        read = partial(read_images, params=job.params)
        images: Iterable[PairImages]
        if needs.least + needs.ahead <= job.max_memory:  # the next pair is decoded meanwhile
            images, room = ahead(read, job.pairs), job.max_memory - needs.ahead
        else:
            images, room = map(read, job.pairs), job.max_memory
        kept = share(room - needs.taken)
        if matcher.learnt and params.store == "maps":  # VGG19 is asked for maps too
            kept //= 2
        matcher = matcher.with_encoders(lambda one: CachedEncoder(one, kept))
        encoder = matcher.encoder
        swaps = (match_pair(pair, matcher, room - needs.maps) for pair in images)
    for pair, swap in zip(job.pairs, swaps, strict=True):
        if job.params.store == "maps":
            swap = _with_maps(swap, job.source or job.path.parent, pair, job.params, encoder)
        report(pair.name)
        yield swap


@dataclass(frozen=True)
class PairImages:
    """A pair's images, uint8 [H, W, 3], HR cut to multiples of 4 px, and their files' hashes."""

    name: str
    hr: RGB
    ref: RGB
    hr_sha256: str
    ref_sha256: str


def read_images(pair: TrainPair, params: SwapParams) -> PairImages:
    """Read a pair; raise InputError where an image is damaged or below 12 px a side."""
    ref_path = ref_file(pair, params)
    hr, ref = read_bytes(pair.hr), read_bytes(ref_path)
    return PairImages(
        pair.name,
        crop_to_multiple(decode(hr, pair.hr, min_side=MIN_SIDE_PX, grey=True)),
        ref_image(decode(ref, ref_path, min_side=MIN_SIDE_PX, grey=True), params),
        sha256(hr),
        sha256(ref),
    )


def match_pair(pair: PairImages, matcher: Matcher, max_memory: int) -> StoredSwap:
    """Match a pair, in `max_memory` bytes of the process."""
    room = max_memory - image_bytes([pair.hr.shape[:2]])
    found = matcher.match(downscale(pair.hr), [pair.ref], max_memory=room)
    return StoredSwap(pair.name, pair.hr_sha256, (pair.ref_sha256,), found)


def _copied(pair: TrainPair, source: Shards) -> StoredSwap:
    """Return the swap of a pair from other shards, if they are of the same images."""
    swap = source[pair.name]
    ref = ref_file(pair, source.params)
    for path, made_from in ((pair.hr, swap.hr_sha256), (ref, swap.ref_sha256[0])):
        source.image_bytes(path, made_from)
    return swap


def _with_maps(
    swap: StoredSwap, source: Path, pair: TrainPair, params: SwapParams, encoder: Encoder
) -> StoredSwap:
    path = ref_file(pair, params)
    ref = ref_image(decode(read_bytes(path), path), params)
    check_ref(swap, source, ref.shape[:2], versions(params))
    swapped = swap_features(swap.correspondence, [ref], versions(params), encoder)
    return replace(swap, maps=swapped.maps)
