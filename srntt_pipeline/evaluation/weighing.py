"""Weighing methods: what each costs on one image of an evaluation, a row of `costs.csv` each."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from srntt_pipeline.evaluation.costs import COLUMNS, COSTS, read_costs
from srntt_pipeline.evaluation.measure import GroupJob
from srntt_pipeline.evaluation.pictures import Pictures
from srntt_pipeline.files import fingerprint
from srntt_pipeline.methods import CannotRun, Method
from srntt_pipeline.methods.cost import device_words, measure_cost
from srntt_pipeline.methods.method import ALL
from srntt_pipeline.parallel import progress


def measure_costs(job: GroupJob) -> dict[str, dict[str, Any]]:
    """Return what each method costs on the image of `job`, a row of `costs.csv` by its name.

    With all references where the method takes them, else with the first that it takes. Measured in
    this process while no other works; what an earlier run measured on this device is kept.
    """
    earlier = read_costs(job.out)
    rows: dict[str, dict[str, Any]] = {}
    with progress("Measuring costs", "methods", len(job.methods)) as bar:
        for method in job.methods:
            rows[method.name] = _cost(job, method, earlier.get(method.name, {}))
            bar.update()
    return rows


def _cost(job: GroupJob, method: Method, earlier: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"method": method.name}
    images = Pictures(job.group, job.protocols[0].making, job.out, job.seed, job.device)
    taken = [name for name in job.references if method.takes(name) and images.scene.has(name)]
    if not taken or not method.is_weighed:
        return row
    reference = ALL if ALL in taken else taken[0]
    made_from = fingerprint(
        [
            images.scene.made_from(reference),
            method.identity(images.scene, reference),
            device_words(job.device),
        ]
    )
    if earlier.get("made_from") == made_from:
        return dict(earlier)
    try:
        cost = asdict(measure_cost(method, images.scene, reference))
    except CannotRun:
        return row  # the notes say why
    return (
        row
        | {name: cost[name] for name in COSTS}
        | {"image": job.group.name, "reference": reference, "made_from": made_from}
    )
