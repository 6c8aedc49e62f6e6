"""Precomputing the swaps of a data set's training pairs (paper section 3.1).

Each shard is a job of its own, whose file is written whole or not at all and not made twice: so
shards can be spread over processes, machines and array jobs, and a killed run loses at most the
shards in hand. `shard_job` says what a job does, this module which there are and what is written
when all are done.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.config import SwapParams
from srntt_pipeline.device import choose_device, device_workers
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import fingerprint
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.memory import MAX_MEMORY
from srntt_pipeline.outputs import Output, check_place, open_output
from srntt_pipeline.parallel import run_all
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.matcher import encoder_for, load_matcher
from srntt_pipeline.swaps.pair_memory import check_pairs
from srntt_pipeline.swaps.shard_job import (
    ShardJob,
    is_made,
    match_pair,
    read_images,
    shard_jobs,
    swap_shard,
)
from srntt_pipeline.swaps.shards import INDEX, ShardHeader, write_index
from srntt_pipeline.text import tally

log = logging.getLogger(__name__)

_AGREEMENT_PAIRS = 8


def precompute_swaps(
    dataset: Path,
    out: Path,
    params: SwapParams,
    *,
    workers: int = 1,
    device: str = "auto",
    max_memory: int = MAX_MEMORY,
    part: ArrayPart | None = None,
    merge: bool = False,
) -> int:
    """Write the swaps of the training pairs of `dataset` as HDF5 shards; return how many.

    Shards that are there, made from the same images and parameters, are kept: a killed run resumes.
    With `part`, only every nth is made, and no index; other parts can run at once, here or
    elsewhere, with the same `out`. With `merge` all must be there, and the index is written.
    On GPUs there is one worker for each (`device.device_workers`). `max_memory`: bytes of a worker,
    at least 1.5 GiB; no result depends on it. Where it is too little for a pair, none is matched.
    Raises InputError.
    """
    check_place(out, "swaps", [dataset])  # said before anything is loaded
    chosen = choose_device(device)
    pairs = read_train_pairs(dataset)
    encoder = encoder_for(params, chosen)
    matcher = load_matcher(params, encoder)
    networks = matcher.networks
    if not merge:
        check_pairs(pairs, params, matcher, max_memory)
    jobs = shard_jobs(pairs, out, params, encoder.identity, networks, str(chosen), max_memory)
    with open_output(out, "swaps", reads=[dataset], part=part) as output:
        claim(jobs, output, with_index=not part)
        mine = list(part.of(jobs)) if part else jobs
        if merge:
            found = _check_made(jobs, workers)
        else:
            title = f"Swaps ({encoder.identity.source} VGG19, {chosen})"
            found = make_shards(mine, workers, title)
        if not part:
            finish(jobs, found, output, _agreement(jobs, params, encoder))
            return len(pairs)
    made = sum(len(job.pairs) for job in mine)
    log.info(
        "Wrote swaps of %d of %d pairs (part %s) to %s; %s; when all parts are done, run again "
        "with --merge",
        made, len(pairs), part, out, _tally(found),
    )  # fmt: skip
    return made


def _agreement(jobs: Sequence[ShardJob], params: SwapParams, encoder: Encoder) -> float:
    """Return the share of matches that float32 finds too; say it where it is not all."""
    if {params.precision, params.encoder_precision} == {"float32"}:
        return 1.0
    agreement = float32_agreement(jobs, encoder)
    log.info(
        "Products in %s, encoder in %s: %.2f %% of the matches (of the first pairs) are those of "
        "float32", params.precision, params.encoder_precision, 100 * agreement,
    )  # fmt: skip
    return agreement


# Of a shard: the fingerprint of what made it, and whether it was there.
Found = tuple[str, bool]


def make_shards(jobs: Sequence[ShardJob], workers: int, description: str) -> list[Found]:
    """Do the jobs; return what `swap_shard` returns of each."""
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
    exact = matcher.with_encoders(
        lambda one: Encoder(one.features, one.identity).to(one.mean.device)
    )
    ways = matcher, replace(exact, precision="float32")
    shares = []
    for pair in job.pairs[:_AGREEMENT_PAIRS]:
        images = read_images(pair, job.params)
        both = (match_pair(images, way, job.max_memory).correspondence for way in ways)
        shares.append(next(both).agreement(next(both)))
    return sum(shares) / len(shares)


def claim(jobs: Sequence[ShardJob], output: Output, *, with_index: bool = True) -> None:
    """Claim what the jobs write, and the index that `finish` writes after them."""
    output.claim([*(job.path for job in jobs), *([Path(INDEX)] if with_index else [])])


def finish(
    jobs: Sequence[ShardJob], found: Sequence[Found], output: Output, agreement: float = 1.0
) -> None:
    """Write the index over all shards, with what was `found` of each; remove our other shards.

    `agreement`: with float32, where the precision of matching is another.
    """
    job, out = jobs[0], output.folder
    made_from = fingerprint([of_shard for of_shard, _ in found])
    header = ShardHeader(job.encoder, job.params, made_from, job.networks)
    shards = [(job.path, [pair.name for pair in job.pairs]) for job in jobs]
    write_index(out, header, shards, agreement)
    listed = {out / INDEX, *(path for path, _ in shards)}
    output.remove(path for path in output.ours() if path not in listed)
    for path in output.foreign(Path()):
        if path.match("shard-*.h5"):
            log.warning("Warning: %s is not of these swaps; move it out of there", path)
    count = sum(len(job.pairs) for job in jobs)
    log.info("Wrote swaps of %d pairs to %s; %s", count, out, _tally(found))


def _tally(found: Sequence[Found]) -> str:
    return tally("shards", sum(not there for _, there in found), len(found))


def _check_made(jobs: list[ShardJob], workers: int) -> list[Found]:
    """Return what there is of shards; raise InputError unless all are there, whole."""
    found = run_all(is_made, jobs, workers=workers, description="Checking shards", unit="shards")
    missing = [number for number, (_, whole) in enumerate(found) if not whole]
    if missing:
        first = jobs[missing[0]]
        raise InputError(
            f"{first.path.parent}: {len(missing)} of {len(jobs)} shards are missing, damaged or of "
            f"other images or parameters, {first.path.name} the first: run its part again (or "
            f"--shard {missing[0] + 1}/{len(jobs)}, which makes this one alone), then --merge"
        )
    return found
