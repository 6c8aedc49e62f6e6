"""Evaluating a test set: every method with every reference, by every protocol (paper section 5)."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import srntt_pipeline
from srntt_pipeline.config import EvaluateParams
from srntt_pipeline.device import choose_device
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation import report
from srntt_pipeline.evaluation.costs import COSTS_FILE, write_costs
from srntt_pipeline.evaluation.gallery import page_files
from srntt_pipeline.evaluation.given_lr import with_given_lr
from srntt_pipeline.evaluation.grid import grid_files
from srntt_pipeline.evaluation.measure import (
    GroupJob,
    GroupRows,
    measure_group,
    sr_images,
)
from srntt_pipeline.evaluation.notes import (
    lr_notes,
    not_run_notes,
    not_run_of,
    reference_notes,
    unread_notes,
)
from srntt_pipeline.evaluation.paper import more_than_paper, paper_rows
from srntt_pipeline.evaluation.paths import TABLES, image_path, output_files
from srntt_pipeline.evaluation.perceptual import read_metrics
from srntt_pipeline.evaluation.pictures import LR_IMAGE, REFERENCES
from srntt_pipeline.evaluation.protocols import PROTOCOLS, Protocol, get_protocols
from srntt_pipeline.evaluation.released import identify
from srntt_pipeline.evaluation.tables import Row, summarise, table_notes, write_tables
from srntt_pipeline.evaluation.weighing import measure_costs
from srntt_pipeline.figures import spread
from srntt_pipeline.files import write_json
from srntt_pipeline.layout import EvaluationSet, read_test_set
from srntt_pipeline.methods import Method
from srntt_pipeline.methods.bicubic import Bicubic
from srntt_pipeline.methods.method import (
    ALL,
    BEST,
    BEST_PSNR,
    HR_WARP,
    LR,
    NONE,
    PAPER_ALL,
    PAPER_LEVELS,
    RANDOM,
    STITCHED,
    STITCHED_MASA,
    has_level,
    reference_rank,
)
from srntt_pipeline.methods.sources import Source, read_methods
from srntt_pipeline.network_files import AS_NAMED, NetworkFiles
from srntt_pipeline.outputs import check_place, open_output
from srntt_pipeline.parallel import run_all
from srntt_pipeline.text import tally

log = logging.getLogger(__name__)

_MOST_MATCHES = 3  # images of which the page shows what was matched


def evaluate(
    dataset: Path,
    out: Path,
    params: EvaluateParams,
    *,
    methods: Sequence[Source] = (),
    workers: int = 1,
    device: str = "auto",
    files: NetworkFiles = AS_NAMED,
) -> list[Row]:
    """Evaluate the test set in `dataset`, by bicubic and by `methods`; return the table.

    `methods`: what `--method` takes (`methods.sources`), or instances of `Method`. References: HR
    (warp), each level that the set has, LR (the LR image as its own reference), all of them
    together, what the protocols ask for, and none, for methods that take none.

    Writes `table.csv`, `table.md`, `per_image.csv`, `comparisons.csv`, `costs.csv`, `metrics.json`,
    `plots/`, `notes.json`, `index.html`, SR images under `images/`, their numbers under
    `measured/`. Images and numbers that are there are not computed again, be they of a killed run
    or of one with other methods or protocols. Raises InputError.
    """
    check_place(out, "evaluation", [dataset])  # said before anything is loaded
    protocols = get_protocols(params.protocol)
    chosen = choose_device(device)
    ref_folder = Path(params.ref_folder) if params.ref_folder else None
    # It logs how it read ambiguous names.
    test_set = read_test_set(dataset, params.layout, ref_folder)
    name, of_name = identify(test_set, params.released)
    if params.max_images:
        test_set = replace(test_set, groups=test_set.groups[: params.max_images])
    given = Path(params.lr) if params.lr else None
    if given:
        test_set = with_given_lr(test_set, given)
        protocols = tuple(protocol.with_given_lr() for protocol in protocols)
    references = _references(test_set, name, params.references, protocols)
    metrics = read_metrics(params)
    shown = _in_paper_order([Bicubic(), *read_methods(methods, files)])
    reads = [dataset, *filter(None, (given, ref_folder))]
    reads += [path for method in shown for path in method.reads]
    check_place(out, "evaluation", reads)
    notes = list(dict.fromkeys(note for method in shown for note in method.notes(str(chosen))))
    notes += ["Bicubic alone: no other method was given."] * (len(shown) == 1)
    notes += [metric.words for metric in metrics]
    notes += [note for note in (of_name, test_set.reading) if note]
    notes += reference_notes(name, test_set, references)
    matched = spread(len(test_set.groups), _MOST_MATCHES)
    jobs = [
        GroupJob(
            name, group, references, protocols, metrics, params.seed, out, shown, str(chosen),
            with_match=number in matched,
        )
        for number, group in enumerate(test_set.groups)
    ]  # fmt: skip
    with open_output(out, "evaluation", reads=reads) as output:
        output.claim(_files(test_set, protocols, shown, references))
        results = run_all(
            measure_group,
            jobs,
            workers=workers if chosen.type == "cpu" else 1,
            description=f"Evaluating {name}",
            unit="SR images",
            size=sr_images,
        )
        measured = _measured(dataset, jobs, results)
        per_image = [row for result in results for row in result.rows]
        costs = measure_costs(measured[0])
        write_costs(out / COSTS_FILE, list(costs.values()))
        table = summarise(per_image, costs)
        unread = [*test_set.unread, *(result.unread for result in results if result.unread)]
        not_run = not_run_of(shown, references, protocols, results)
        notes += lr_notes(shown, protocols, results, given)
        notes += [*unread_notes(unread), *not_run_notes(not_run), *table_notes(table)]
        write_tables(out, table, per_image, protocols, notes)
        content = {
            "dataset": name,
            "notes": notes,
            "not_used": [{"file": file.path.name, "reason": file.reason} for file in unread],
            "not_run": [asdict(one) for one in not_run],
        }
        write_json(out / "notes.json", content)
        report.write_report(
            output,
            table=table,
            per_image=per_image,
            protocols=protocols,
            jobs=measured,
            run={**params.model_dump(mode="json"), "software": srntt_pipeline.__version__},
            notes=notes,
            workers=workers,
        )
    made = sum(result.made for result in results)
    log.info(
        "Wrote %s and the page %s; %s",
        out / "table.csv",
        out / "index.html",
        tally("SR images", made, made + sum(result.reused for result in results)),
    )
    return table


def _in_paper_order(methods: Sequence[Method]) -> tuple[Method, ...]:
    """Return the methods in the order of the paper's tables, others behind as they were given."""
    names = list(dict.fromkeys(row.method for row in paper_rows()))

    def rank(method: Method) -> int:
        name = method.name.split(" #")[0]
        return names.index(name) if name in names else len(names)

    return tuple(sorted(methods, key=rank))


def _measured(
    dataset: Path, jobs: Sequence[GroupJob], results: Sequence[GroupRows]
) -> list[GroupJob]:
    """Return the jobs of the groups that have numbers; raise InputError where none has."""
    measured = [job for job, result in zip(jobs, results, strict=True) if result.rows]
    if not measured:
        unread = [result.unread for result in results if result.unread]
        reason = f"{unread[0].path}: {unread[0].reason}" if unread else "no method ran on it"
        raise InputError(f"{dataset}: no test image can be used; {reason}")
    return measured


def _files(
    test_set: EvaluationSet,
    protocols: Sequence[Protocol],
    methods: Sequence[Method],
    references: Sequence[str],
) -> list[Path]:
    """Return every file that an evaluation can write below its folder."""
    shown = [
        (method.name, reference)
        for method in methods
        for reference in references
        if method.takes(reference)
    ]
    given = [(LR_IMAGE, NONE), *((REFERENCES, reference) for reference in references)]
    names = [group.name for group in test_set.groups]
    makings = {protocol.making for protocol in protocols}
    if len({image_path(*one, "x") for one in (*given, *shown)}) < len({*given, *shown}):
        raise InputError(
            f"--method: two of {', '.join(method.name for method in methods)} would have one "
            "folder for their images; give one another name with NAME=…"
        )
    return [
        *map(Path, TABLES),
        *(Path("plots", f"{protocol.name}.csv") for protocol in protocols),
        *output_files(names, [*given, *shown], makings),
        *grid_files(names),
        *page_files(test_set.groups, methods, [*given, *shown], protocols[0].making),
    ]


def _references(
    test_set: EvaluationSet, dataset: str, wanted: Sequence[str], protocols: Sequence[Protocol]
) -> tuple[str, ...]:
    """Return the references to evaluate, in the order of Table 2; `none` is always one.

    `dataset`: what tables call the test set.
    """
    single = {level for group in test_set.groups for level in group.refs}
    levels = sorted(single, key=reference_rank)
    several = [ALL, PAPER_ALL, STITCHED, STITCHED_MASA, BEST, BEST_PSNR, RANDOM] if levels else []
    if single <= set(PAPER_LEVELS) or not single & set(PAPER_LEVELS):  # they are `all`, or none is
        several = [name for name in several if name != PAPER_ALL]
    available = [NONE, HR_WARP, *levels, LR, *several]
    strange = [name for name in wanted if name not in available]
    if strange:
        raise InputError(
            f"reference {strange[0]!r}: {test_set.name} has {', '.join(available)} only"
        )
    measured = [name for name in available if any(p.measures(name) for p in protocols)]
    unmeasured = [name for name in wanted if name not in measured]
    if unmeasured:
        other = next(p.name for p in PROTOCOLS.values() if p.measures(unmeasured[0]))
        raise InputError(
            f"reference {unmeasured[0]!r}: no protocol given measures it; add another, such as "
            f"{other} (--list-protocols)"
        )
    # Table 2 alone has HR (warp), and is of a set with references.
    without = [] if levels else [HR_WARP]
    # A number tells nothing of similarity, so images have nothing in common that have it.
    numbered = [level for level in levels if not has_level(level)]
    without += numbered if len(numbered) > 1 else []
    if not more_than_paper(dataset, max(len(group.refs) for group in test_set.groups)):
        without.append(PAPER_ALL)
    default = [name for name in measured if name not in without]
    chosen = wanted or default
    if BEST_PSNR in chosen and BEST_PSNR in measured:  # it is one of these
        chosen = [*chosen, *levels]
        measured = [name for name in available if any(p.needs(name) for p in protocols)]
    return tuple(name for name in measured if name == NONE or name in chosen)
