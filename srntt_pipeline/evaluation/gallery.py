"""What the page of an evaluation shows: pictures of each image, curves, what made it all."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from srntt_pipeline.degradation import Making, make_hr
from srntt_pipeline.evaluation.figures import draw_curves, draw_match
from srntt_pipeline.evaluation.page import PAGE, Description, Picture, Shown, facts
from srntt_pipeline.evaluation.paths import GRIDS, PER_IMAGE, image_path, slug
from srntt_pipeline.evaluation.protocols import Protocol
from srntt_pipeline.figures import spread
from srntt_pipeline.images import RGB, read_rgb, write_png
from srntt_pipeline.layout import Group
from srntt_pipeline.methods.srntt import Restorer
from srntt_pipeline.methods.warp import HR_WARP
from srntt_pipeline.outputs import Output
from srntt_pipeline.text import short_name

_MOST_MATCHES = 3  # for these, references are searched once more
_FILES = ("table.csv", "table.md", PER_IMAGE, "metrics.json")


def describe(
    out: Path,
    per_image: Sequence[Mapping[str, Any]],
    *,
    groups: Sequence[Group],
    in_full: Collection[str],
    protocols: Sequence[Protocol],
    restorers: Sequence[Restorer],
    run: Mapping[str, Any],
    title: str,
    notes: Sequence[str],
) -> Description:
    """Write the pictures that only the page needs into `out`, and return what it shows.

    `per_image`: rows of the first protocol as in per_image.csv; outputs whose files are there are
    shown. `in_full`: names of groups that have a grid and whose references are shown.
    `run`: what the page says of the run beside protocols and the checkpoints of
    `restorers`, the first of which draws matches.
    """
    matched = {groups[i].name for i in spread(len(groups), _MOST_MATCHES)}
    making = protocols[0].making
    shown = [
        _shown(
            out,
            group,
            making,
            [row for row in per_image if row["image"] == group.name],
            restorers[0] if restorers and group.name in matched else None,
            group.name in in_full,
        )
        for group in groups
    ]
    return Description(
        title=title,
        notes=notes,
        protocols={
            protocol.name: f"{protocol.words}. {protocol.meaning}" for protocol in protocols
        },
        shown=shown,
        curves=[curve for restorer in restorers for curve in _curves(out, restorer)],
        made_of=_made_of(protocols, restorers, run),
        files=[name for name in _FILES if (out / name).exists()],
    )


def page_files(groups: Sequence[Group], checkpoints: Sequence[str]) -> list[Path]:
    """Return the pictures that `describe` can write below the evaluation's folder.

    `checkpoints`: the names of their files, without suffix.
    """
    files = []
    for group in groups:
        files += [PAGE / "hr" / f"{group.name}.png", GRIDS / f"{group.name}.png"]
        files += [PAGE / "references" / slug(level) / f"{group.name}.png" for level in group.refs]
        files += [PAGE / "matches" / f"{group.name}{suffix}" for suffix in (".png", ".json")]
    return files + [PAGE / "curves" / f"{slug(name)}.png" for name in checkpoints]


def forget_others(output: Output, description: Description) -> None:
    """Remove our pictures that another run's page had: of other images, another checkpoint."""
    figures = [*description.curves, *(f for shown in description.shown for f in shown.figures)]
    named = {p.path for shown in description.shown for p in shown.pictures}
    named |= {figure.path for figure in figures}
    pages = [path.relative_to(output.folder) for path in output.ours(PAGE.as_posix())]
    output.remove(path for path in pages if path.with_suffix(".png") not in named)


def _made_of(
    protocols: Sequence[Protocol], restorers: Sequence[Restorer], run: Mapping[str, Any]
) -> dict[str, list[tuple[str, str]]]:
    made_of = {"Evaluation": facts(run)}
    made_of |= {f"Protocol {protocol.name}": facts(asdict(protocol)) for protocol in protocols}
    for restorer in restorers:
        info = restorer.checkpoint.info.model_dump(mode="json")
        made_of[f"Checkpoint {restorer.checkpoint.path.name}"] = facts(info)
    return made_of


def _shown(
    out: Path,
    group: Group,
    making: Making,
    per_image: Sequence[Mapping[str, Any]],
    restorer: Restorer | None,
    in_full: bool,
) -> Shown:
    """Return the pictures of a group; `in_full` with its grid and references.

    With a `restorer`, and references, with a picture of what was matched too.
    """
    hr = make_hr(read_rgb(group.hr, grey=True), making)

    def kept(folder: str, image: RGB) -> Path:
        path = PAGE / folder / f"{group.name}.png"
        write_png(out / path, image)
        return path

    pictures = [Picture("LR", image_path("LR", "none", group.name, making), "input")]
    for row in per_image:
        path = image_path(row["method"], row["reference"], group.name, making)
        if (out / path).exists():
            none = row["reference"] == "none"
            label = row["method"] if none else f"{row['method']}, {row['reference']}"
            value = f"{row['psnr_db']:.2f} dB"
            pictures.append(Picture(label, path, "output", value))
    pictures.append(Picture("HR", kept("hr", hr), "truth"))
    if not in_full:
        return Shown(group.name, pictures)
    figures = [Picture("Outputs and references", GRIDS / f"{group.name}.png", "figure")]
    refs = {name: read_rgb(path, grey=True) for name, path in group.refs.items()}
    pictures += [
        Picture(name, kept(f"references/{slug(name)}", ref), "reference")
        for name, ref in refs.items()
    ]
    warped = image_path("references", HR_WARP, group.name, making)
    if (out / warped).exists():
        pictures.append(Picture(HR_WARP, warped, "reference"))
    if restorer and refs:
        path = PAGE / "matches" / f"{group.name}.png"
        title = f"{short_name(group.name)}: {', '.join(refs)}"
        draw_match(hr, list(refs.values()), restorer, title, out / path)
        figures.append(Picture("What the patches of LR were matched with", path, "figure"))
    return Shown(group.name, pictures, figures)


def _curves(out: Path, restorer: Restorer) -> list[Picture]:
    checkpoint = restorer.checkpoint.path
    path = PAGE / "curves" / f"{slug(checkpoint.stem)}.png"
    drawn = draw_curves(checkpoint.parent, out / path)
    return [Picture(checkpoint.stem, path, "figure")] if drawn else []
