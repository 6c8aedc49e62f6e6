"""Precomputing the swaps of a data set's training pairs (paper section 3.1).

Each shard is a job of its own, whose file is written whole or not at all and not made twice: so
shards can be spread over processes, machines and array jobs, and a killed run loses at most the
shards in hand.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import srntt_pipeline
from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.config import SwapParams
from srntt_pipeline.device import choose_device, device_workers, worker_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import fingerprint, sha256
from srntt_pipeline.images import (
    RGB,
    crop_to_multiple,
    decode,
    downscale,
    read_bytes,
    read_size,
)
from srntt_pipeline.layout import TrainPair, read_train_pairs
from srntt_pipeline.maps import VALUES, EncoderIdentity
from srntt_pipeline.memory import MAX_MEMORY, image_bytes, share
from srntt_pipeline.outputs import Output, check_place, open_output
from srntt_pipeline.parallel import ahead, run_all
from srntt_pipeline.swaps.cached_encoder import CachedEncoder
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.matcher import Matcher, check_networks, load_matcher
from srntt_pipeline.swaps.pair_memory import check_pairs, largest, pair_memory
from srntt_pipeline.swaps.references import MIN_SIDE_PX, ref_file, ref_image, versions
from srntt_pipeline.swaps.shards import (
    INDEX,
    ShardHeader,
    Shards,
    StoredSwap,
    is_whole,
    write_index,
    write_shard,
)
from srntt_pipeline.swaps.stored import check_ref
from srntt_pipeline.swaps.swap import swap_features
from srntt_pipeline.swaps.windows import STRIDE

MATCHING = 2  # what is matched with what; 2: never the corners that rotation leaves empty

log = logging.getLogger(__name__)

_AGREEMENT_PAIRS = 8
# Of stored maps in one shard, before compression: a worker holds a shard twice to write it.
SHARD_BYTES = 64_000_000


@dataclass(frozen=True)
class ShardJob:
    """The swaps of `pairs`, to be written to `path`.

    `params.encoder_weights` may lie elsewhere than when `encoder` was first loaded: `weights` says
    where. With `source`, correspondences are taken from the shards there, not computed. `networks`:
    of the matcher, by hash.
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


def precompute_swaps(
    dataset: Path,
    out: Path,
    params: SwapParams,
    *,
    workers: int,
    device: str = "auto",
    max_memory: int = MAX_MEMORY,
    shard: ArrayPart | None = None,
    merge: bool = False,
) -> int:
    """Write the swaps of the training pairs of `dataset` as HDF5 shards; return how many.

    Shards that are there, made from the same images and parameters, are kept: a killed run resumes.
    With `shard`, only every nth is made, and no index; others can be made at once, here or
    elsewhere, with the same `out`. With `merge` all must be there, and the index is written.
    On GPUs there is one worker for each (`device.device_workers`). `max_memory`: bytes of a worker,
    at least 1.5 GiB; no result depends on it. Where it is too little for a pair, none is matched.
    Raises InputError.
    """
    check_place(out, "swaps", [dataset])  # said before anything is loaded
    chosen = choose_device(device)
    pairs = read_train_pairs(dataset)
    encoder = load_encoder(params.encoder_weights, params.encoder_seed, chosen)
    matcher = load_matcher(params, encoder)
    networks = matcher.networks
    if not merge:
        check_pairs(pairs, params, matcher, max_memory)
    jobs = shard_jobs(pairs, out, params, encoder.identity, networks, str(chosen), max_memory)
    with open_output(out, "swaps", reads=[dataset], shard=shard) as output:
        claim(jobs, output, with_index=not shard)
        if merge:
            parts = _check_made(jobs, workers)
        else:
            part = list(shard.of(jobs)) if shard else jobs
            parts = make_shards(part, workers, f"Swaps ({encoder.identity.source} VGG19, {chosen})")
        if not shard:
            finish(jobs, parts, output, _agreement(jobs, params, encoder))
            return len(pairs)
    made = sum(len(job.pairs) for job in part)
    log.info(
        "Wrote swaps of %d of %d pairs (shard %s) to %s; when all shards are done, run again "
        "with --merge",
        made, len(pairs), shard, out,
    )  # fmt: skip
    return made


def _agreement(jobs: Sequence[ShardJob], params: SwapParams, encoder: Encoder) -> float:
    """Return the share of matches that float32 finds too; say it where it is not all."""
    if params.matching != "patches" or params.precision == "float32":
        return 1.0
    agreement = float32_agreement(jobs, encoder)
    log.info(
        "Precision %s: %.2f %% of the matches (of the first pairs) are those of float32",
        params.precision, 100 * agreement,
    )  # fmt: skip
    return agreement


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


def make_shards(jobs: Sequence[ShardJob], workers: int, description: str) -> list[str]:
    """Do the jobs; return their fingerprints."""
    return run_all(
        swap_shard,
        jobs,
        workers=device_workers(jobs[0].device, workers) if jobs else 1,
        description=description,
        unit="pairs",
        size=lambda job: len(job.pairs),
    )


def float32_agreement(jobs: Sequence[ShardJob], encoder: Encoder) -> float:
    """Return the share of matches, 0…1, that float32 finds too, over the first pairs.

    They are matched anew in both precisions.
    """
    job = jobs[0]
    matcher = load_matcher(job.params, encoder)
    exact = replace(matcher, precision="float32")
    shares = []
    for pair in job.pairs[:_AGREEMENT_PAIRS]:
        images = read_images(pair, job.params)
        both = (_swap(images, way, job.max_memory).correspondence for way in (matcher, exact))
        shares.append(next(both).agreement(next(both)))
    return sum(shares) / len(shares)


def claim(jobs: Sequence[ShardJob], output: Output, *, with_index: bool = True) -> None:
    """Claim what the jobs write, and the index that `finish` writes after them."""
    output.claim([*(job.path for job in jobs), *([Path(INDEX)] if with_index else [])])


def finish(
    jobs: Sequence[ShardJob], parts: Sequence[str], output: Output, agreement: float = 1.0
) -> None:
    """Write the index over all shards, whose fingerprints are `parts`; remove our other shards.

    `agreement`: with float32, where the precision of matching is another.
    """
    job, out = jobs[0], output.folder
    header = ShardHeader(job.encoder, job.params, fingerprint(list(parts)), job.networks)
    shards = [(job.path, [pair.name for pair in job.pairs]) for job in jobs]
    write_index(out, header, shards, agreement)
    listed = {out / INDEX, *(path for path, _ in shards)}
    output.remove(path for path in output.ours() if path not in listed)
    for path in output.foreign(Path()):
        if path.match("shard-*.h5"):
            log.warning("Warning: %s is not of these swaps; move it out of there", path)
    count = sum(len(job.pairs) for job in jobs)
    log.info("Wrote swaps of %d pairs in %d shards to %s", count, len(jobs), out)


def _check_made(jobs: list[ShardJob], workers: int) -> list[str]:
    """Return the fingerprints of shards; raise InputError unless all are there, whole."""
    found = run_all(_made, jobs, workers=workers, description="Checking shards", unit="shards")
    missing = [number for number, (_, whole) in enumerate(found) if not whole]
    if missing:
        first = jobs[missing[0]]
        raise InputError(
            f"{first.path.parent}: {len(missing)} of {len(jobs)} shards are missing, damaged or of "
            f"other images or parameters, {first.path.name} the first: run its shard again (or "
            f"--shard {missing[0] + 1}/{len(jobs)}, which is this one alone), then --merge"
        )
    return [made_from for made_from, _ in found]


def _made(job: ShardJob) -> tuple[str, bool]:
    made_from = _fingerprint(job)
    return made_from, is_whole(job.path, made_from)


def swap_shard(job: ShardJob) -> str:
    """Write one shard unless it is there, whole; return the fingerprint of what made it."""
    made_from = _fingerprint(job)
    if not is_whole(job.path, made_from):
        header = ShardHeader(job.encoder, job.params, made_from, job.networks)
        write_shard(job.path, header, _swaps(job))
    return made_from


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
    encoder = load_encoder(job.weights, job.params.encoder_seed, worker_device(job.device))
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
        encoder = CachedEncoder(encoder, share(room - needs.taken))
        matcher = replace(matcher, encoder=encoder)
        swaps = (_swap(pair, matcher, room - needs.maps) for pair in images)
    for pair, swap in zip(job.pairs, swaps, strict=True):
        if job.params.store == "maps":
            swap = _with_maps(swap, job.source or job.path.parent, pair, job.params, encoder)
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


def _swap(pair: PairImages, matcher: Matcher, max_memory: int) -> StoredSwap:
    """Match a pair."""
    room = max_memory - image_bytes([pair.hr.shape[:2]])
    found = matcher.correspond(downscale(pair.hr), [pair.ref], max_memory=room)
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
