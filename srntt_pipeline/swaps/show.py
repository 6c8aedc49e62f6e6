"""The command `show-match`: a correspondence, computed or read from shards, is drawn to a file."""

import logging
from collections.abc import Sequence
from pathlib import Path

from srntt_pipeline.config import BICUBIC, MatchParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.figures import save_figure
from srntt_pipeline.images import crop_to_multiple, decode, downscale, read_made_from, read_rgb
from srntt_pipeline.layout import read_train_pairs
from srntt_pipeline.outputs import check_output_file
from srntt_pipeline.swaps.match_figure import draw
from srntt_pipeline.swaps.match_sources import Match
from srntt_pipeline.swaps.matcher import check_networks, encoder_for, load_matcher
from srntt_pipeline.swaps.references import MIN_SIDE_PX, ref_file, ref_image, versions
from srntt_pipeline.swaps.shards import Shards
from srntt_pipeline.swaps.stored import check_lr, check_ref
from srntt_pipeline.swaps.upscaler import load_upscaler
from srntt_pipeline.text import short_name

log = logging.getLogger(__name__)


def show_match(
    sample: str,
    out: Path,
    params: MatchParams,
    *,
    refs: Sequence[Path] = (),
    swaps: Path | None = None,
    dataset: Path | None = None,
    device: str = "auto",
) -> None:
    """Draw the match of an image to `out` (PNG).

    With `refs`, `sample` is the file of an HR image, which is downscaled and matched with them by
    `params`. With `swaps` and `dataset`, it is the name of a training pair, whose stored
    correspondence is drawn; of `params`, `upscaler` alone is used, if its file has moved. Raises
    InputError.
    """
    read = [*refs, *([] if swaps else [Path(sample)])]
    check_output_file(out, ".png", read, lambda path: read_made_from(path) is not None)
    if bool(refs) == bool(swaps) or bool(swaps) != bool(dataset):
        raise InputError(
            "show-match takes an HR image with --ref, or a pair's name with --swaps and --dataset"
        )
    if swaps and dataset:
        match = _stored(sample, swaps, dataset, params.upscaler, device)
    else:
        match = _computed(Path(sample), refs, params, device)
    save_figure(draw(match, short_name(Path(sample).name)), out)
    log.info("Wrote %s", out)


def _computed(path: Path, refs: Sequence[Path], params: MatchParams, device: str) -> Match:
    hr = crop_to_multiple(read_rgb(path, min_side=MIN_SIDE_PX, grey=True))
    images = [read_rgb(ref, min_side=MIN_SIDE_PX, grey=True) for ref in refs]
    encoder = encoder_for(params, choose_device(device))
    matcher, lr = load_matcher(params, encoder), downscale(hr)
    found = matcher.match(lr, images)
    return Match(hr, matcher.upscaler(lr), images, matcher.versions, found)


def _stored(name: str, swaps: Path, dataset: Path, moved: str, device: str) -> Match:
    shards = Shards(swaps)
    stored = shards[name]
    named = shards.params.upscaler if moved == BICUBIC else moved
    upscaler = load_upscaler(named, choose_device(device))
    made_with = {key: hash_ for key, hash_ in shards.networks.items() if key == "upscaler"}
    check_networks(swaps, made_with, upscaler.networks)  # flow is not computed again
    pairs = {pair.name: pair for pair in read_train_pairs(dataset)}
    if name not in pairs:
        raise InputError(f"{dataset} has no training pair {name}")
    images = []
    for path, made_from in (
        (pairs[name].hr, stored.hr_sha256),
        (ref_file(pairs[name], shards.params), stored.ref_sha256[0]),
    ):
        images.append(decode(shards.image_bytes(path, made_from), path, grey=True))
    hr, ref = crop_to_multiple(images[0]), ref_image(images[1], shards.params)
    lr, tried = downscale(hr), versions(shards.params)
    check_lr(stored, swaps, lr.shape[:2])
    check_ref(stored, swaps, ref.shape[:2], tried)
    return Match(hr, upscaler(lr), [ref], tried, stored.correspondence)
