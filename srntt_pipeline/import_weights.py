"""The command import-weights: published files in, a checkpoint as training writes it out."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from srntt_pipeline import cards
from srntt_pipeline.checkpoints import CheckpointInfo, save_checkpoint
from srntt_pipeline.config import BICUBIC, SwapParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import file_sha256
from srntt_pipeline.importing import IMPORTERS, Importer, Weights
from srntt_pipeline.models import build_model, entry
from srntt_pipeline.outputs import open_output
from srntt_pipeline.sections import validate
from srntt_pipeline.swaps import caffe
from srntt_pipeline.swaps.matcher import Matcher, encoder_for, load_matcher
from srntt_pipeline.text import valid

log = logging.getLogger(__name__)

_CPU = torch.device("cpu")
# What a network counts, and the scales of its maps: imported ones take maps as they are.
_NOT_WEIGHTS = ("num_batches_tracked", "_scale")


def import_weights(
    method: str,
    files: Sequence[Path],
    out: Path,
    *,
    encoder_weights: str | None = None,
    upscaler: str | None = None,
) -> Path:
    """Write the checkpoint of a network whose weights others published; return its path.

    `files`: as the importer of `method` takes them; `out`: a folder, for MODEL.safetensors and
    .json, card.json and card.md. A network on swapped maps also takes `encoder_weights`, the VGG19
    of whose maps it was trained, and `upscaler`, both as `swaps` in params; its swaps are those of
    its own code. Raises InputError for files that are missing, damaged, or of another network.
    """
    known = IMPORTERS.get(method)
    if known is None:
        raise InputError(f"{method}: no importer; known: {', '.join(IMPORTERS)}")
    if len(files) != len(known.files):
        raise InputError(f"{method} is imported from {' '.join(known.files)}, in that order")
    swaps = _swaps(known, encoder_weights, upscaler)
    reads = [*files, *_beside(encoder_weights, upscaler)]
    weights = known.read(*files)
    matcher = None if swaps is None else load_matcher(swaps, encoder_for(swaps, _CPU))
    with open_output(out, "imported", reads=reads) as output:
        model = weights.recipe.network()[0]
        path = out / f"{model}.safetensors"
        written = [path, path.with_suffix(".json"), out / cards.CARD, out / cards.PAGE]
        output.claim(written)
        info = _write(path, files, weights, swaps, matcher)
        cards.write(out, _card(path, known, info))
        output.remove_others(written, [""])  # such as another network, imported before
    log.info("Wrote %s, %s", path, info.origin)
    return path


def _beside(encoder_weights: str | None, upscaler: str | None) -> list[Path]:
    """Return the files, or folders of such, that are read beside those of the weights."""
    encoder = caffe.named(encoder_weights) if encoder_weights else None
    named = [encoder.path if encoder else encoder_weights, upscaler]
    return [Path(name) for name in named if name and Path(name).exists()]


def _swaps(known: Importer, encoder_weights: str | None, upscaler: str | None) -> SwapParams | None:
    """Return the parameters of swaps that the network is fed with; None where it takes none."""
    if known.swaps is None:
        if encoder_weights is not None or upscaler is not None:
            raise InputError(f"{known.name} takes no swapped maps: leave out encoder and upscaler")
        return None
    if encoder_weights is None:
        raise InputError(
            f"{known.name} was trained on the maps of an encoder, which its files lack: name it "
            "with --encoder-weights (of the paper's released code: caffe:FILE)"
        )
    given = {"encoder_weights": encoder_weights, "upscaler": upscaler or BICUBIC}
    return validate(SwapParams, {**known.swaps, **given}, "options")


def _write(
    path: Path,
    files: Sequence[Path],
    weights: Weights,
    swaps: SwapParams | None,
    matcher: Matcher | None,
) -> CheckpointInfo:
    model, sizes = weights.recipe.network()
    network = build_model(model, sizes)
    state = network.state_dict()
    _check(state, weights)
    for name, values in weights.arrays.items():
        state[name].copy_(torch.from_numpy(values))
    info = CheckpointInfo(
        model=model,
        sizes=sizes,
        step=0,
        encoder=matcher.encoder.identity if matcher else None,
        swaps=swaps,
        networks=matcher.networks if matcher else {},
        train=weights.recipe,
        dataset="",
        metrics={},
        imported=tuple((valid(file.name), file_sha256(file)) for file in files),
        trained_on=weights.trained_on,
    )
    save_checkpoint(path, network, info)
    return info


def _check(state: Mapping[str, Tensor], weights: Weights) -> None:
    """Raise TypeError for an importer that does not give the parameters of its own recipe."""
    wanted = {n: tuple(v.shape) for n, v in state.items() if not n.endswith(_NOT_WEIGHTS)}
    found = {name: values.shape for name, values in weights.arrays.items()}
    if wanted != found:
        wrong = sorted(dict(wanted.items() ^ found.items()))
        raise TypeError(f"{weights.recipe.recipe}: not as its importer has them: {wrong[:3]}")


def _card(path: Path, known: Importer, info: CheckpointInfo) -> dict[str, object]:
    content = info.model_dump(mode="json")
    files = zip(known.files, info.imported, strict=True)
    return {
        "method": entry(info.model).row,
        "model": info.model,
        "checkpoint": path.name,
        "weights_sha256": file_sha256(path),
        "software": info.software,
        "importer": known.name,
        "imported": {place: f"{name} (sha256 {digest})" for place, (name, digest) in files},
        "encoder": content["encoder"],
        "swaps": content["swaps"],
        "networks": content["networks"],
        "sizes": content["sizes"],
    }
