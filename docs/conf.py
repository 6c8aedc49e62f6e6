"""The site of `make docs` (Sphinx, MyST, Furo): README.md as its home, the pages of this folder."""

import re
from pathlib import Path

from sphinx.application import Sphinx

import srntt_pipeline

ROOT = Path(__file__).parents[1]
FROM_ROOT = {"index": "README.md", "changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}

project = "srntt_pipeline"
author = "The srntt_pipeline founders"
version = release = srntt_pipeline.__version__
extensions = ["myst_parser"]
myst_heading_anchors = 4  # links to headings, as hosts of repositories make them, are checked
html_theme = "furo"
html_title = f"srntt_pipeline {version}"
html_copy_source = False
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    """Read files of the root as pages."""
    app.connect("source-read", _from_root)


def _from_root(app: Sphinx, name: str, source: list[str]) -> None:
    """Put a file of the root before what its page holds, and let links to such files lead there."""
    if name in FROM_ROOT:
        text = (ROOT / FROM_ROOT[name]).read_text(encoding="utf-8")
        text = re.sub(r"\]\((?!https?:|#)", "](../", text).replace("](../docs/", "](")
        source[0] = f"{text}\n{source[0]}"
        app.env.note_dependency(str(ROOT / FROM_ROOT[name]))
    for page, file in FROM_ROOT.items():
        source[0] = source[0].replace(f"](../{file}", f"]({page}.md")
