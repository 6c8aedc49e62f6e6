"""The page that participants see: of a server, or one file that keeps votes for a download."""

from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from srntt_pipeline.study.design import QUESTION, Design
from srntt_pipeline.study.turns import plans


def server_page(design: Design) -> str:
    """Return the page that asks a server for turns."""
    return _page({"turns": design.settings.turns})


def static_page(design: Design) -> str:
    """Return the page that has its turns in itself.

    Each plan is one participant's: the pictures' numbers, left and right, turn after turn. It tells
    neither methods nor kinds of turns.
    """
    places = {file: number for number, file in enumerate(design.files)}
    told = [[places[file] for turn in plan for file in turn.files(design)]
            for plan in plans(design)]  # fmt: skip
    return _page(
        {
            "turns": design.settings.turns,
            "study": design.fingerprint,
            "files": design.files,
            "plans": told,
        }
    )


def _page(data: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("srntt_pipeline.study"),
        autoescape=select_autoescape(["html.j2"]),
        keep_trailing_newline=True,
    )
    return environment.get_template("study.html.j2").render(question=QUESTION, data=data)
