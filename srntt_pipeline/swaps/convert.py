"""From correspondences to stored maps and back."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.outputs import open_output
from srntt_pipeline.swaps.precompute import claim, finish, make_shards
from srntt_pipeline.swaps.shard_job import shard_jobs
from srntt_pipeline.swaps.shards import Shards


def convert_shards(
    swaps: Path,
    out: Path,
    dataset: Path,
    *,
    store: Literal["correspondence", "maps"],
    maps_dtype: Literal["float16", "float32"] = "float16",
    maps_codec: Literal["none", "lzf", "gzip"] = "none",
    workers: int,
    device: str = "auto",
    encoder_weights: str | None = None,
) -> int:
    """Write to `out` the shards that precompute_swaps would have written with these options.

    Correspondences are taken from `swaps`; maps are gathered anew, which takes the images of
    `dataset` and the encoder (`encoder_weights`: where it lies now). Resumes as precompute_swaps
    does. Returns the number of pairs; raises InputError.
    """
    if out.resolve() == swaps.resolve():
        raise InputError(f"{out}: name another folder than the one to convert")
    source = Shards(swaps)
    storing = {"store": store, "maps_dtype": maps_dtype, "maps_codec": maps_codec}
    params = source.params.model_copy(update=storing)
    chosen = str(choose_device(device))
    pairs = read_train_pairs(dataset)
    weights = encoder_weights or params.encoder_weights
    jobs = [
        replace(job, weights=weights, source=swaps)
        for job in shard_jobs(pairs, out, params, source.encoder, source.networks, chosen)
    ]
    with open_output(out, "swaps", reads=[swaps, dataset]) as output:
        claim(jobs, output)
        found = make_shards(jobs, workers, f"Converting to {store}")
        finish(jobs, found, output, source.float32_agreement)
    return len(pairs)
