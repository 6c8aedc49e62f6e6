"""Evaluating a test set: every method with every reference, by every protocol (paper section 5)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import srntt_pipeline
from srntt_pipeline.config import EvaluateParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation import report
from srntt_pipeline.evaluation.gallery import page_files
from srntt_pipeline.evaluation.measure import GroupJob, measure_group
from srntt_pipeline.evaluation.paper import canonical_dataset
from srntt_pipeline.evaluation.paths import TABLES, output_files
from srntt_pipeline.evaluation.perceptual import read_metrics
from srntt_pipeline.evaluation.protocols import Protocol, get_protocols
from srntt_pipeline.evaluation.tables import Row, paper_notes, summarise, write_tables
from srntt_pipeline.files import write_json
from srntt_pipeline.layout import EvaluationSet, Unread, read_test_set
from srntt_pipeline.methods.method import (
    ALL,
    BEST,
    BICUBIC,
    LR,
    NONE,
    STITCHED,
    Method,
    read_methods,
)
from srntt_pipeline.methods.srntt import Restorer, load_restorer
from srntt_pipeline.methods.warp import HR_WARP
from srntt_pipeline.outputs import check_place, open_output
from srntt_pipeline.parallel import run_all
from srntt_pipeline.swaps.matcher import AS_NAMED, NetworkFiles
from srntt_pipeline.text import valid

log = logging.getLogger(__name__)

_TOLD = 20  # images that are not measured, named on the screen and in the notes


def evaluate(
    dataset: Path,
    out: Path,
    params: EvaluateParams,
    *,
    checkpoints: Sequence[Path] = (),
    workers: int,
    device: str = "auto",
    files: NetworkFiles = AS_NAMED,
) -> list[Row]:
    """Evaluate the test set in `dataset`, bicubic and the checkpoints' methods; return the table.

    References: HR (warp), each level that the set has, LR (the LR image as its own reference,
    which is the paper's SISR setting), all levels together, and what the protocols ask for. Writes
    `table.csv`, `table.md`, `per_image.csv`, `comparisons.csv`, `metrics.json`, `plots/`,
    `notes.json`, `index.html`, SR images under `images/`, their numbers under `measured/`. Images
    and numbers that are there are not computed again, be they of a killed run or of one with other
    checkpoints or protocols. Raises InputError.
    """
    check_place(out, "evaluation", [dataset, *checkpoints])  # said before anything is loaded
    protocols = get_protocols(params.protocol)
    chosen = choose_device(device)
    test_set = read_test_set(dataset)
    if params.max_images:
        test_set = replace(test_set, groups=test_set.groups[: params.max_images])
    references = _references(test_set, params.references, protocols)
    metrics = read_metrics(params)
    methods = read_methods(checkpoints)
    restorers = {
        method.name: load_restorer(method.checkpoint, str(chosen), files) for method in methods
    }
    notes = [*_notes(restorers), *(metric.words for metric in metrics)]
    name = canonical_dataset(test_set.name)
    jobs = [
        GroupJob(
            name,
            group,
            references,
            protocols,
            metrics,
            params.seed,
            out,
            methods,
            str(chosen),
            files,
        )
        for group in test_set.groups
    ]
    with open_output(out, "evaluation", reads=[dataset, *checkpoints]) as output:
        output.claim(_files(test_set, protocols, methods, references))
        results = run_all(
            measure_group,
            jobs,
            workers=workers if chosen.type == "cpu" else 1,
            description=f"Evaluating {name}",
            unit="images",
        )
        unread = [*test_set.unread, *(result.unread for result in results if result.unread)]
        measured = [
            group
            for group, result in zip(test_set.groups, results, strict=True)
            if not result.unread
        ]
        if not measured:
            raise InputError(f"{dataset}: no test image can be used; {_told(unread[0])}")
        per_image = [row for result in results for row in result.rows]
        table = summarise(per_image)
        notes += [*_unread_notes(unread), *paper_notes(table)]
        write_tables(out, table, per_image, notes)
        not_used = [{"file": file.path.name, "reason": file.reason} for file in unread]
        write_json(out / "notes.json", {"dataset": name, "notes": notes, "not_used": not_used})
        report.write_report(
            output,
            table=table,
            per_image=per_image,
            protocols=protocols,
            groups=measured,
            restorers=restorers,
            run={**params.model_dump(mode="json"), "software": srntt_pipeline.__version__},
            notes=notes,
        )
    log.info(
        "Wrote %s and the page %s; of the SR images %d were made, the others were there",
        out / "table.csv",
        out / "index.html",
        sum(result.made for result in results),
    )
    return table


def _files(
    test_set: EvaluationSet,
    protocols: Sequence[Protocol],
    methods: Sequence[Method],
    references: Sequence[str],
) -> list[Path]:
    """Return every file that an evaluation can write below its folder."""
    shown = [(method.name, reference) for method in methods for reference in (*references, NONE)]
    given = [("references", reference) for reference in references]
    names = [group.name for group in test_set.groups]
    checkpoints = [method.checkpoint.stem for method in methods]
    return [
        *map(Path, TABLES),
        *(Path("plots", f"{protocol.name}.csv") for protocol in protocols),
        *output_files(
            names,
            [("LR", NONE), (BICUBIC, NONE), *given, *shown],
            {protocol.making for protocol in protocols},
        ),
        *page_files(test_set.groups, checkpoints),
    ]


def _references(
    test_set: EvaluationSet, wanted: Sequence[str], protocols: Sequence[Protocol]
) -> tuple[str, ...]:
    """Return the references to evaluate, in the order of Table 2."""
    levels = sorted({level for group in test_set.groups for level in group.refs})
    available = [HR_WARP, *levels, LR, *([ALL, STITCHED, BEST] if levels else [])]
    strange = [name for name in wanted if name not in available]
    if strange:
        raise InputError(
            f"reference {strange[0]!r}: {test_set.name} has {', '.join(available)} only"
        )
    measured = [name for name in available if any(p.measures(name) for p in protocols)]
    unmeasured = [name for name in wanted if name not in measured]
    if unmeasured:
        raise InputError(
            f"reference {unmeasured[0]!r}: no protocol given measures it; add another, such as "
            f"luma-{unmeasured[0]} (--list-protocols)"
        )
    # Table 2 alone has HR (warp), and is of a set with references.
    default = [name for name in measured if levels or name != HR_WARP]
    return tuple(name for name in measured if name in (wanted or default))


def _unread_notes(unread: Sequence[Unread]) -> list[str]:
    """Return what a reader must know of images that are not in the numbers; tell it now, too."""
    for file in unread[:_TOLD]:
        log.warning("Not measured: %s", _told(file))
    if not unread:
        return []
    named = "; ".join(f"{file.path.name}: {file.reason}" for file in unread[:_TOLD])
    more = f"; and {len(unread) - _TOLD} more, which notes.json names" * (len(unread) > _TOLD)
    if more:
        log.warning("%d images in all are not measured; notes.json names them", len(unread))
    return [f"Images that cannot be used, whose groups are not measured: {named}{more}."]


def _told(file: Unread) -> str:
    return f"{file.path}: {file.reason}"


def _notes(restorers: Mapping[str, Restorer]) -> list[str]:
    """Return what a reader of the numbers must know about the methods behind them."""
    if not restorers:
        return ["Bicubic alone: no checkpoint was given."]
    random = [name for name, restorer in restorers.items() if restorer.encoder.identity.is_random]
    notes = []
    if random:
        notes.append(
            f"The encoder of {', '.join(random)} is a RANDOM VGG19, not ImageNet's: these numbers "
            "show that the pipeline works, not how good the method is."
        )
    for name, restorer in restorers.items():
        info = restorer.checkpoint.info
        swaps = ", ".join(f"{key} {value}" for key, value in restorer.swaps.matched_by.items())
        notes.append(
            f"{name}: {info.step} steps, checkpoint {valid(restorer.checkpoint.path.name)} (sha256 "
            f"{info.weights_sha256[:12]}). Encoder: {restorer.encoder.identity}. Swaps: {swaps}; "
            f"LR↑ and Ref↓↑ by {restorer.matcher.upscaler}."
        )
    return notes
