"""What the page of an evaluation shows: pictures of each image, curves, provenance."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from srntt_pipeline.degradation import Making
from srntt_pipeline.evaluation.figures import draw_curves, draw_match
from srntt_pipeline.evaluation.measure import GroupJob
from srntt_pipeline.evaluation.page import Description, facts
from srntt_pipeline.evaluation.page_data import Picture, Shown
from srntt_pipeline.evaluation.paths import GRIDS, PAGE, PER_IMAGE, image_path, slug
from srntt_pipeline.evaluation.pictures import LR_IMAGE, REFERENCES, Pictures
from srntt_pipeline.evaluation.previews import (
    PreviewJob,
    Sizes,
    detail_path,
    group_files,
    hr_path,
    make_previews,
    preview_path,
    reference_path,
)
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.images import read_size
from srntt_pipeline.layout import Group
from srntt_pipeline.methods import Method
from srntt_pipeline.methods.method import HR_WARP, NONE
from srntt_pipeline.outputs import Output
from srntt_pipeline.parallel import run_all

_FILES = ("table.csv", "table.md", PER_IMAGE, "costs.csv", "metrics.json")


def describe(
    out: Path,
    per_image: Sequence[Mapping[str, Any]],
    *,
    jobs: Sequence[GroupJob],
    in_full: Collection[str],
    protocols: Sequence[Protocol],
    run: Mapping[str, Any],
    title: str,
    notes: Sequence[str],
    workers: int = 1,
) -> Description:
    """Write the pictures that only the page needs into `out`, and return what it shows.

    `per_image`: rows of the first protocol as in per_image.csv, whose SR images are shown. `jobs`:
    of the groups; `in_full`: names of those that have a grid. `run`: what the page says of the run
    beside protocols and methods.
    """
    making = protocols[0].making
    rows: dict[str, list[Mapping[str, Any]]] = {job.group.name: [] for job in jobs}
    for row in per_image:
        rows[row["image"]].append(row)
    sizes = run_all(
        make_previews,
        [
            PreviewJob(out, job.group, making, _pictures(out, job, making, rows[job.group.name]))
            for job in jobs
        ],
        workers=workers,
        description="Making the page",
        unit="images",
    )
    shown = [
        _shown(out, job, making, rows[job.group.name], job.group.name in in_full, size)
        for job, size in zip(jobs, sizes, strict=True)
    ]
    trained = _trained(jobs[0].methods)
    return Description(
        title=title,
        notes=notes,
        protocols={
            protocol.name: f"{protocol.words}. {protocol.meaning}" for protocol in protocols
        },
        shown=shown,
        curves=[curve for method in trained for curve in _curves(out, method)],
        made_of=_made_of(protocols, jobs[0].methods, run),
        files=[name for name in _FILES if (out / name).exists()],
    )


def page_files(
    groups: Sequence[Group],
    methods: Sequence[Method],
    pictures: Sequence[tuple[str, str]],
    making: Making,
) -> list[Path]:
    """Return what `describe` can write below the evaluation's folder.

    `pictures`: SR images and references that are made by `making`, each (folder, reference).
    """
    files = [_curves_path(method) for method in _trained(methods)]
    for group in groups:
        files += [GRIDS / f"{group.name}.png"]
        files += [PAGE / "matches" / f"{group.name}{suffix}" for suffix in (".png", ".json")]
        files += group_files(
            group, [image_path(*one, group.name, making) for one in dict.fromkeys(pictures)]
        )
    return files


def forget_others(output: Output, description: Description) -> None:
    """Remove our pictures that another run's page had: of other images, another checkpoint."""
    figures = [*description.curves, *(f for shown in description.shown for f in shown.figures)]
    named = {output.folder / path for figure in figures for path in figure.files}
    named |= {path.with_suffix(".json") for path in named}  # what a figure was made from
    named |= {
        output.folder / path
        for shown in description.shown
        for picture in shown.pictures
        for path in picture.files
    }
    output.remove(path for path in output.ours(PAGE.as_posix()) if path not in named)


def _made_of(
    protocols: Sequence[Protocol], methods: Sequence[Method], run: Mapping[str, Any]
) -> dict[str, list[tuple[str, str]]]:
    made_of = {"Evaluation": facts(run)}
    made_of |= {f"Protocol {protocol.name}": facts(asdict(protocol)) for protocol in protocols}
    return made_of | {method.name: facts(of) for method in methods if (of := method.facts())}


def _trained(methods: Sequence[Method]) -> list[Method]:
    """Return the methods that were trained, of those with one checkpoint the last: its own row."""
    return list({method.checkpoint: method for method in methods if method.checkpoint}.values())


def _pictures(
    out: Path, job: GroupJob, making: Making, per_image: Sequence[Mapping[str, Any]]
) -> tuple[Path, ...]:
    """Return the pictures of a group that have previews: SR, and references that were made."""
    warped = image_path(REFERENCES, HR_WARP, job.group.name, making)
    own = [Path(row["picture"]) for row in per_image]
    return tuple(dict.fromkeys([*own, *[warped] * (out / warped).exists()]))


def _shown(
    out: Path,
    job: GroupJob,
    making: Making,
    per_image: Sequence[Mapping[str, Any]],
    in_full: bool,
    sizes: Sizes,
) -> Shown:
    """Return the pictures of a group; `in_full` with its grid."""
    group = job.group

    def picture(path: Path, kind: str, **more: Any) -> Picture:
        detail = None if kind == "reference" else detail_path(path)
        more = {"size": sizes.hr, **more}
        return Picture(path=path, kind=kind, preview=preview_path(path), detail=detail, **more)

    lr = image_path(LR_IMAGE, NONE, group.name, making)
    pictures = [Picture("LR", lr, "input", size=read_size(out / lr))]
    for row in per_image:
        none = row["reference"] == NONE
        pictures.append(
            picture(
                Path(row["picture"]),
                "output",
                label=row["method"] if none else f"{row['method']}, {row['reference']}",
                value=f"{row['psnr_db']:.2f} dB",
                reference="" if none else row["reference"],
            )
        )
    pictures.append(picture(hr_path(group.name), "truth", label="HR"))
    for name, size in sizes.references.items():
        pictures.append(
            picture(reference_path(name, group.name), "reference", label=name, size=size)
        )
    warped = image_path(REFERENCES, HR_WARP, group.name, making)
    if (out / warped).exists():
        size = read_size(out / warped)
        pictures.append(picture(warped, "reference", label=HR_WARP, size=size))
    figures = [_figure(out, "Outputs and references", GRIDS / f"{group.name}.png")] * in_full
    if job.with_match:
        images = Pictures(group, making, out, job.seed, job.device)
        if path := draw_match(images, job.methods):
            figures.append(_figure(out, "What the patches of LR were matched with", path))
    return Shown(group.name, pictures, figures, sizes.detail)


def _figure(out: Path, label: str, path: Path) -> Picture:
    return Picture(label, path, "figure", size=read_size(out / path))


def _curves(out: Path, method: Method) -> list[Picture]:
    assert method.checkpoint is not None  # as `_trained` saw to
    path = _curves_path(method)
    folder = method.checkpoint if method.checkpoint.is_dir() else method.checkpoint.parent
    drawn = draw_curves(folder, out / path)
    return [_figure(out, method.name, path)] if drawn else []


def _curves_path(method: Method) -> Path:
    return PAGE / "curves" / f"{slug(method.name)}.png"
