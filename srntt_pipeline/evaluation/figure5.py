"""Figure 5: images of a data set with a detail of each, in HR and in SR by every method."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.detail import choose_detail
from srntt_pipeline.evaluation.figure5_drawing import draw_figure
from srntt_pipeline.evaluation.figure5_examples import Example, Plan
from srntt_pipeline.evaluation.paths import slug
from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.figures import save_figure
from srntt_pipeline.files import fingerprint, write_bytes
from srntt_pipeline.images import RGB, read_rgb
from srntt_pipeline.outputs import Output
from srntt_pipeline.text import markdown

log = logging.getLogger(__name__)

FOLDER = Path("figure5")
CAPTIONS = FOLDER / "figure5.md"
TITLE = "Figure 5: methods compared on a detail"


def figure_files(plans: Sequence[Plan]) -> list[Path]:
    """Return the files that `draw_figures` can write, below the folder of the tables."""
    return [CAPTIONS, *(path for name in _names(plans).values() for path in _pair(name))]


def draw_figures(output: Output, plans: Sequence[Plan]) -> int:
    """Draw the figure of each data set, PNG and PDF, and write their captions; count the figures.

    What cannot be drawn is told in a line, in the log and in the captions. Figures of data sets
    that are no longer among these are removed.
    """
    names, drawn, texts = _names(plans), [CAPTIONS], []
    for plan in plans:
        told = list(plan.told)
        examples: list[Example] = []
        pictures = []
        for example in plan.examples:
            try:
                images = _read(example)
            except InputError as error:
                log.warning("Figure 5, %s, image %s: %s", plan.dataset, example.image, error)
                told.append(f"image {example.image}, of which a picture cannot be used")
                continue
            hr, srs = images[example.hr], [images[one.path] for one in example.outputs]
            examples.append(replace(example, detail=example.detail or choose_detail(hr, srs)))
            pictures.append(images)
        paths = _pair(names[plan.dataset])
        if examples:
            for path in paths:
                figure, dpi = draw_figure(examples, pictures)
                save_figure(figure, output.folder / path, dpi)
            drawn += paths
        if told:
            log.warning("Figure 5, %s: left out: %s", plan.dataset, "; ".join(told))
        if examples or told:
            texts.append(_caption(plan, examples, told, paths[0].name))
    text = "\n".join([f"# {TITLE}\n", *(texts or ["No figure was asked for.\n"])])
    write_bytes(output.folder / CAPTIONS, text.encode())
    output.remove_others(drawn, [FOLDER.as_posix()])
    return sum(path.suffix == ".png" for path in drawn)


def _read(example: Example) -> dict[Path, RGB]:
    """Return the pictures of an example, SR of HR's size. Raises InputError."""
    outputs = [output.path for output in example.outputs]
    images = {
        path: read_rgb(path, grey=True)
        for path in (example.hr, *outputs, *example.references.values())
    }
    for path in outputs:
        if images[path].shape != images[example.hr].shape:
            raise InputError(
                f"{path} has not the size of {example.hr}, which is of the evaluation's first "
                "protocol; evaluate by it alone, or name it (protocol)"
            )
    return images


def _names(plans: Sequence[Plan]) -> dict[str, str]:
    """Return by data set the name of its figure, without suffix; no two are alike."""
    names: dict[str, str] = {}
    for plan in plans:
        name = f"figure5_{slug(plan.dataset)}"
        taken = name in names.values()
        names[plan.dataset] = f"{name}-{fingerprint(plan.dataset)[:6]}" if taken else name
    return names


def _pair(name: str) -> list[Path]:
    return [FOLDER / f"{name}{suffix}" for suffix in (".png", ".pdf")]


def _caption(plan: Plan, examples: Sequence[Example], told: Sequence[str], picture: str) -> str:
    """Return a data set's part of the captions, as Markdown."""
    lines = [f"## {markdown(plan.dataset)}\n"]
    if examples:
        details = ", ".join(f"{example.image} {example.detail}" for example in examples)
        protocol = PROTOCOLS[plan.protocol]
        lines += [
            f"![Details in HR and in SR by each method]({picture})\n",
            f"- Images: {markdown(plan.chosen)}.",
            f"- Details, enlarged, as width x height + left + top in px of HR: {markdown(details)}."
            " The square is the one with the highest product of gradient in HR and variance over "
            "the methods, where none was given.",
            f"- PSNR is that of the whole image, by protocol `{plan.protocol}` "
            f"({markdown(protocol.words)}). The highest is bold.",
            "- After a method stands the reference that it took; none is written where it takes "
            "none.",
        ]
    lines += [f"- Left out: {markdown(line)}." for line in told]
    return "\n".join(lines) + "\n"
