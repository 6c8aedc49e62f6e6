"""Write docs/parameters.md from srntt_pipeline.config: `python docs/make_parameters.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from srntt_pipeline import config
from srntt_pipeline.sections import Section

PAGE = Path(__file__).with_name("parameters.md")
HEAD = """# Parameters

A params file (YAML) has one section per stage; every section and every key is optional. `dvc repro`
reads the file that `dvc.yaml` names in its first lines; a command reads one with `--params FILE`,
or one that comes with the package by its name (`--params laptop`, `cufed` or `demo`). Each key is
also an option of its command (`build.long_side_px` is `--long-side-px` of `build-cufed5`,
`train.edsr.channels` is `--channels` of `train edsr`), which beats the file. Below `train`, each
recipe has a section of its own. A key that does not exist is refused, with the one that was
probably meant. A file that DVC reads must name every section, if only by `evaluate:` with nothing
under it. A key may stand once. Numbers have upper bounds far above what is useful, and sizes that
no device holds are refused at once.

What is set here decides bytes. Where and how parallel a stage runs is not in here: `--workers` or
`SRNTT_WORKERS`, `--device` or `SRNTT_DEVICE`, and [clusters](cluster.md). `params.yaml` is the
demo's file, `params/cufed.yaml` that of the full CUFED. (This page is made by
`python docs/make_parameters.py`.)
"""


def page() -> str:
    """Return the page: a table of key, default and meaning for each section."""
    parts = [HEAD]
    for name, section in sections(config.Params):
        parts.append(f"## {section.__doc__.splitlines()[0]}\n")
        parts.append("| key | default | meaning |\n|---|---|---|")
        for key, value in section.shown_fields().items():
            default = value.default
            if isinstance(default, tuple):
                default = list(default)
            shown = f"`{default}`" if default not in (None, "", []) else "–"
            parts.append(f"| `{name}.{key}` | {shown} | {value.description} |")
        parts.append("")
    return "\n".join(parts)


def sections(whole: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the sections by name, those of `train` as `train.srntt` and so on."""
    for name, field in whole.model_fields.items():
        inner = [f.annotation for f in field.annotation.model_fields.values()]
        if all(isinstance(kind, type) and issubclass(kind, Section) for kind in inner):
            yield from sections(field.annotation, f"{place}{name}.")
        else:
            yield f"{place}{name}", field.annotation


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
