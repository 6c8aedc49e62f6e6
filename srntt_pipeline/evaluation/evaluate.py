"""Evaluating a test set: every method with every reference, PSNR and SSIM (paper section 5)."""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import srntt_pipeline
from srntt_pipeline.checkpoints import load_checkpoint
from srntt_pipeline.config import EvaluateParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation import report
from srntt_pipeline.evaluation.paper import canonical_dataset
from srntt_pipeline.evaluation.paths import IMAGES, image_path
from srntt_pipeline.evaluation.protocols import KERNEL, Protocol, get_protocol
from srntt_pipeline.evaluation.restore import Restorer, load_restorer
from srntt_pipeline.evaluation.warp import HR_WARP, warp_hr
from srntt_pipeline.files import (
    file_sha256,
    fingerprint,
    output_folder,
    read_json,
    remove_partials,
    write_json,
)
from srntt_pipeline.images import (
    RGB,
    SCALE,
    crop_to_multiple,
    downscale,
    read_rgb,
    upscale,
    write_png,
)
from srntt_pipeline.layout import EvaluationSet, Group, read_test_set
from srntt_pipeline.parallel import run_all
from srntt_pipeline.seeds import generator
from srntt_pipeline.swaps.correspondence import Correspondence
from srntt_pipeline.swaps.references import MIN_SIDE_PX

log = logging.getLogger(__name__)

BICUBIC, SISR = "Bicubic", " (SISR)"
LR, ALL, NONE = "LR", "all", "none"
_METHOD_NAMES = {"srntt-l2": "SRNTT-l2"}


@dataclass(frozen=True)
class GroupJob:
    """One HR image to restore with each of `references` and to measure."""

    dataset: str
    group: Group
    references: tuple[str, ...]
    protocol: Protocol
    seed: int
    out: Path
    checkpoint: Path | None
    device: str
    encoder_weights: str | None


def evaluate(
    dataset: Path,
    out: Path,
    params: EvaluateParams,
    *,
    checkpoint: Path | None = None,
    workers: int,
    device: str = "auto",
    encoder_weights: str | None = None,
) -> list[dict[str, Any]]:
    """Evaluate the test set in `dataset`, bicubic and the checkpoint's method; return the table.

    References: HR (warp), each level that the set has, LR (the LR image as its own reference,
    which is the paper's SISR setting), and all levels together. Writes `table.csv`, `table.md`,
    `per_image.csv`, `metrics.json`, `index.html`, and the SR images under `images/`. A killed run
    keeps the images that it has made. Raises InputError.
    """
    protocol = get_protocol(params.protocol)
    chosen = choose_device(device)
    test_set = read_test_set(dataset)
    if params.max_images:
        test_set = EvaluationSet(test_set.name, test_set.groups[: params.max_images])
    references = _references(test_set, params.references)
    restorer = None
    if checkpoint is not None:
        checkpoint = load_checkpoint(checkpoint).path
        restorer = load_restorer(checkpoint, str(chosen), encoder_weights)
    output_folder(out)
    _forget_other_runs(out, test_set, checkpoint, params.seed)
    name = canonical_dataset(test_set.name)
    jobs = [
        GroupJob(
            name,
            group,
            references,
            protocol,
            params.seed,
            out,
            checkpoint,
            str(chosen),
            encoder_weights,
        )
        for group in test_set.groups
    ]
    rows = run_all(
        evaluate_group,
        jobs,
        workers=workers if chosen.type == "cpu" else 1,
        description=f"Evaluating {name}",
        unit="images",
    )
    remove_partials(out)  # of workers that were killed, whose jobs others have done
    per_image = [row for group_rows in rows for row in group_rows]
    alone = not any(group.refs for group in test_set.groups)
    table = report.summarise(per_image, alone)
    report.write_report(
        out,
        table=table,
        per_image=per_image,
        protocol=protocol,
        groups=test_set.groups,
        method=_method(restorer) if restorer else None,
        restorer_notes=_notes(restorer),
        restorer=restorer,
        made_of={**params.model_dump(mode="json"), **read_json(out / "run.json", "")},
    )
    log.info("Wrote %s and the page %s", out / "table.csv", out / "index.html")
    return table


def _references(test_set: EvaluationSet, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the references to evaluate, in the order of Table 2."""
    levels = sorted({level for group in test_set.groups for level in group.refs})
    available = [HR_WARP, *levels, LR, *([ALL] if levels else [])]
    strange = [name for name in wanted if name not in available]
    if strange:
        raise InputError(
            f"reference {strange[0]!r}: {test_set.name} has {', '.join(available)} only"
        )
    return tuple(name for name in available if not wanted or name in wanted)


def _forget_other_runs(
    out: Path, test_set: EvaluationSet, checkpoint: Path | None, seed: int
) -> None:
    """Remove images that another checkpoint, seed or test set made; then name this run's own."""
    made_from = {
        "checkpoint": file_sha256(checkpoint) if checkpoint else None,
        "seed": seed,
        "software": srntt_pipeline.__version__,
        "images": fingerprint(
            [
                [group.name, file_sha256(group.hr)]
                + [[level, file_sha256(ref)] for level, ref in group.refs.items()]
                for group in test_set.groups
            ]
        ),
    }
    run = out / "run.json"
    try:
        same = read_json(run, "") == made_from
    except InputError:
        same = False
    if not same:
        shutil.rmtree(out / IMAGES, ignore_errors=True)
        write_json(run, made_from)


def evaluate_group(job: GroupJob) -> list[dict[str, Any]]:
    """Restore one HR image's LR by every method with every reference; return a row for each."""
    hr = crop_to_multiple(read_rgb(job.group.hr, min_side=4 * SCALE, grey=True))
    lr = downscale(hr)
    name = job.group.name
    _keep(job.out / image_path(LR, NONE, name), lr)
    images = {(BICUBIC, NONE): upscale(lr)}
    _keep(job.out / image_path(BICUBIC, NONE, name), images[BICUBIC, NONE])
    if job.checkpoint is not None:
        restorer = load_restorer(job.checkpoint, job.device, job.encoder_weights)
        images |= _restored(job, restorer, hr, lr)
    rows = []
    for (method, reference), sr in images.items():
        psnr, ssim = job.protocol.measure(hr, sr)
        rows.append(
            {
                "dataset": job.dataset,
                "image": name,
                "method": method,
                "reference": reference,
                "protocol": job.protocol.name,
                "channel": job.protocol.channel,
                "border_px": job.protocol.border_px,
                "ssim_window": job.protocol.ssim_window,
                "kernel": KERNEL,
                "psnr_db": psnr,
                "ssim": ssim,
            }
        )
    return rows


def _restored(job: GroupJob, restorer: Restorer, hr: RGB, lr: RGB) -> dict[tuple[str, str], RGB]:
    """Return SR by (method, reference), from files where a killed run left them."""
    method, group = _method(restorer), job.group
    found: dict[str, Correspondence] = {}
    refs: dict[str, list[RGB]] = {}

    def references(name: str) -> list[RGB]:
        if name not in refs:
            if name == ALL:
                refs[name] = [ref for level in group.refs for ref in references(level)]
            elif name == HR_WARP:
                refs[name] = [warp_hr(hr, generator(job.seed, HR_WARP, group.name))]
            elif name == LR:
                refs[name] = [lr]
            else:
                refs[name] = [read_rgb(group.refs[name], min_side=MIN_SIDE_PX, grey=True)]
        return refs[name]

    def correspondence(name: str) -> Correspondence:
        if name not in found:
            if name == ALL:
                # The best match over all references is the best of each one's best.
                first, *others = [correspondence(level) for level in group.refs]
                found[name] = sum(others, start=first)
            else:
                found[name] = restorer.correspond(lr, references(name))
        return found[name]

    images = {}
    for reference in job.references:
        if reference not in (HR_WARP, LR, ALL) and reference not in group.refs:
            continue
        if reference == ALL and not group.refs:
            continue
        path = job.out / image_path(method, reference, group.name)
        if not path.exists():
            sr = restorer.super_resolve(lr, references(reference), correspondence(reference))
            if reference in (HR_WARP, LR):
                shown = job.out / image_path("references", reference, group.name)
                _keep(shown, references(reference)[0])
            write_png(path, sr)
        images[method, reference] = read_rgb(path)
    if (method, LR) in images:
        # SISR is the LR image as its own reference (paper 5.1), so the same picture.
        images = {(method + SISR, NONE): images[method, LR], **images}
    return images


def _keep(path: Path, image: RGB) -> None:
    if not path.exists():
        write_png(path, image)


def _method(restorer: Restorer) -> str:
    model = restorer.checkpoint.info.model
    return _METHOD_NAMES.get(model, model)


def _notes(restorer: Restorer | None) -> list[str]:
    """Return what a reader of the numbers must know about the method behind them."""
    if restorer is None:
        return ["Bicubic alone: no checkpoint was given."]
    info, identity = restorer.checkpoint.info, restorer.encoder.identity
    notes = [
        f"{_method(restorer)}: {info.step} steps, sizes {json.dumps(info.sizes)}, checkpoint "
        f"{restorer.checkpoint.path.name} (sha256 {info.weights_sha256[:12]}).",
        f"Encoder: {identity}.",
        f"References at scales {list(restorer.swaps.scales)} and rotations "
        f"{list(restorer.swaps.rotations_deg)}°.",
    ]
    if identity.is_random:
        notes.insert(
            0,
            "The encoder is a RANDOM VGG19, not ImageNet's: these numbers show that the pipeline "
            "works, not how good the method is.",
        )
    return notes
