"""What the page of an evaluation shows: pictures of each image, curves, what made it all."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from srntt_pipeline.degradation import Making, make_hr
from srntt_pipeline.evaluation.figures import draw_curves, draw_match
from srntt_pipeline.evaluation.measure import GroupJob
from srntt_pipeline.evaluation.page import PAGE, Description, Picture, Shown, facts
from srntt_pipeline.evaluation.paths import GRIDS, PER_IMAGE, image_path, slug
from srntt_pipeline.evaluation.pictures import LR_IMAGE, REFERENCES, Pictures
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.images import RGB, read_rgb, write_png
from srntt_pipeline.layout import Group
from srntt_pipeline.methods import Method
from srntt_pipeline.methods.method import HR_WARP, NONE
from srntt_pipeline.outputs import Output

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
) -> Description:
    """Write the pictures that only the page needs into `out`, and return what it shows.

    `per_image`: rows of the first protocol as in per_image.csv, whose SR images are shown. `jobs`:
    of the groups; `in_full`: names of those that have a grid and whose references are shown. `run`:
    what the page says of the run beside protocols and methods.
    """
    making = protocols[0].making
    shown = [
        _shown(
            out,
            job,
            making,
            [row for row in per_image if row["image"] == job.group.name],
            job.group.name in in_full,
        )
        for job in jobs
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


def page_files(groups: Sequence[Group], methods: Sequence[Method]) -> list[Path]:
    """Return the pictures that `describe` can write below the evaluation's folder."""
    files = []
    for group in groups:
        files += [PAGE / "hr" / f"{group.name}.png", GRIDS / f"{group.name}.png"]
        files += [PAGE / "references" / slug(level) / f"{group.name}.png" for level in group.refs]
        files += [PAGE / "matches" / f"{group.name}{suffix}" for suffix in (".png", ".json")]
    return files + [_curves_path(method) for method in _trained(methods)]


def forget_others(output: Output, description: Description) -> None:
    """Remove our pictures that another run's page had: of other images, another checkpoint."""
    figures = [*description.curves, *(f for shown in description.shown for f in shown.figures)]
    named = {p.path for shown in description.shown for p in shown.pictures}
    named |= {figure.path for figure in figures}
    pages = [path.relative_to(output.folder) for path in output.ours(PAGE.as_posix())]
    output.remove(path for path in pages if path.with_suffix(".png") not in named)


def _made_of(
    protocols: Sequence[Protocol], methods: Sequence[Method], run: Mapping[str, Any]
) -> dict[str, list[tuple[str, str]]]:
    made_of = {"Evaluation": facts(run)}
    made_of |= {f"Protocol {protocol.name}": facts(asdict(protocol)) for protocol in protocols}
    return made_of | {method.name: facts(of) for method in methods if (of := method.facts())}


def _trained(methods: Sequence[Method]) -> list[Method]:
    """Return the methods that were trained, of those with one checkpoint the last: its own row."""
    return list({method.checkpoint: method for method in methods if method.checkpoint}.values())


def _shown(
    out: Path,
    job: GroupJob,
    making: Making,
    per_image: Sequence[Mapping[str, Any]],
    in_full: bool,
) -> Shown:
    """Return the pictures of a group; `in_full` with its grid and references."""
    group = job.group
    hr = make_hr(read_rgb(group.hr, grey=True), making)

    def kept(folder: str, image: RGB) -> Path:
        path = PAGE / folder / f"{group.name}.png"
        write_png(out / path, image)
        return path

    pictures = [Picture("LR", image_path(LR_IMAGE, NONE, group.name, making), "input")]
    for row in per_image:
        none = row["reference"] == NONE
        label = row["method"] if none else f"{row['method']}, {row['reference']}"
        value = f"{row['psnr_db']:.2f} dB"
        pictures.append(Picture(label, Path(row["picture"]), "output", value))
    pictures.append(Picture("HR", kept("hr", hr), "truth"))
    if not in_full:
        return Shown(group.name, pictures)
    figures = [Picture("Outputs and references", GRIDS / f"{group.name}.png", "figure")]
    refs = {name: read_rgb(path, grey=True) for name, path in group.refs.items()}
    pictures += [
        Picture(name, kept(f"references/{slug(name)}", ref), "reference")
        for name, ref in refs.items()
    ]
    warped = image_path(REFERENCES, HR_WARP, group.name, making)
    if (out / warped).exists():
        pictures.append(Picture(HR_WARP, warped, "reference"))
    if job.with_match:
        images = Pictures(group, making, out, job.seed, job.device)
        if path := draw_match(images, job.methods):
            figures.append(Picture("What the patches of LR were matched with", path, "figure"))
    return Shown(group.name, pictures, figures)


def _curves(out: Path, method: Method) -> list[Picture]:
    assert method.checkpoint is not None  # as `_trained` saw to
    path = _curves_path(method)
    folder = method.checkpoint if method.checkpoint.is_dir() else method.checkpoint.parent
    drawn = draw_curves(folder, out / path)
    return [Picture(method.name, path, "figure")] if drawn else []


def _curves_path(method: Method) -> Path:
    return PAGE / "curves" / f"{slug(method.name)}.png"
