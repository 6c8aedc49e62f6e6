"""Precomputing the swaps of a data set's training pairs (paper section 3.1)."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

import srntt_pipeline
from srntt_pipeline.config import SwapParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.files import fingerprint, output_folder, remove_partials, sha256
from srntt_pipeline.images import crop_to_multiple, decode, downscale, read_bytes, upscale
from srntt_pipeline.layout import TrainPair, read_train_pairs
from srntt_pipeline.parallel import run_all
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.references import MIN_SIDE_PX, augmentations
from srntt_pipeline.swaps.shards import ShardHeader, StoredSwap, is_whole, write_index, write_shard
from srntt_pipeline.swaps.swap import correspond

MATCHING = 2  # what is matched with what; 2: never the corners that rotation leaves empty

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardJob:
    """The swaps of `pairs`, to be written to `path`."""

    pairs: tuple[TrainPair, ...]
    path: Path
    params: SwapParams
    device: str


def precompute_swaps(
    dataset: Path, out: Path, params: SwapParams, *, workers: int, device: str = "auto"
) -> int:
    """Write the swaps of the training pairs of `dataset` as HDF5 shards; return how many.

    Shards that are there, made from the same images and parameters, are kept: a killed run resumes.
    On a GPU the shards are made one after the other, whatever `workers`. Raises InputError.
    """
    chosen = choose_device(device)
    pairs = read_train_pairs(dataset)
    encoder = load_encoder(params.encoder_weights, params.encoder_seed, chosen)
    output_folder(out)
    size = params.pairs_per_shard
    jobs = [
        ShardJob(tuple(pairs[start : start + size]), out / f"shard-{i:05d}.h5", params, str(chosen))
        for i, start in enumerate(range(0, len(pairs), size))
    ]
    parts = run_all(
        swap_shard,
        jobs,
        workers=workers if chosen.type == "cpu" else 1,
        description=f"Swaps ({encoder.identity.source} VGG19, {chosen})",
        unit="pairs",
        size=lambda job: len(job.pairs),
    )
    remove_partials(out)  # of workers that were killed, whose jobs others have done
    header = ShardHeader(encoder.identity, params, fingerprint(parts))
    write_index(out, header, [(job.path, len(job.pairs)) for job in jobs])
    log.info("Wrote swaps of %d pairs in %d shards to %s", len(pairs), len(jobs), out)
    return len(pairs)


def swap_shard(job: ShardJob) -> str:
    """Write one shard unless it is there, whole; return the fingerprint of what made it."""
    params = job.params
    encoder = load_encoder(params.encoder_weights, params.encoder_seed, torch.device(job.device))
    contents = [(read_bytes(pair.hr), read_bytes(pair.ref)) for pair in job.pairs]
    made_from = fingerprint(
        {
            "software": srntt_pipeline.__version__,
            "matching": MATCHING,
            "encoder": encoder.identity.sha256,
            "augmentations": [params.scales, params.rotations_deg, params.shifts_px],
            "pairs": [
                [pair.name, sha256(hr), sha256(ref)]
                for pair, (hr, ref) in zip(job.pairs, contents, strict=True)
            ],
        }
    )
    if not is_whole(job.path, made_from):
        swaps = (
            _swap(pair, hr, ref, params, encoder)
            for pair, (hr, ref) in zip(job.pairs, contents, strict=True)
        )
        write_shard(job.path, ShardHeader(encoder.identity, params, made_from), swaps)
    return made_from


def _swap(
    pair: TrainPair, hr: bytes, ref: bytes, params: SwapParams, encoder: Encoder
) -> StoredSwap:
    hr_image = crop_to_multiple(decode(hr, pair.hr, min_side=MIN_SIDE_PX))
    ref_image = decode(ref, pair.ref, min_side=MIN_SIDE_PX)
    found = correspond(
        upscale(downscale(hr_image)),
        [ref_image],
        augmentations(params.scales, params.rotations_deg, params.shifts_px),
        encoder,
    )
    return StoredSwap(pair.name, sha256(hr), (sha256(ref),), found)
