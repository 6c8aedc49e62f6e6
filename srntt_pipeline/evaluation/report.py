"""Picture grids and the HTML page of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from srntt_pipeline.evaluation.gallery import describe, forget_others
from srntt_pipeline.evaluation.grid import MOST_CROPS, draw_grid
from srntt_pipeline.evaluation.measure import GroupJob
from srntt_pipeline.evaluation.page import write_page
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.figures import spread
from srntt_pipeline.methods import Method
from srntt_pipeline.outputs import Output

_MOST_GRIDS = 8


def write_report(
    output: Output,
    *,
    table: Sequence[dict[str, Any]],
    per_image: Sequence[dict[str, Any]],
    protocols: Sequence[Protocol],
    jobs: Sequence[GroupJob],
    run: Mapping[str, Any],
    notes: Sequence[str],
    workers: int = 1,
) -> None:
    """Write grids and the page; pictures and their PSNR are of the first protocol.

    `jobs`: of the groups that were measured; `run`: what the page says of the run beside protocols
    and methods.
    """
    out, methods = output.folder, jobs[0].methods
    groups = [job.group for job in jobs]
    main = protocols[0]
    rows = [row for row in per_image if row["protocol"] == main.name]
    shown = [groups[i] for i in spread(len(groups), _MOST_GRIDS)]
    for group in shown:
        own = [row for row in rows if row["image"] == group.name]
        draw_grid(out, group, _compared(methods, own), main.making)
    description = describe(
        out,
        rows,
        jobs=jobs,
        in_full={group.name for group in shown},
        protocols=protocols,
        run=run,
        title=f"{table[0]['dataset']}: ×4 super-resolution with references",
        notes=notes,
        workers=workers,
    )
    write_page(out, description, table)
    forget_others(output, description)


def _compared(
    methods: Sequence[Method], rows: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the rows of an image that its grid shows, of `rows` of all `methods`.

    Of the first method, the baseline, of the one with most references, and of others as far as
    there is room.
    """
    of = {method.name: sum(row["method"] == method.name for row in rows) for method in methods}
    baseline, *others = of
    shown = {baseline, *([max(others, key=lambda name: of[name])] if others else [])}
    for name in others:
        if sum(of[each] for each in {*shown, name}) <= MOST_CROPS - 2:  # HR and LR are two
            shown.add(name)
    return [row for row in rows if row["method"] in shown]
